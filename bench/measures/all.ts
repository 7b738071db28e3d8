import type { Measure } from "../section.ts";
import { ceiling } from "./ceiling.ts";
import { commands } from "./commands.ts";
import { commandsQuiet } from "./commands_quiet.ts";
import { codec, requests } from "./codec.ts";
import { cpuComm, cpuVfork } from "./cpu.ts";
import { filter, filterProducer } from "./filter.ts";
import { flood } from "./flood.ts";
import { history } from "./history.ts";
import { idle } from "./idle.ts";
import { latencyBusy, latencyQuiet } from "./latency.ts";
import { memory } from "./memory.ts";
import { memoryIdle } from "./memory_idle.ts";
import { recorder } from "./recorder.ts";
import { report } from "./report.ts";
import { start } from "./start.ts";
import { table } from "./table.ts";
import { tableHeap } from "./table_heap.ts";
import { trace } from "./trace.ts";
import { watch } from "./watch.ts";

/** Every measurement, in the order of the report. */
export const measures: readonly Measure[] = [
  cpuComm,
  cpuVfork,
  watch,
  trace,
  commands,
  commandsQuiet,
  history,
  recorder,
  ceiling,
  flood,
  latencyQuiet,
  latencyBusy,
  idle,
  start,
  filter,
  filterProducer,
  memory,
  memoryIdle,
  table,
  tableHeap,
  codec,
  requests,
  report,
];
