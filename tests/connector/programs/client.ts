// Holds conversations with a service, so many in flight, and says how it went.
// Arguments: idx val service's port, conversations, in flight, questions whose answers will be late

import { openConnector, TimeoutError } from "../../../mod.ts";
import { randomId, say, whileWanted } from "../kernel.ts";
import { answer, question } from "./payload.ts";

const [idx, val, port, count, atOnce, lateCount] = process.argv.slice(2).map(Number) as number[];
const id = { idx: idx!, val: val! };
const bus = await openConnector({ receiveBufferBytes: 32 << 20, firstSeq: (2 ** 32 - count! / 2) >>> 0 });
// Somebody has to receive what comes when no question is open any more.
bus.addCallback(randomId(id.idx), "stays", () => {});

let [next, right, wrong, timedOut] = [0, 0, 0, 0];
const start = performance.now();
await Promise.all(Array.from({ length: atOnce! }, async () => {
  while (next < count!) {
    const number = next++;
    const { data } = await bus.request(id, question(number, false), { port: port!, timeoutMs: 120_000 });
    if (Buffer.compare(data, answer(number)) === 0) right++;
    else wrong++;
  }
}));
const seconds = (performance.now() - start) / 1000;
await Promise.all(Array.from({ length: lateCount! }, async (_, number) => {
  try {
    await bus.request(id, question(number, true), { port: port!, timeoutMs: 50 });
  } catch (error) {
    if (!(error instanceof TimeoutError)) throw error;
    timedOut++;
  }
}));
say({ right, wrong, timedOut, seconds });
whileWanted(() => say(bus.stats()));
