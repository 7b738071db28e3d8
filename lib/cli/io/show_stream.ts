import { type Command } from "commander";
import { TimeText } from "./clock.ts";
import { positiveInteger, seconds } from "../arguments/numbers.ts";
import { type LineOutput, writeError } from "./output.ts";
import { StopRequest } from "./signals.ts";

/** The options of a command that shows what comes by the bus. */
export interface StreamFlags {
  readonly json?: boolean;
  readonly count?: number;
  readonly seconds?: number;
}

/** Adds them; `what` is what is counted: "events". */
export function addStreamFlags(command: Command, what: string): Command {
  return command
    .option("-j, --json", "write JSON, an object a line")
    .option(`-n, --count <${what}>`, `end after so many ${what}`, positiveInteger)
    .option("-s, --seconds <time>", "end after so many seconds", seconds);
}

/** What is shown, and how. */
export interface Shown<T extends { readonly type: string }> {
  /** It ends when it is closed. */
  readonly stream: AsyncIterable<T>;
  readonly close: () => void;
  /** What is told before the first line: whoever started us tells it apart from silence, and may act from now on. */
  readonly ready: string;
  /** A line with its end; undefined leaves the item out. Losses do not count. */
  readonly line: (item: T, wallMs: number, times: TimeText) => string | undefined;
}

/** Shows a stream until it ends, a signal or the options end it, or nobody reads any more. */
export async function showStream<T extends { readonly type: string }>(
  { stream, close, ready, line }: Shown<T>,
  flags: StreamFlags,
  output: LineOutput,
): Promise<void> {
  using request = new StopRequest();
  request.onRequest(() => {
    close();
    output.hurry();
  });
  request.after(flags.seconds);
  const times = new TimeText();
  let left = flags.count ?? Infinity;
  writeError(`cnctl: ${ready}\n`);
  for await (const item of stream) {
    const text = line(item, Date.now(), times);
    if (text === undefined) continue;
    if (!(await output.write(text))) break;
    if (item.type !== "lost" && --left <= 0) break;
  }
}
