import type { MutableInfo, ProcessField } from "./info.ts";
import type { CommandLine, ProcFs } from "./proc_fs.ts";

const EVERY_FIELD: readonly ProcessField[] = ["commandLine", "exe", "user", "cgroup"];

/** Reads those fields of a process from /proc that were asked for, and notes why one is missing. */
export class ProgramReader {
  readonly #procFs: ProcFs;
  readonly #wantsCommandLine: boolean;
  readonly #wantsExe: boolean;
  readonly #wantsUser: boolean;
  readonly #wantsCgroup: boolean;

  /** @throws {TypeError} For a field that there is not. */
  constructor(procFs: ProcFs, fields: readonly ProcessField[] = EVERY_FIELD) {
    for (const field of fields) {
      if (!EVERY_FIELD.includes(field)) {
        throw new TypeError(
          `Cannot read ${JSON.stringify(field)} of processes: there are ${EVERY_FIELD.join(", ")}`,
        );
      }
    }
    this.#procFs = procFs;
    this.#wantsCommandLine = fields.includes("commandLine");
    this.#wantsExe = fields.includes("exe");
    this.#wantsUser = fields.includes("user");
    this.#wantsCgroup = fields.includes("cgroup");
  }

  /** Command line, exe and cgroup. */
  program(info: MutableInfo, at: "exec" | undefined): void {
    if (info.kernelThread && at === undefined) return;
    const procFs = this.#procFs;
    let line: CommandLine | undefined;
    if (this.#wantsCommandLine) {
      line = procFs.commandLine(info.pid);
      if (line === undefined) info.unknownBecause = procFs.missing;
      if (info.unknownBecause === "gone") return;
    }
    if (this.#wantsExe) {
      info.exe = procFs.exe(info.pid);
      if (info.exe === undefined) info.unknownBecause = procFs.missing;
    }
    if (line !== undefined) {
      // Nothing at all is what a process has that gave up its memory; few have no arguments while they run.
      if (line.args.length > 0 || info.exe !== undefined) {
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
