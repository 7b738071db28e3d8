import { type ChildProcess, spawn } from "node:child_process";
import { once } from "node:events";
import { exitStatusFields } from "../../lib/processes/codec.ts";
import type { ExitStatus } from "../../lib/processes/wait_for_exit.ts";

/** Runs waits.c: processes that stop until they are asked to end. */
export class Waits {
  readonly pids: number[] = [];
  /** Their exit statuses, as waitpid(2) returned them. */
  readonly truth = new Map<number, ExitStatus>();
  /** When each was reaped, if that matters: between `from` and `to`. */
  readonly collected = new Map<number, { readonly from: bigint; readonly to: bigint }>();
  readonly ended: Promise<unknown>;
  readonly #child: ChildProcess;
  readonly #limit = setTimeout(() => this[Symbol.dispose](), 60_000);

  constructor(program: string, onPid: (pid: number) => void, ...args: readonly string[]) {
    this.#child = spawn(program, args, { stdio: ["pipe", "pipe", "inherit"] });
    this.ended = once(this.#child, "close");
    let rest = "";
    this.#child.stdout!.setEncoding("utf8").on("data", (text: string) => {
      const lines = (rest + text).split("\n");
      rest = lines.pop()!;
      for (const line of lines) this.#hear(line, onPid);
    });
  }

  /** Lets them end. */
  go(): void {
    this.#child.stdin!.write("\n");
  }

  /** Ends their parent, and the others with it. */
  [Symbol.dispose](): void {
    clearTimeout(this.#limit);
    this.#child.kill("SIGKILL");
  }

  /** Reaps them. */
  async collect(): Promise<void> {
    this.#child.stdin!.end();
    await this.ended;
  }

  #hear(line: string, onPid: (pid: number) => void): void {
    const [pid, status, from, to] = line.split(" ");
    if (status === undefined) {
      this.pids.push(Number(pid));
      return onPid(Number(pid));
    }
    const { exitCode, signal, coreDumped } = exitStatusFields(Number(status));
    this.truth.set(Number(pid), { exitCode, signal, coreDumped });
    if (from !== undefined) this.collected.set(Number(pid), { from: BigInt(from), to: BigInt(to!) });
  }
}
