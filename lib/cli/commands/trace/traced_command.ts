import { type ChildProcess, spawn } from "node:child_process";
import { constants } from "node:os";
import process from "node:process";
import type { Libc } from "../../../../ffi/libc.ts";
import { shellStatus } from "../../../processes/exit_status.ts";
import { readUserAccounts } from "../../../procfs/accounts.ts";
import { readTextFile } from "../../../procfs/file.ts";
import { ProcFs } from "../../../procfs/process.ts";
import { hasEnded } from "../../../procfs/text.ts";
import { safeText } from "../../../wire/escape.ts";
import { ignoredSignals } from "../../io/signals.ts";
import { environmentVariables } from "../../runtime.ts";

/** As a shell: the command cannot be executed, or there is none. */
const NOT_EXECUTABLE = 126;
const NOT_FOUND = 127;

/** A command that could not be started. */
export class StartError extends Error {
  /** The exit status that a shell has for it. */
  readonly status: number;

  constructor(file: string, error: { readonly code?: string; readonly message: string }) {
    const { code } = error;
    const why = code === "ENOENT"
      ? "there is no such program"
      : code === "EACCES"
      ? "it is not executable"
      : code ?? error.message;
    super(`Cannot run ${safeText(file)}: ${why}`);
    this.status = code === "ENOENT" ? NOT_FOUND : NOT_EXECUTABLE;
  }
}

/** How a command is started as another user, who has the rights of that user's groups, too. */
export interface Launch {
  readonly command: readonly string[];
  readonly environment: Readonly<Record<string, string | undefined>> | undefined;
}

/**
 * A command as another user. The runtimes' own way to do that would drop the user's supplementary groups, so a program of
 * util-linux does.
 *
 * @throws {TypeError} If there is no such user.
 * @throws {Error} If this user may not become another one.
 */
export function asUser(libc: Libc, user: string, command: readonly string[]): Launch {
  const account = [...readUserAccounts(libc).values()].find(({ name, uid }) =>
    name === user || String(uid) === user
  );
  if (account === undefined) {
    throw new TypeError(`Cannot run the command as ${user}: there is no such user in /etc/passwd`);
  }
  const { uid, gid, name, home } = account;
  if (process.geteuid?.() !== 0) throw new Error(`Cannot run the command as ${name}: that requires root`);
  return {
    command: ["setpriv", `--reuid=${uid}`, `--regid=${gid}`, "--init-groups", "--", ...command],
    environment: { ...environmentVariables(), HOME: home, USER: name, LOGNAME: name },
  };
}

/** The same with TRACEPARENT in the environment. If Deno must not read that, it stays as it is. */
export function withTraceParent(launch: Launch, traceParent: string): Launch {
  const environment = launch.environment ?? environmentVariables();
  if (Object.keys(environment).length === 0) return launch;
  return { ...launch, environment: { ...environment, TRACEPARENT: traceParent } };
}

/**
 * A command that has the terminal and standard input of this program. While it runs it decides what signals mean: those of
 * the terminal reach it by themselves, and others are passed on.
 */
export class TracedCommand implements Disposable {
  readonly #libc: Libc;
  readonly #onSignal: () => void;
  readonly #listeners: readonly (readonly [NodeJS.Signals, () => void])[];
  #child: ChildProcess | undefined;
  #ended: Promise<number | undefined> | undefined;
  #runs = false;
  #signalled = false;

  /** `onSignal` is called for the first signal that comes when the command does not run; the next one exits. */
  constructor(libc: Libc, onSignal: () => void) {
    this.#libc = libc;
    this.#onSignal = onSignal;
    const ignored = ignoredSignals(readTextFile(libc, "/proc/self/status") ?? "");
    this.#listeners = (["SIGINT", "SIGQUIT", "SIGTERM", "SIGHUP"] as const)
      .filter((signal) => !(ignored as ReadonlySet<string>).has(signal))
      .map((signal) => [signal, () => this.#signal(signal)]);
    for (const [signal, listener] of this.#listeners) process.on(signal, listener);
  }

  /**
   * Starts it.
   *
   * @throws {StartError} If it cannot be.
   */
  async start({ command, environment }: Launch): Promise<ChildProcess> {
    const [file, ...args] = command;
    try {
      const options = {
        stdio: "inherit",
        ...environment && { env: environment as NodeJS.ProcessEnv },
      } as const;
      const child = spawn(file!, args, options);
      this.#ended = new Promise((resolve) =>
        child.once("exit", (exitCode, signal) => {
          this.#runs = false;
          resolve(shellStatus({ exitCode, signal, coreDumped: false }));
        })
      );
      await new Promise<void>((resolve, reject) => {
        child.once("spawn", resolve);
        child.once("error", reject);
      });
      this.#child = child;
      this.#runs = true;
      return child;
    } catch (error) {
      throw new StartError(file!, error as Error);
    }
  }

  /** Resolves with its exit status as a shell has it. To be called once it has been started. */
  get ended(): Promise<number | undefined> {
    return this.#ended!;
  }

  [Symbol.dispose](): void {
    for (const [signal, listener] of this.#listeners) process.off(signal, listener);
  }

  #signal(signal: NodeJS.Signals): void {
    if (!this.#isRunning()) {
      if (this.#signalled) process.exit(128 + constants.signals[signal]);
      this.#signalled = true;
      return this.#onSignal();
    }
    const isKey = signal === "SIGINT" || signal === "SIGQUIT";
    if (isKey && isForeground(readTextFile(this.#libc, "/proc/self/stat") ?? "")) return;
    try {
      process.kill(this.#child!.pid!, signal); // Deno reports a child on which kill() was called as killed
    } catch {
      // It has just ended.
    }
  }

  /** A signal to a command that has ended and was not reaped yet would be lost: /proc knows before the runtime does. */
  #isRunning(): boolean {
    if (!this.#runs) return false;
    const procFs = new ProcFs(this.#libc);
    const stat = procFs.stat(this.#child!.pid!);
    return stat === undefined ? procFs.missing !== "gone" : !hasEnded(stat);
  }
}

/** Whether keys of the terminal signal a process, out of its /proc/PID/stat: whether its group has the terminal. */
function isForeground(stat: string): boolean {
  const [, , processGroup, , , foregroundGroup] = stat.slice(stat.lastIndexOf(")") + 2).split(" ");
  return processGroup === foregroundGroup;
}
