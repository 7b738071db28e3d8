import { openConnector } from "../../../../mod.ts";
import { openW1, type W1StreamEvent } from "../../../protocols/w1/mod.ts";
import { hex, jsonText } from "../bus/message.ts";
import type { TimeText } from "../../io/clock.ts";
import { EXIT } from "../../errors.ts";
import type { LineOutput } from "../../io/output.ts";
import { showStream, type StreamFlags } from "../../io/show_stream.ts";

/** Shows what comes to the buses and goes, until it is told to stop or nobody reads any more. */
export async function watchBuses(flags: StreamFlags, output: LineOutput): Promise<number> {
  await using bus = await openConnector({ announce: false });
  const w1 = await openW1({ connector: bus });
  const events = w1.events(); // before the question: nothing that happens meanwhile is missed
  const masters = await w1.masters(); // and the kernel says at once if there is no 1-wire
  const those = masters.length === 0 ? "no bus master yet" : `bus master ${masters.join(", ")}`;
  await showStream(
    {
      stream: events,
      close: () => bus.close(),
      ready: `watching, ${those}`,
      line: flags.json ? w1EventJson : w1EventText,
    },
    flags,
    output,
  );
  return EXIT.ok;
}

/** An event for people, with its end. */
export function w1EventText(event: W1StreamEvent, wallMs: number, times: TimeText): string {
  return `${times.local(wallMs)} ${says(event)}\n`;
}

/** An event as one line of JSON, with its end. */
export function w1EventJson(event: W1StreamEvent, wallMs: number, times: TimeText): string {
  const its = event.type === "unknown" ? { type: event.type, data: hex(event.data) } : event;
  return `${jsonText({ time: times.iso(wallMs), ...its })}\n`;
}

function says(event: W1StreamEvent): string {
  switch (event.type) {
    case "slave_add":
      return `slave ${event.slave} added`;
    case "slave_remove":
      return `slave ${event.slave} removed`;
    case "master_add":
      return `master ${event.master} added`;
    case "master_remove":
      return `master ${event.master} removed`;
    case "lost":
      return `LOST ${event.count} message${event.count === 1 ? "" : "s"}`;
    case "unknown":
      return `unknown ${hex(event.data)}`;
  }
}
