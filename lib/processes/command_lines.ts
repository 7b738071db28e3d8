import type { Libc } from "../../ffi/libc.ts";
import { formatExplanation } from "../errors/advice.ts";
import { ERRNO } from "../errors/errno.ts";
import { SyscallError } from "../errors/syscall_error.ts";
import { UnsupportedError } from "../errors/unsupported_error.ts";
import { canOpenFiles } from "../procfs/file.ts";
import { explainRecordsRefusal } from "./explain_records_refusal.ts";
import { ExecRecords } from "./exec_records.ts";
import type { ProcessInfo, UnknownReason } from "./info.ts";
import type { ProcessWatchStats } from "./stats.ts";

/**
 * Whether the kernel is asked to record the arguments of every exec: `"auto"`, where it lets us; `"required"`, or the
 * watch is not opened; `"off"`, never.
 */
export type ExecRecordsOption = "auto" | "off" | "required";

/** Where the command lines of execs came from. */
type CommandLineStats = NonNullable<ProcessWatchStats["commandLines"]>;

const ACTION = "record execs";
/** What the rest of a watch opens: two sockets, two for waiting, a directory in /proc, and a file in it. */
const OPENED_LATER = 6;

/**
 * Where the command lines of one watch come from: records of the kernel's where those can be had, /proc where not. It
 * counts both, and what neither knew.
 */
export class CommandLines implements Disposable {
  readonly #libc: Libc;
  readonly #mode: ExecRecordsOption;
  readonly #wantsText: boolean;
  readonly #unknown: Partial<Record<UnknownReason, number>> = {};
  #records: ExecRecords | undefined;
  #refusal: unknown;
  #fromRecords = 0;
  #fromProc = 0;

  /** `wantsText`: whether more is wanted of a record than names. */
  constructor(libc: Libc, mode: ExecRecordsOption, wantsText: boolean = true) {
    this.#libc = libc;
    this.#mode = mode;
    this.#wantsText = wantsText;
  }

  /** The records, if the kernel makes them for us. */
  get records(): ExecRecords | undefined {
    return this.#records;
  }

  /**
   * Begins to record. To be called before the subscription is made: then every exec that has an event has a record.
   *
   * @throws {SyscallError | UnsupportedError} If records are required and cannot be had.
   */
  open(): void {
    if (this.#mode === "off") return;
    try {
      const records = ExecRecords.open(this.#libc, ACTION, this.#wantsText);
      // Events without command lines are better than command lines without events.
      if (this.#mode === "auto" && !canOpenFiles(this.#libc, OPENED_LATER)) {
        records[Symbol.dispose]();
        throw new SyscallError(ACTION, "open", ERRNO.EMFILE!);
      }
      this.#records = records;
    } catch (error) {
      this.#refusal = error;
      if (this.#mode !== "required") return;
      const explanation = explainRecordsRefusal(this.#libc, error);
      if (error instanceof SyscallError) {
        throw new SyscallError(ACTION, error.call, error.errno, formatExplanation(explanation));
      }
      throw new UnsupportedError(ACTION, "no-exec-records", explanation.finding, { cause: error });
    }
  }

  /** Counts an exec once its info is made. */
  count(info: ProcessInfo, fromRecord: boolean): void {
    if (info.commandLine === undefined) this.#countUnknown(info.unknownBecause ?? "gone");
    else if (fromRecord) this.#fromRecords++;
    else this.#fromProc++;
  }

  /** Counts a command line from /proc that proved to be of a later program. */
  countTakenBack(): void {
    this.#fromProc--;
    this.#countUnknown("superseded");
  }

  stats(): CommandLineStats {
    return {
      fromRecords: this.#fromRecords,
      fromProc: this.#fromProc,
      unknown: { ...this.#unknown },
      dropped: this.#records?.dropped ?? 0,
      recorder: this.#state(),
    };
  }

  /** Lets the records go. A second call does nothing. */
  [Symbol.dispose](): void {
    this.#records?.[Symbol.dispose]();
  }

  #countUnknown(reason: UnknownReason): void {
    this.#unknown[reason] = (this.#unknown[reason] ?? 0) + 1;
  }

  #state(): string {
    if (this.#records !== undefined) return "active";
    return this.#refusal === undefined ? "off" : explainRecordsRefusal(this.#libc, this.#refusal).finding;
  }
}
