import { argumentsOf, type ExecRecord, exeOf } from "./exec_record.ts";
import {
  DEFAULT_FIELDS,
  type MutableInfo,
  PROCESS_FIELDS,
  type ProcessField,
  type ProcessInfo,
  type UnknownReason,
} from "./info.ts";
import { DEFAULT_COMMAND_LINE_BYTES, type ProcFs } from "../procfs/process.ts";
import type { CommandLine, ProcStat } from "../procfs/text.ts";

/** Reads the requested fields of a process from /proc, and records why one is missing. */
export class Enricher {
  readonly #procFs: ProcFs;
  readonly #commandLineBytes: number;
  /** Whether the command line is requested. */
  readonly wantsCommandLine: boolean;
  /** Whether the file is requested. */
  readonly wantsExe: boolean;
  /** Whether the user is requested. */
  readonly wantsUser: boolean;
  readonly #wantsCgroup: boolean;
  readonly #wantsCwd: boolean;
  readonly #wantsLoginUid: boolean;
  readonly #wantsSessionId: boolean;
  readonly #wantsTerminal: boolean;
  /** Where paths in the records of the batch lead. */
  readonly #realPaths = new Map<string, string | undefined>();

  /** @throws {TypeError} If a field does not exist. */
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
    this.wantsExe = fields.includes("exe");
    this.wantsUser = fields.includes("user");
    this.#wantsCgroup = fields.includes("cgroup");
    this.#wantsCwd = fields.includes("cwd");
    this.#wantsLoginUid = fields.includes("loginUid");
    this.#wantsSessionId = fields.includes("sessionId");
    this.#wantsTerminal = fields.includes("terminal");
  }

  /** Begins a batch: what is resolved for it is resolved once. */
  begin(): void {
    this.#realPaths.clear();
  }

  /** Reads the command line, exe, cgroup and the other requested fields of an existing process. */
  program(info: MutableInfo, at: "exec" | undefined): void {
    if (info.kernelThread && at === undefined) return;
    const procFs = this.#procFs;
    let line: CommandLine | undefined;
    if (this.wantsCommandLine) {
      line = procFs.commandLine(info.pid, at === "exec");
      if (line === undefined) info.unknownBecause = procFs.missing;
      if (info.unknownBecause === "gone") return;
    }
    if (this.wantsExe) {
      info.exe = procFs.exe(info.pid);
      if (info.exe === undefined) info.unknownBecause = procFs.missing;
    }
    if (line !== undefined) {
      // An empty file means that the process has released its memory: hardly any runs without arguments.
      if (line.present || info.exe !== undefined) {
        info.commandLine = line.args;
        info.commandLineTruncated = line.truncated;
      } else {
        info.unknownBecause = "gone";
      }
    }
    this.#fromOwnFiles(info);
  }

  /** Whether a program that seemed to run without arguments has some now: it was just being executed. */
  hasGotArguments({ pid, commandLine }: ProcessInfo): boolean {
    return commandLine?.length === 0 && this.#procFs.commandLine(pid, true)?.present === true;
  }

  /** Whether a field is requested that exec records do not contain. */
  wantsProc(info: ProcessInfo, record: ExecRecord): boolean {
    return this.wantsExe || this.#wantsCgroup || this.#wantsCwd || this.#wantsLoginUid ||
      this.#wantsSessionId || this.#wantsTerminal || this.#wantsArguments(info, record);
  }

  /** Sets the arguments from an exec record. */
  recorded(info: MutableInfo, record: ExecRecord): void {
    const line = this.wantsCommandLine ? argumentsOf(record, this.#commandLineBytes) : undefined;
    if (line === undefined) return;
    info.commandLine = line.args;
    info.commandLineTruncated = line.truncated;
  }

  /** Sets the real user from an exec record, which does not contain the effective one. */
  recordedUser(info: MutableInfo, record: ExecRecord): void {
    if (!this.wantsUser) return;
    info.uid = record.uid;
    info.effectiveUid = undefined;
  }

  /** Reads what a record does not contain, including arguments that were too long for it, of an existing process. */
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
    if (this.wantsExe) {
      info.exe = procFs.exe(info.pid);
      if (info.exe === undefined) {
        info.unknownBecause = procFs.missing;
        if (procFs.missing === "gone") info.exe = this.#recordedExe(record);
        if (info.exe !== undefined) info.unknownBecause = undefined;
      }
    }
    this.#fromOwnFiles(info);
  }

  /** Keeps only what the record contains, if the process has ended or runs another program by now. */
  withoutProc(info: MutableInfo, record: ExecRecord, because: UnknownReason): void {
    info.unknownBecause = undefined;
    info.commandLine = undefined;
    info.commandLineTruncated = false;
    this.recorded(info, record);
    if (this.wantsExe) info.exe = this.#recordedExe(record);
    if (this.#wantsCwd) info.cwd = undefined;
    const isUnknown = (this.wantsCommandLine && info.commandLine === undefined) ||
      (this.wantsExe && info.exe === undefined) || (this.wantsUser && info.effectiveUid === undefined) ||
      this.#wantsCwd;
    if (isUnknown) info.unknownBecause = because;
  }

  /** Resolves the file of a program whose process has ended: /bin/sh is a link to /usr/bin/dash. */
  #recordedExe(record: ExecRecord): string | undefined {
    const path = exeOf(record);
    if (path === undefined) return undefined;
    if (!this.#realPaths.has(path)) this.#realPaths.set(path, this.#procFs.realPath(path));
    return this.#realPaths.get(path);
  }

  /** Whether the arguments must be read from /proc: there is no record, or it has room for less than was requested. */
  #wantsArguments(info: ProcessInfo, { argumentBytes }: ExecRecord): boolean {
    if (!this.wantsCommandLine) return false;
    return argumentBytes === undefined ||
      (info.commandLineTruncated && argumentBytes.length < this.#commandLineBytes);
  }

  /** Reads the fields that have a file each, of an existing process. */
  #fromOwnFiles(info: MutableInfo): void {
    const procFs = this.#procFs;
    if (this.#wantsCgroup && info.unknownBecause !== "gone") {
      const cgroup = procFs.cgroup(info.pid);
      // All processes of a group share one string. One that has just ended was where it was before its exec.
      if (cgroup !== undefined && cgroup !== info.cgroup) info.cgroup = cgroup;
    }
    if (this.#wantsCwd && info.unknownBecause !== "gone") {
      info.cwd = procFs.cwd(info.pid);
      if (info.cwd === undefined) info.unknownBecause ??= procFs.missing;
    }
    // A kernel without audit lacks these files: the process may well exist.
    if (this.#wantsLoginUid) info.loginUid = procFs.loginUid(info.pid);
    if (this.#wantsSessionId) info.sessionId = procFs.sessionId(info.pid);
  }

  /** Sets what /proc/PID/stat contains, once it is known to be that of this process. */
  stat(info: MutableInfo, stat: ProcStat): void {
    if (!this.#wantsTerminal) return;
    info.terminal = stat.terminalDevice === 0 ? null : this.#procFs.terminal(stat.terminalDevice);
  }

  /** Reads the real and effective user ids. */
  user(info: MutableInfo): void {
    if (!this.wantsUser) return;
    const user = this.#procFs.user(info.pid);
    if (user === undefined) {
      info.unknownBecause ??= this.#procFs.missing;
      return;
    }
    info.uid = user.uid;
    info.effectiveUid = user.effectiveUid;
  }
}

/** Whether arguments begin with those that were cut, of which the last may be incomplete. */
function isContinued(cut: readonly string[], args: readonly string[]): boolean {
  const last = cut.length - 1;
  return cut.every((argument, i) => i === last ? args[i]?.startsWith(argument) : args[i] === argument);
}
