// Answers questions under an identifier, but not before it has betrayed each to an intruder, so that the forgeries
// come first. Every tenth answer is given twice; where it is asked to, the answer comes too late.
// Arguments: idx val intruder's port

import { openConnector } from "../../../mod.ts";
import { say, whileWanted } from "../kernel.ts";
import { answer, leak, word } from "./payload.ts";

const LATE_MS = 400;

const [idx, val, intruder] = process.argv.slice(2).map(Number) as [number, number, number];
const id = { idx, val };
const secrets = { idx, val: (val ^ 1) >>> 0 };
const bus = await openConnector();
let [answered, twice, late] = [0, 0, 0];

bus.addCallback(id, "service", async (message, reply) => {
  const number = word(message.data, 0);
  if (word(message.data, 1) === 1) {
    late++;
    setTimeout(() => reply(answer(number)), LATE_MS);
    return;
  }
  if (intruder !== 0) {
    const { from, seq, ack } = message;
    await bus.request(secrets, leak(from.port, seq, ack, number), { port: intruder, timeoutMs: 60_000 });
  }
  reply(answer(number));
  answered++;
  if (number % 10 === 0) {
    reply(answer(number));
    twice++;
  }
});
say({ port: bus.port });
whileWanted(() => say({ answered, twice, late }));
