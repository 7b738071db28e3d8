import type { Command } from "commander";
import { positiveInteger, seconds } from "../arguments.ts";
import { BufferedOutput, type LineOutput, writeError } from "./output.ts";
import type { StopRequest } from "./signals.ts";

/** The options of a command that shows a stream. */
export interface StreamFlags {
  readonly json?: boolean;
  readonly count?: number;
  readonly seconds?: number;
}

/** Adds them; `what` is what `--count` counts: "events". */
export function addStreamFlags(command: Command, what: string): Command {
  return command
    .option("-j, --json", "print one JSON object per line")
    .option(`-n, --count <${what}>`, `stop after this many ${what}`, positiveInteger)
    .option("-s, --seconds <time>", "stop after this many seconds", seconds);
}

/** What is shown, and how. */
export interface Shown<T> {
  /** It ends some time after `end()`. */
  readonly batches: AsyncIterable<readonly T[]>;
  /** Called once, when the command has been asked to stop or the reader has closed the output. */
  readonly end: () => void;
  /** Printed on standard error before the first line: from then on nothing is missed. */
  readonly ready?: string;
  /** The first line, with its newline. */
  readonly header?: string | undefined;
  /** The line of an item, with its newline; undefined omits the item. */
  readonly line: (item: T) => string | undefined;
  /** Whether an item counts towards `--count`. Default: every item that has a line. */
  readonly counts?: (item: T) => boolean;
  /** Called before each batch, and after everything has been written. */
  readonly onBatch?: () => void;
}

/**
 * Shows a stream until it ends, the options or a signal end it, or the reader closes the output.
 *
 * @returns Whether the output is still open.
 */
export async function showStream<T>(
  { batches, end, ready, header, line, counts = () => true, onBatch }: Shown<T>,
  stop: StopRequest,
  flags: StreamFlags,
  output: LineOutput,
): Promise<boolean> {
  let ended = false;
  const endOnce = (): void => {
    if (!ended) end();
    ended = true;
  };
  const buffered = new BufferedOutput(output, endOnce);
  stop.onRequest(() => {
    endOnce();
    output.hurry();
  });
  stop.after(flags.seconds);
  if (ready !== undefined) writeError(`cnctl: ${ready}\n`);
  if (header !== undefined && !(await buffered.write(header, 1))) return false;
  let left = flags.count ?? Infinity;
  for await (const batch of batches) {
    onBatch?.();
    let text = "";
    let lines = 0;
    for (const item of batch) {
      const itsLine = line(item);
      if (itsLine === undefined) continue;
      text += itsLine;
      lines++;
      if (counts(item) && --left <= 0) break;
    }
    if (text !== "" && !(await buffered.write(text, lines))) return false;
    if (left <= 0) break;
  }
  const open = await buffered.flush();
  onBatch?.();
  return open;
}

/** A stream in batches of one item. */
export async function* singly<T>(stream: AsyncIterable<T>): AsyncGenerator<readonly T[]> {
  for await (const item of stream) yield [item];
}
