/**
 * A child process with its resource usage (wait4), which `node:child_process` does not report. This is the only file
 * that needs Bun.
 */

/** The slice of Bun that is used here. */
interface BunSlice {
  spawn(command: readonly string[], options: object): {
    readonly pid: number;
    readonly stdout: ReadableStream<Uint8Array> | undefined;
    readonly exited: Promise<number>;
    kill(signal: string): void;
    resourceUsage():
      | { cpuTime: { user: number | bigint; system: number | bigint }; maxRSS: number }
      | undefined;
  };
}

export interface Usage {
  readonly userNs: number;
  readonly systemNs: number;
  readonly maxRssBytes: number;
}

export interface Child {
  readonly pid: number;
  /** Resolves after the line "ready". */
  readonly ready: Promise<void>;
  /** All output to the pipe; resolves when the process has ended. */
  readonly output: Promise<string>;
  readonly exited: Promise<number>;
  kill(signal: "SIGTERM" | "SIGKILL"): void;
  usage(): Usage;
}

const running = new Set<Child>();
process.on("exit", () => {
  for (const child of running) child.kill("SIGKILL");
});
for (const signal of ["SIGINT", "SIGTERM"] as const) process.on(signal, () => process.exit(130));

/** Starts a command. Its standard output is a pipe, or the open file `file`. */
export function startChild(command: readonly string[], file?: number, noisy: boolean = false): Child {
  const bun = (globalThis as { Bun?: BunSlice }).Bun;
  if (bun === undefined) throw new Error("The benchmark runs on bun: bun bench/run.ts");
  const child = bun.spawn(command, {
    stdin: "ignore",
    stdout: file ?? "pipe",
    stderr: noisy ? "ignore" : "inherit",
  });
  const { promise: ready, resolve, reject } = Promise.withResolvers<void>();
  ready.catch(() => {}); // possibly unobserved
  const started: Child = {
    pid: child.pid,
    ready,
    output: file === undefined ? readAll(child.stdout!, resolve, reject) : Promise.resolve(""),
    exited: child.exited.finally(() => running.delete(started)),
    kill: (signal) => child.kill(signal),
    usage() {
      const usage = child.resourceUsage();
      if (usage === undefined) throw new Error("the child has not ended");
      const { user, system } = usage.cpuTime; // microseconds
      return { userNs: Number(user) * 1000, systemNs: Number(system) * 1000, maxRssBytes: usage.maxRSS };
    },
  };
  running.add(started);
  return started;
}

async function readAll(
  stream: ReadableStream<Uint8Array>,
  onReady: () => void,
  onEnd: (error: Error) => void,
): Promise<string> {
  const decoder = new TextDecoder();
  const reader = stream.getReader();
  let text = "";
  for (;;) {
    const { done, value } = await reader.read();
    if (done) break;
    text += decoder.decode(value, { stream: true });
    if (text.startsWith("ready\n")) onReady();
  }
  onEnd(new Error("it ended before it was ready"));
  return text;
}

/** Waits for a promise, with a time limit. */
export async function within<T>(seconds: number, what: string, promise: Promise<T>): Promise<T> {
  let timer: ReturnType<typeof setTimeout> | undefined;
  const limit = new Promise<never>((_, reject) => {
    timer = setTimeout(() => reject(new Error(`${what} took more than ${seconds} s`)), seconds * 1000);
  });
  try {
    return await Promise.race([promise, limit]);
  } finally {
    clearTimeout(timer);
  }
}

export function sleep(ms: number): Promise<void> {
  return new Promise((resolve) => setTimeout(resolve, ms));
}
