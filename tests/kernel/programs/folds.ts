/**
 * Builds a table of processes from the stream of events, as a consumer would, and replies to each line on standard
 * input with its state: the processes, the losses, and the sums of the counters.
 */
import { createInterface } from "node:readline";
import process from "node:process";
import { watchProcesses } from "../../../mod.ts";

await using events = await watchProcesses({
  processInfo: true,
  snapshot: true,
  receiveBufferBytes: 64 << 10,
});
const processes = new Map<number, string | undefined>();
const numbers = new Map<number, { first: number; last: number; seen: number }>();
let lost = 0;
let synthetic = 0;

async function fold(): Promise<void> {
  for await (const event of events) {
    if (event.type === "lost") lost += event.count ?? 0;
    else if ("synthetic" in event) synthetic++;
    else {
      const known = numbers.get(event.cpu) ?? { first: event.seq, last: event.seq, seen: 0 };
      numbers.set(event.cpu, { ...known, last: event.seq, seen: known.seen + 1 });
    }
    if (event.type === "fork" && !event.thread) processes.set(event.pid, event.process?.comm);
    else if (event.type === "exec") processes.set(event.pid, event.process?.comm);
    else if (event.type === "exit" && !event.thread) processes.delete(event.pid);
  }
}

const folding = fold();
console.log("ready");
for await (const line of createInterface(process.stdin)) {
  if (line === "end") break;
  const stats = events.stats();
  console.log(JSON.stringify({
    pids: [...processes.keys()].sort((a, b) => a - b),
    cpus: Object.fromEntries([...numbers].map(([cpu, { last }]) => [cpu, last])),
    seen: [...numbers.values()].reduce((sum, { seen }) => sum + seen, 0),
    numbers: [...numbers.values()].reduce((sum, { first, last }) => sum + ((last - first) >>> 0) + 1, 0),
    acks: stats.received - [...numbers.values()].reduce((sum, { seen }) => sum + seen, 0),
    lost,
    synthetic,
    lossKnownBy: stats.lossKnownBy,
  }));
}
events.close();
await folding;
process.exit(0);
