// Asks so often, so many at a time, and says how fast it was, as bench/c/cn_echo.c does.
// Arguments: idx val port count in flight

import { openConnector } from "../../../mod.ts";
import { say } from "../kernel.ts";

const [idx, val, port, count, atOnce] = process.argv.slice(2).map(Number) as [
  number,
  number,
  number,
  number,
  number,
];
const bus = await openConnector();
const payload = new Uint8Array(16);

async function hold(requests: number): Promise<void> {
  let left = requests;
  await Promise.all(Array.from({ length: atOnce }, async () => {
    while (left-- > 0) {
      const { data } = await bus.request({ idx, val }, payload, { port, timeoutMs: 60_000 });
      if (data.length !== payload.length) throw new Error("a wrong answer");
    }
  }));
}

await hold(Math.min(count, 5000)); // as a program that has run for a while
const { cpuUsage } = process;
const start = performance.now();
const before = cpuUsage();
await hold(count);
const seconds = (performance.now() - start) / 1000;
const { user, system } = cpuUsage(before);
say({
  requests: count,
  seconds,
  perSecond: Math.round(count / seconds),
  cpuUsPerRequest: (user + system) / count,
});
process.exit(0);
