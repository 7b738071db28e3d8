import type { ShownProcess } from "./library.ts";
import { safeText } from "./safe_text.ts";
import { shellQuote } from "./shell_quote.ts";

/** A process that had ended, or become another, before anything could be read of it. */
const UNKNOWN = "?";

/** What a command looked like when it was last written, and what it was written from. */
interface Written {
  readonly commandLine: readonly string[] | undefined;
  readonly comm: string | undefined;
  readonly text: string;
}

/**
 * The command of a process as text: the command line, quoted as a shell wants it; `[name]` for a kernel thread;
 * `(name)` where only the name is known; `?` where not even that. A process that has several events is written once.
 */
export class CommandText {
  readonly #limit: number;
  readonly #written = new WeakMap<ShownProcess, Written>();

  /** `limit`: longest command that can be seen, in characters. */
  constructor(limit: number = Infinity) {
    this.#limit = limit;
  }

  /** The command of a process. */
  of(process: ShownProcess | undefined): string {
    if (process === undefined) return UNKNOWN;
    const { commandLine, comm } = process;
    const before = this.#written.get(process);
    if (before !== undefined && before.commandLine === commandLine && before.comm === comm) {
      return before.text;
    }
    const text = this.#write(process);
    this.#written.set(process, { commandLine, comm, text });
    return text;
  }

  #write({ commandLine, commandLineTruncated, comm, kernelThread }: ShownProcess): string {
    if (commandLine !== undefined && commandLine.length > 0) {
      const text = shellQuote(commandLine, this.#limit);
      return commandLineTruncated ? `${text} …` : text;
    }
    if (comm === undefined) return UNKNOWN;
    return kernelThread ? `[${safeText(comm)}]` : `(${safeText(comm)})`;
  }
}
