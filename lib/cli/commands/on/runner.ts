import { spawn } from "node:child_process";
import process from "node:process";
import { writeError } from "../../io/output.ts";
import { safeSentence, shellQuote } from "../../../wire/escape.ts";
import { endText, shellStatus } from "../../../processes/exit_status.ts";

/** A program that is to run, and why. */
export interface Job {
  /** `start of 4711 make`. */
  readonly cause: string;
  readonly command: readonly string[];
  readonly environment: Readonly<Record<string, string | undefined>>;
  /** The user and group that it runs as; undefined for those of this process. */
  readonly user?: { readonly uid: number; readonly gid: number };
  /** Why it cannot run as it should. */
  readonly refusal?: string;
}

/** When jobs run. */
export interface RunnerOptions {
  /** What happens to a job while another one runs. */
  readonly busy: "skip" | "queue" | "restart";
  /** Most runs that may start within a second. */
  readonly limit: number | undefined;
  /** How long no job may come before the last one runs. */
  readonly debounceMs: number | undefined;
  /** Run only once. */
  readonly once: boolean;
  /** Called when the only run has ended. */
  readonly onOnce: () => void;
}

/** Why jobs did not run, in words, and how many. */
type Skipped = Map<string, number>;

/** More jobs do not wait in a queue. */
const MOST_QUEUED = 10_000;
/** How long a program may take to end after SIGTERM. */
const TERM_MS = 5000;
/** As a shell: the program cannot be executed, or does not exist. */
const NOT_EXECUTABLE = 126;
const NOT_FOUND = 127;
/** The longest command that is logged, in characters. */
const LOG_LIMIT = 300;

/** Runs jobs, one at a time, each in a session of its own. */
export class Runner {
  readonly #options: RunnerOptions;
  readonly #skipped: Skipped = new Map();
  readonly #startsMs: number[] = [];
  #queue: Job[] = [];
  /** The process group of the program that runs. */
  #group: number | undefined;
  #runs = false;
  #kill: ReturnType<typeof setTimeout> | undefined;
  #debounced: { readonly job: Job; readonly timer: ReturnType<typeof setTimeout> } | undefined;
  #stopped = false;
  #onIdle: (() => void) | undefined;
  #count = 0;
  /** The exit status of the latest run. */
  status: number | undefined;

  constructor(options: RunnerOptions) {
    this.#options = options;
  }

  /** Runs a job now, later or not at all. */
  submit(job: Job): void {
    const { debounceMs } = this.#options;
    if (this.#stopped) return;
    if (debounceMs === undefined) return this.#admit(job);
    if (this.#debounced !== undefined) {
      clearTimeout(this.#debounced.timer);
      this.#skip("followed by another within the time of --debounce");
    }
    const timer = setTimeout(() => {
      this.#debounced = undefined;
      this.#admit(job);
    }, debounceMs);
    this.#debounced = { job, timer };
  }

  /** Ends the program that runs, and lets no other start. */
  stop(): void {
    if (this.#stopped) return;
    this.#stopped = true;
    const pending = this.#queue.length + (this.#debounced === undefined ? 0 : 1);
    clearTimeout(this.#debounced?.timer);
    this.#debounced = undefined;
    this.#queue = [];
    if (pending > 0) this.#skip("still waiting at the end", pending);
    this.#terminate();
    this.#settle();
  }

  /** Resolves once nothing runs and nothing waits. */
  async finish(): Promise<void> {
    if (this.#isIdle) return;
    await new Promise<void>((resolve) => this.#onIdle = resolve);
  }

  /** `3 runs; 5 skipped: 3 while another ran, 2 over the limit`. */
  summary(): string {
    const runs = `${this.#count} ${this.#count === 1 ? "run" : "runs"}`;
    if (this.#skipped.size === 0) return `${runs}; none skipped`;
    const total = [...this.#skipped.values()].reduce((sum, count) => sum + count, 0);
    const why = [...this.#skipped].map(([reason, count]) => `${count} ${reason}`).join(", ");
    return `${runs}; ${total} skipped: ${why}`;
  }

  get #isIdle(): boolean {
    return !this.#runs && this.#queue.length === 0 && this.#debounced === undefined;
  }

  #admit(job: Job): void {
    if (!this.#runs) return this.#run(job);
    const { busy } = this.#options;
    if (busy === "skip") return this.#skip("while another ran");
    if (busy === "restart") {
      if (this.#queue.length > 0) this.#skip("followed by another before they could start");
      this.#queue = [job];
      return this.#terminate();
    }
    if (this.#queue.length < MOST_QUEUED) this.#queue.push(job);
    else this.#skip(`as ${MOST_QUEUED} were waiting`);
  }

  #run(job: Job): void {
    if (job.refusal !== undefined) {
      log(`${job.cause}: not run: ${job.refusal}`);
      this.#skip("that could not run as their user");
      return this.#next();
    }
    const nowMs = performance.now();
    while (this.#startsMs.length > 0 && nowMs - this.#startsMs[0]! >= 1000) this.#startsMs.shift();
    if (this.#startsMs.length >= (this.#options.limit ?? Infinity)) {
      this.#skip("over the limit");
      return this.#next();
    }
    this.#startsMs.push(nowMs);
    this.#count++;
    this.#runs = true;
    log(`${job.cause}: running ${shellQuote(job.command, LOG_LIMIT)}`);
    const [file, ...args] = job.command;
    let ended = false;
    const end = (status: number, what: string | undefined): void => {
      if (ended) return;
      ended = true;
      if (what !== undefined) log(`${safeSentence(file!)} ${what}`);
      this.#ended(status);
    };
    const fail = (error: Error & { readonly code?: string }): void => {
      end(
        error.code === "ENOENT" ? NOT_FOUND : NOT_EXECUTABLE,
        `cannot be run: ${safeSentence(error.message)}`,
      );
    };
    try {
      const child = spawn(file!, args, {
        stdio: ["ignore", "inherit", "inherit"],
        env: job.environment as Record<string, string>,
        detached: true,
        ...job.user,
      });
      this.#group = child.pid;
      child.on("error", fail);
      child.on("exit", (exitCode, signal) => {
        const its = { exitCode, signal, coreDumped: false };
        const status = shellStatus(its) ?? NOT_EXECUTABLE;
        end(status, status === 0 ? undefined : `ended with ${endText(its)}`);
      });
    } catch (error) {
      fail(error as Error);
    }
  }

  #ended(status: number): void {
    this.status = status;
    clearTimeout(this.#kill);
    this.#kill = undefined;
    this.#group = undefined;
    this.#runs = false;
    if (this.#options.once) {
      this.stop();
      this.#options.onOnce();
    }
    this.#next();
  }

  #next(): void {
    const job = this.#queue.shift();
    if (job !== undefined) this.#run(job);
    else this.#settle();
  }

  #settle(): void {
    if (this.#isIdle) this.#onIdle?.();
  }

  #terminate(): void {
    const group = this.#group;
    if (group === undefined || this.#kill !== undefined) return;
    signalGroup(group, "SIGTERM");
    this.#kill = setTimeout(() => signalGroup(group, "SIGKILL"), TERM_MS);
  }

  #skip(reason: string, count = 1): void {
    this.#skipped.set(reason, (this.#skipped.get(reason) ?? 0) + count);
  }
}

/** A program and its children, unless they have made groups of their own. */
function signalGroup(group: number, signal: "SIGTERM" | "SIGKILL"): void {
  try {
    process.kill(-group, signal);
  } catch {
    // It has just ended.
  }
}

function log(text: string): void {
  writeError(`cnctl: ${text}\n`);
}
