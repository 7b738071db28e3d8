/** Receives only execs, filtered in one place (`--place kernel`, `bpf` or `typescript`), or without it everything. */
import { openSystem } from "../../lib/system.ts";
import type { FilterPlace } from "../../lib/processes/event_filter.ts";
import { ProcWatch } from "../../lib/processes/event_watch.ts";
import { numberOption, option, ready, whenDrained } from "./protocol.ts";
import { Tally } from "./tally.ts";

const place = option("place") as FilterPlace | undefined;
const tally = new Tally(numberOption("of") ?? 0);
const system = await openSystem("measure filters");
const places = place === undefined || place === "typescript" ? [] : [place];
const watch = new ProcWatch(system, place === undefined ? {} : { events: ["exec"] }, undefined, places);
const meter = ready();
whenDrained(tally, () => watch.close());
for await (const batch of watch.batches()) for (const event of batch) tally.take(event);
meter.report("placed", tally, { stats: watch.stats() });
