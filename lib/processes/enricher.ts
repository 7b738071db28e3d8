import { argumentsOf, type ExecRecord, exeOf } from "./exec_record.ts";
import type { MutableInfo, ProcessField, ProcessInfo, UnknownReason } from "./info.ts";
import { DEFAULT_COMMAND_LINE_BYTES, type ProcFs } from "../procfs/process.ts";
import type { CommandLine, ProcStat } from "../procfs/text.ts";

/** What is read where nothing else is asked for. */
export const DEFAULT_FIELDS: readonly ProcessField[] = ["commandLine", "exe", "user", "cgroup"];
/** What can be read of each process, for `processInfo: { fields }` of `watchProcesses()`. */
export const PROCESS_FIELDS: readonly ProcessField[] = [
  ...DEFAULT_FIELDS,
  "cwd",
  "loginUid",
  "sessionId",
  "terminal",
];

/** Reads those fields of a process from /proc that were asked for, and notes why one is missing. */
export class Enricher {
  readonly #procFs: ProcFs;
  readonly #commandLineBytes: number;
  /** Whether the arguments are asked for. */
  readonly wantsCommandLine: boolean;
  readonly #wantsExe: boolean;
  readonly #wantsUser: boolean;
  readonly #wantsCgroup: boolean;
  readonly #wantsCwd: boolean;
  readonly #wantsLoginUid: boolean;
  readonly #wantsSessionId: boolean;
  readonly #wantsTerminal: boolean;

  /** @throws {TypeError} For a field that there is not. */
  constructor(
    procFs: ProcFs,
    fields: readonly ProcessField[] = DEFAULT_FIELDS,
    commandLineBytes: number = DEFAULT_COMMAND_LINE_BYTES,
  ) {
    for (const field of fields) {
      if (!PROCESS_FIELDS.includes(field)) {
        throw new TypeError(
          `Cannot read ${JSON.stringify(field)} of processes: there are ${PROCESS_FIELDS.join(", ")}`,
        );
      }
    }
    this.#procFs = procFs;
    this.#commandLineBytes = commandLineBytes;
    this.wantsCommandLine = fields.includes("commandLine");
    this.#wantsExe = fields.includes("exe");
    this.#wantsUser = fields.includes("user");
    this.#wantsCgroup = fields.includes("cgroup");
    this.#wantsCwd = fields.includes("cwd");
    this.#wantsLoginUid = fields.includes("loginUid");
    this.#wantsSessionId = fields.includes("sessionId");
    this.#wantsTerminal = fields.includes("terminal");
  }

  /** Command line, exe, cgroup and what else is read from files of their own, for a process that is there. */
  program(info: MutableInfo, at: "exec" | undefined): void {
    if (info.kernelThread && at === undefined) return;
    const procFs = this.#procFs;
    let line: CommandLine | undefined;
    if (this.wantsCommandLine) {
      line = procFs.commandLine(info.pid, at === "exec");
      if (line === undefined) info.unknownBecause = procFs.missing;
      if (info.unknownBecause === "gone") return;
    }
    if (this.#wantsExe) {
      info.exe = procFs.exe(info.pid);
      if (info.exe === undefined) info.unknownBecause = procFs.missing;
    }
    if (line !== undefined) {
      // Nothing at all is what a process has that gave up its memory; few have no arguments while they run.
      if (line.present || info.exe !== undefined) {
        info.commandLine = line.args;
        info.commandLineTruncated = line.truncated;
      } else {
        info.unknownBecause = "gone";
      }
    }
    this.#fromOwnFiles(info);
  }

  /** Whether something is asked for that an exec's record does not tell. */
  wantsProc(info: ProcessInfo, record: ExecRecord): boolean {
    return this.#wantsExe || this.#wantsCgroup || this.#wantsCwd || this.#wantsLoginUid ||
      this.#wantsSessionId || this.#wantsTerminal || this.#wantsArguments(info, record);
  }

