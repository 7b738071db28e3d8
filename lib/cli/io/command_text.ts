import type { ShownProcess } from "../library.ts";
import { safeText } from "./safe_text.ts";
import { shellQuote } from "./shell_quote.ts";

/** A process that had ended, or become another, before anything could be read of it. */
const UNKNOWN = "?";

/**
 * The command of a process as text: the command line, quoted as a shell wants it; `[name]` for a kernel thread;
 * `(name)` where only the name is known; `?` where not even that. A command line is written once, also where it is
 * shared by all the children of a process.
 */
export class CommandText {
  readonly #limit: number;
  readonly #written = new WeakMap<readonly string[], string>();

  /** `limit`: longest command that can be seen, in characters. */
  constructor(limit: number = Infinity) {
    this.#limit = limit;
  }

  /** The command of a process. */
  of(process: ShownProcess | undefined): string {
    if (process === undefined) return UNKNOWN;
    const { commandLine, commandLineTruncated, comm, kernelThread } = process;
    if (commandLine !== undefined && commandLine.length > 0) {
      let text = this.#written.get(commandLine);
      if (text === undefined) {
        text = shellQuote(commandLine, this.#limit) + (commandLineTruncated ? " …" : "");
        this.#written.set(commandLine, text);
      }
      return text;
    }
    if (comm === undefined) return UNKNOWN;
    return kernelThread ? `[${safeText(comm)}]` : `(${safeText(comm)})`;
  }
}
