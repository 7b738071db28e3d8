import { readFileSync, rmSync } from "node:fs";
import { buildTrace, parseRecording, type Trace, type TraceProcess } from "../../lib/trace/mod.ts";
import { LIMIT_MS } from "./cnctl.ts";
import { eventually } from "./kernel.ts";

/** Reads a recording of `cnctl trace`. */
export function readTrace(file: string): Trace {
  return buildTrace(parseRecording(readFileSync(file, "utf8")));
}

/** The command line of a process, joined by spaces; `?` if it is not known. */
export function commandOf({ images }: TraceProcess): string {
  return images.at(-1)!.commandLine?.join(" ") ?? "?";
}

/** Waits until a recording that is being written has a text. */
export async function recorded(file: string, text: string): Promise<void> {
  await eventually(`${text} in the recording`, () => {
    try {
      return readFileSync(file, "utf8").includes(text);
    } catch {
      return false;
    }
  }, LIMIT_MS);
}

/** Does it again, up to four times, if it fails and other programs' events have crowded out some of the recording. */
export async function despiteLosses(file: string, body: () => Promise<void>): Promise<void> {
  for (let tries = 4;; tries--) {
    rmSync(file, { force: true });
    try {
      return await body();
    } catch (error) {
      if (tries === 0 || !readFileSync(file, "utf8").includes('{"type":"lost"')) throw error;
    }
  }
}
