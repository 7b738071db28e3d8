/** Receives every event with process information. */
import process from "node:process";
import { numberOption, ready, whenDrained } from "./protocol.ts";
import { subscribe } from "./subscribe.ts";
import { Tally } from "./tally.ts";

const tally = new Tally(numberOption("of") ?? 0);
const options: object = { processInfo: true };
const watch = await subscribe(options);
const rssBytes = process.memoryUsage().rss;
const meter = ready();
let known = 0;
let commandLines = 0;
whenDrained(tally, () => watch.close());
for await (const batch of watch.batches()) {
  meter.look(tally);
  for (const event of batch) {
    tally.take(event);
    const { process: about } = event as { process?: { commandLine?: readonly string[] } };
    if (about === undefined) continue;
    known++;
    if (event.type === "exec" && about.commandLine !== undefined) commandLines++;
  }
}
meter.report("processes", tally, {
  known,
  commandLines,
  rssBytes,
  rssEndBytes: process.memoryUsage().rss,
  stats: watch.stats(),
});
