/** Receives only execs, filtered in one place (`--place kernel`, `bpf` or `typescript`), or without it everything. */
import { openSystem } from "../../lib/system.ts";
import { checkFilter, type FilterPlace } from "../../lib/processes/event_filter.ts";
import { checkReceiveOptions } from "../../lib/processes/options.ts";
import { openWatch } from "../../lib/processes/watch.ts";
import { numberOption, option, ready, whenDrained } from "./protocol.ts";
import { Tally } from "./tally.ts";

const place = option("place") as FilterPlace | undefined;
const tally = new Tally(numberOption("of") ?? 0);
const system = await openSystem("measure filters");
const places = place === undefined || place === "typescript" ? [] : [place];
const filter = checkFilter(place === undefined ? {} : { events: ["exec"] }, "measure filters");
const { heartbeatMs, ...receiving } = checkReceiveOptions({}, "measure filters");
const source = { ...receiving, filter, places, execWaitMs: 0, eager: () => false };
const watch = openWatch(system, { source, stages: [], placements: [], heartbeatMs, signal: undefined });
const meter = ready();
whenDrained(tally, () => watch.close());
for await (const batch of watch.batches()) for (const event of batch) tally.take(event);
meter.report("placed", tally, { stats: watch.stats() });
