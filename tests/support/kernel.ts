import process from "node:process";
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
