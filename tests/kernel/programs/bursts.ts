/**
 * Sends messages to a service in bursts of random length and pace: `bursts.ts PORT COUNT`. The last of each burst is a
 * request, and nothing more is sent until its reply has come: a service that is not woken stays asleep. Prints the
 * longest time that a reply took.
 */
import process from "node:process";
import { openConnector } from "../../../mod.ts";

const [port, count] = process.argv.slice(2).map(Number) as [number, number];
const id = { idx: 27, val: 1 };
const data = new Uint8Array(8);
const client = await openConnector();
let longestMs = 0;

/** Takes the time without the event loop. */
function spin(us: number): void {
  const end = performance.now() + us / 1000;
  while (performance.now() < end);
}

for (let sent = 0; sent < count;) {
  const burst = Math.ceil(1000 ** (Math.random() ** 2));
  const paceUs = Math.random() < 0.5 ? 0 : Math.random() * 40;
  for (let i = 1; i < burst; i++) {
    client.send(id, data, { port });
    if (paceUs > 0 && burst < 50) spin(paceUs);
  }
  const start = performance.now();
  await client.request(id, data, { port, timeoutMs: 60_000 });
  longestMs = Math.max(longestMs, performance.now() - start);
  sent += burst;
  spin(Math.random() * 150); // the service is drained, armed or asleep when the next comes
}
await client.close();
console.log(JSON.stringify({ longestMs }));
