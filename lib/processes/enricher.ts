import type { MutableInfo, ProcessField } from "./info.ts";
import type { ProcFs } from "../procfs/process.ts";
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
  readonly #wantsCommandLine: boolean;
  readonly #wantsExe: boolean;
  readonly #wantsUser: boolean;
  readonly #wantsCgroup: boolean;
  readonly #wantsCwd: boolean;
  readonly #wantsLoginUid: boolean;
  readonly #wantsSessionId: boolean;
  readonly #wantsTerminal: boolean;

  /** @throws {TypeError} For a field that there is not. */
  constructor(procFs: ProcFs, fields: readonly ProcessField[] = DEFAULT_FIELDS) {
    for (const field of fields) {
      if (!PROCESS_FIELDS.includes(field)) {
        throw new TypeError(
          `Cannot read ${JSON.stringify(field)} of processes: there are ${PROCESS_FIELDS.join(", ")}`,
        );
      }
    }
    this.#procFs = procFs;
    this.#wantsCommandLine = fields.includes("commandLine");
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
    if (this.#wantsCommandLine) {
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
