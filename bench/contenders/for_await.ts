/** Receives every event with `for await`. */
import { numberOption, ready, whenDrained } from "./protocol.ts";
import { subscribe } from "./subscribe.ts";
import { Tally } from "./tally.ts";

const tally = new Tally(numberOption("of") ?? 0);
const watch = await subscribe();
const meter = ready();
whenDrained(tally, () => watch.close());
for await (const event of watch) {
  tally.take(event);
  meter.look(tally);
}
meter.report("for_await", tally, { stats: watch.stats() });
