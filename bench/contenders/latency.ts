/** The time from the kernel's timestamp to the user's code, for the events of one process and its children. */
import { monotonicClock } from "./clock.ts";
import { numberOption, ready, whenDrained } from "./protocol.ts";
import { subscribe } from "./subscribe.ts";
import { Tally } from "./tally.ts";

const MAX_SAMPLES = 1 << 20;

const tally = new Tally(numberOption("of") ?? 0);
const samples = new Float64Array(MAX_SAMPLES);
let count = 0;
const now = await monotonicClock();
const watch = await subscribe();
const meter = ready();
whenDrained(tally, () => watch.close());
for await (const event of watch) {
  if (tally.take(event) && count < MAX_SAMPLES) samples[count++] = Number(now() - event.timestampNs);
}
const sorted = samples.subarray(0, count).sort();
const quantile = (q: number) => sorted[Math.min(count - 1, Math.floor(q * count))];
const latencyNs = count === 0
  ? null
  : { samples: count, p50: quantile(0.5), p99: quantile(0.99), max: sorted[count - 1] };
meter.report("latency", tally, { latencyNs, stats: watch.stats() });
