import { visitRecording } from "./recording.ts";
import { redactArguments, redactEvent } from "./redact.ts";
import { type Trace, TraceBuilder } from "./trace.ts";

/**
 * Reads a recording and makes the tree of processes: as {@linkcode parseRecording} and {@linkcode buildTrace}, with less
 * memory.
 *
 * @param redact Whether to hide what looks like a secret: see {@linkcode redactArguments}.
 * @throws {RecordingError} If it is empty, something else, or of a later version.
 */
export function readTrace(recording: string | Uint8Array, redact: boolean = false): Trace {
  let builder: TraceBuilder | undefined;
  const end = visitRecording(
    recording,
    (header) => {
      const command = redact ? redactArguments(header.command) : header.command;
      builder = new TraceBuilder({ ...header, command });
    },
    (event) => builder!.apply(redact ? redactEvent(event) : event),
  );
  return builder!.build(end);
}
