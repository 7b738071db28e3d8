/** Subscribes to events that do not occur: every wake-up is caused by the library or the runtime. */
import { numberOption, ready, whenDrained } from "./protocol.ts";
import { subscribe } from "./subscribe.ts";
import { Tally } from "./tally.ts";

const tally = new Tally(numberOption("of") ?? 0);
const watch = await subscribe();
const meter = ready();
whenDrained(tally, () => watch.close());
for await (const event of watch) tally.take(event);
meter.report("idle", tally, { stats: watch.stats() });
