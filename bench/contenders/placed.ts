/** Wants execs alone, judged in one place: `--place kernel`, `bpf` or `typescript`; without it, wants everything. */
import { openMachine } from "../../ffi/open.ts";
import type { FilterPlace } from "../../lib/protocols/proc/filter.ts";
import { ProcWatch } from "../../lib/protocols/proc/watch.ts";
import { numberOption, option, ready, whenDrained } from "./protocol.ts";
import { Tally } from "./tally.ts";

const place = option("place") as FilterPlace | undefined;
const tally = new Tally(numberOption("of") ?? 0);
const machine = await openMachine("measure filters");
const places = place === undefined || place === "typescript" ? [] : [place];
const watch = new ProcWatch(machine, place === undefined ? {} : { events: ["exec"] }, undefined, places);
const meter = ready();
whenDrained(tally, () => watch.close());
for await (const batch of watch.batches()) for (const event of batch) tally.take(event);
meter.report("placed", tally, { stats: watch.stats() });