  /** The arguments as the kernel recorded them. */
  recorded(info: MutableInfo, record: ExecRecord): void {
    const line = this.wantsCommandLine ? argumentsOf(record, this.#commandLineBytes) : undefined;
    if (line === undefined) return;
    info.commandLine = line.args;
    info.commandLineTruncated = line.truncated;
  }

  /** The real user as the kernel recorded it; of the effective one it says nothing. */
  recordedUser(info: MutableInfo, record: ExecRecord): void {
    if (!this.#wantsUser) return;
    info.uid = record.uid;
    info.effectiveUid = undefined;
  }

  /** What a record does not tell, for a process that is there; and the rest of what was too long for the record. */
  besideRecord(info: MutableInfo, record: ExecRecord): void {
    const procFs = this.#procFs;
    if (this.#wantsArguments(info, record)) {
      const line = procFs.commandLine(info.pid, true);
      if (line === undefined) info.unknownBecause = procFs.missing;
      else if (info.commandLine === undefined ? line.present : isContinued(info.commandLine, line.args)) {
        info.commandLine = line.args;
        info.commandLineTruncated = line.truncated;
      }
    }
    if (this.#wantsExe) {
      info.exe = procFs.exe(info.pid);
      if (info.exe === undefined) {
        info.unknownBecause = procFs.missing;
        if (procFs.missing === "gone") info.exe = this.#recordedExe(record);
        if (info.exe !== undefined) info.unknownBecause = undefined;
      }
    }
    this.#fromOwnFiles(info);
  }

  /** Leaves what only the record tells of a process whose /proc is gone, or of another program by now. */
  withoutProc(info: MutableInfo, record: ExecRecord, because: UnknownReason): void {
    info.unknownBecause = undefined;
    info.commandLine = undefined;
    info.commandLineTruncated = false;
    this.recorded(info, record);
    if (this.#wantsExe) info.exe = this.#recordedExe(record);
    const isUnknown = (this.wantsCommandLine && info.commandLine === undefined) ||
      (this.#wantsExe && info.exe === undefined) || (this.#wantsUser && info.effectiveUid === undefined);
    if (isUnknown) info.unknownBecause = because;
  }

  /** The file of a program whose /proc is gone: /bin/sh is a link, and what runs is /usr/bin/dash. */
  #recordedExe(record: ExecRecord): string | undefined {
    const path = exeOf(record);
    return path === undefined ? undefined : this.#procFs.realPath(path);
  }

  /** Whether the arguments are in no record, or more of them are asked for than a record has room for. */
  #wantsArguments(info: ProcessInfo, { argumentBytes }: ExecRecord): boolean {
    if (!this.wantsCommandLine) return false;
    return argumentBytes === undefined ||
      (info.commandLineTruncated && argumentBytes.length < this.#commandLineBytes);
  }

  /** What is read from files of their own, for a process that is there. */
  #fromOwnFiles(info: MutableInfo): void {
    const procFs = this.#procFs;
    if (this.#wantsCgroup && info.unknownBecause !== "gone") {
      const cgroup = procFs.cgroup(info.pid);
      // One string for all that are in one group.
      if (cgroup !== info.cgroup) info.cgroup = cgroup;
    }
    if (this.#wantsCwd && info.unknownBecause !== "gone") {
      info.cwd = procFs.cwd(info.pid);
      if (info.cwd === undefined) info.unknownBecause ??= procFs.missing;
    }
    // A kernel without audit has no such files: that says nothing about the process.
    if (this.#wantsLoginUid) info.loginUid = procFs.loginUid(info.pid);
    if (this.#wantsSessionId) info.sessionId = procFs.sessionId(info.pid);
  }

  /** What the line of /proc/PID/stat tells, once it has proved to be of this process. */
  stat(info: MutableInfo, stat: ProcStat): void {
    if (!this.#wantsTerminal) return;
    info.terminal = stat.terminalDevice === 0 ? null : this.#procFs.terminal(stat.terminalDevice);
  }

  /** The real and effective user. */
  user(info: MutableInfo): void {
    if (!this.#wantsUser) return;
    const user = this.#procFs.user(info.pid);
    if (user === undefined) {
      info.unknownBecause ??= this.#procFs.missing;
      return;
    }
    info.uid = user.uid;
    info.effectiveUid = user.effectiveUid;
  }
}

/** Whether arguments begin with those that were cut: the last of these may be a part of one. */
function isContinued(cut: readonly string[], args: readonly string[]): boolean {
  const last = cut.length - 1;
  return cut.every((argument, i) => i === last ? args[i]?.startsWith(argument) : args[i] === argument);
}
