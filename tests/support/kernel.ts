import { readFileSync } from "node:fs";
import process from "node:process";
import { openSystem } from "../../lib/system.ts";
import { TaskstatsListener } from "../../lib/taskstats/listener.ts";
import { watchProcesses } from "../../mod.ts";

/**
 * Why process events cannot be watched here, or false: for the option `skip`. Where kernel tests are required, not
 * being able to is a failure.
 */
export async function whyNoProcessEvents(): Promise<string | false> {
  try {
    (await watchProcesses()).close();
    return false;
  } catch (error) {
    if (process.env.CONNECTOR_KERNEL_TESTS === "required") throw error;
    return (error as Error).message;
  }
}

/** Why the kernel does not say here what processes have used, or false. */
export function whyNoTaskstats(): string | false {
  try {
    TaskstatsListener.open(openSystem("test"), "test")[Symbol.dispose]();
    return false;
  } catch (error) {
    return (error as Error).message;
  }
}

/** Resolves after `ms`. */
export function sleep(ms: number): Promise<void> {
  return new Promise((resolve) => setTimeout(resolve, ms));
}

/** Polls until `holds`, and fails after `limitMs`. */
export async function eventually(
  what: string,
  holds: () => boolean,
  limitMs: number = 60_000,
): Promise<void> {
  const end = performance.now() + limitMs;
  while (!holds()) {
    if (performance.now() > end) throw new Error(`${what}: not within ${limitMs} ms`);
    await sleep(5);
  }
}

/** Where the unified hierarchy of control groups is mounted, if it is. */
export function unifiedHierarchy(): string | undefined {
  return /^\d+ \d+ \S+ \S+ (\S+) .* - cgroup2 /m.exec(readFileSync("/proc/self/mountinfo", "utf8"))?.[1];
}
