import { type ChildProcess, spawn, type SpawnOptions } from "node:child_process";
import { join } from "node:path";
import process from "node:process";
import { createInterface } from "node:readline";
import { type CbId, openConnector } from "../../mod.ts";
import { command, root } from "../support/runtimes.ts";

/** The kernel's version as "6.1" in the virtual machine, where everything takes 10 to 50 times as long. */
export const emulated: boolean = process.env.KERNEL_CONNECTOR_VM !== undefined;

/**
 * Why programs cannot talk to each other on the bus here, or false: for the option `skip`. Where kernel tests are
 * required, not being able to is a failure.
 */
export async function whyNoBus(): Promise<string | false> {
  try {
    await using bus = await openConnector();
    bus.send(randomId(), new Uint8Array(), { port: bus.port });
    return false;
  } catch (error) {
    if (process.env.CONNECTOR_KERNEL_TESTS === "required") throw error;
    return (error as Error).message;
  }
}

/** An identifier that no other run uses, in one of the groups 12 to 30; in `group` if it is given. */
export function randomId(group: number = 12 + Math.floor(Math.random() * 19)): CbId {
  return { idx: group, val: Math.floor(Math.random() * 2 ** 32) };
}

/** A program of these tests that runs and writes a line of JSON for each thing that it has to say. */
export class Peer implements AsyncDisposable {
  readonly child: ChildProcess;
  readonly #lines: unknown[] = [];
  readonly #ended: Promise<void>;
  #waiting: (() => void) | undefined;
  #over = false;

  private constructor(child: ChildProcess) {
    this.child = child;
    createInterface({ input: child.stdout! }).on("line", (line) => {
      this.#lines.push(JSON.parse(line));
      this.#waiting?.();
    });
    this.#ended = new Promise((resolve) =>
      child.once("close", () => {
        this.#over = true;
        this.#waiting?.();
        resolve();
      })
    );
  }

  /** Starts tests/connector/programs/NAME.ts with these arguments; it ends when its standard input does. */
  static start(runtime: "bun" | "deno" | "node", name: string, ...args: (string | number)[]): Peer {
    const own = command(runtime, join(root, "tests/connector/programs", `${name}.ts`));
    return Peer.run([...own, ...args.map(String)]);
  }

  /** Starts any program. */
  static run([file, ...args]: readonly string[], options: SpawnOptions = {}): Peer {
    const child = spawn(file!, args, { ...options, stdio: ["pipe", "pipe", "inherit"] });
    child.stdin!.on("error", () => {});
    return new Peer(child);
  }

  /** The next line that it writes. */
  async line<T>(limitMs: number = emulated ? 120_000 : 30_000): Promise<T> {
    const end = performance.now() + limitMs;
    while (this.#lines.length === 0) {
      if (this.#over) throw new Error(`${this.child.spawnargs.join(" ")} has ended without a word`);
      const left = end - performance.now();
      if (left <= 0) throw new Error(`${this.child.spawnargs.join(" ")}: nothing within ${limitMs} ms`);
      let timer: ReturnType<typeof setTimeout> | undefined;
      await new Promise<void>((resolve) => {
        this.#waiting = resolve;
        timer = setTimeout(resolve, left);
      });
      clearTimeout(timer);
    }
    return this.#lines.shift() as T;
  }

  /** Writes a line of JSON to its standard input. */
  tell(what: unknown): void {
    this.child.stdin!.write(`${JSON.stringify(what)}\n`);
  }

  /** Ends it and waits until it has ended. */
  async [Symbol.asyncDispose](): Promise<void> {
    this.child.stdin!.end();
    const late = setTimeout(() => this.child.kill("SIGKILL"), 10_000);
    await this.#ended;
    clearTimeout(late);
  }
}

/** For a program of these tests: writes a line of JSON. */
export function say(what: unknown): void {
  console.log(JSON.stringify(what));
}

/** For a program of these tests: calls `onLine` with each line of JSON from the standard input, and ends with it. */
export function whileWanted(onLine: (what: never) => void = () => {}): void {
  createInterface({ input: process.stdin }).on("line", (line) => onLine(JSON.parse(line) as never))
    .on("close", () => process.exit(0));
  setTimeout(() => process.exit(9), 300_000).unref();
}
