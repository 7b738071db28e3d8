import { type ProcessWatch, watchProcesses, type WatchProcessesOptions } from "../../mod.ts";
import { numberOption, option } from "./protocol.ts";

/** Subscribes as the command line says: the only place that knows the library's options. */
export function subscribe(more: Partial<WatchProcessesOptions> = {}): Promise<ProcessWatch> {
  const options: Record<string, unknown> = { ...more };
  const events = option("events");
  const pids = option("pids");
  const latency = numberOption("latency");
  const buffer = numberOption("buffer");
  if (events !== undefined) options.events = events.split(",");
  if (pids !== undefined) options.pids = pids.split(",").map(Number);
  if (latency !== undefined) options.latencyMs = latency;
  if (buffer !== undefined) options.bufferBytes = buffer;
  return watchProcesses(options as WatchProcessesOptions);
}
