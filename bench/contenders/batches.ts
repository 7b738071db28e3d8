/** Receives every event with `batches()`. */
import { numberOption, ready, whenDrained } from "./protocol.ts";
import { subscribe } from "./subscribe.ts";
import { Tally } from "./tally.ts";

const tally = new Tally(numberOption("of") ?? 0);
const watch = await subscribe();
const meter = ready();
let batches = 0;
whenDrained(tally, () => watch.close());
for await (const batch of watch.batches()) {
  batches++;
  for (const event of batch) tally.take(event);
  meter.look(tally);
}
meter.report("batches", tally, { batches, stats: watch.stats() });
