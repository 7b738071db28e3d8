import { watchProcesses } from "../../mod.ts";
import { numberOption, option } from "./protocol.ts";

/** What the library gives, and what it takes. */
export type Watch = Awaited<ReturnType<typeof watchProcesses>>;
export type WatchEvent = NonNullable<Awaited<ReturnType<Watch["next"]>>["value"]>;
export type WatchOptions = NonNullable<Parameters<typeof watchProcesses>[0]>;

/** Subscribes as the command line says. The only place that knows the library's options. */
export function subscribe(more: WatchOptions = {}): Promise<Watch> {
  const events = option("events");
  const latencyMs = numberOption("latency");
  const receiveBufferBytes = numberOption("buffer");
  return watchProcesses({
    threads: true, // the programs that it is compared with count threads too
    ...more,
    ...(events !== undefined && { events: events.split(",") as NonNullable<WatchOptions["events"]> }),
    ...(latencyMs !== undefined && { latencyMs }),
    ...(receiveBufferBytes !== undefined && { receiveBufferBytes }),
  });
}
