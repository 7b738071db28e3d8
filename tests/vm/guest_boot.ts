// Booting a machine with a job, with a second chance, and what to say of a guest that gave no result.

import { rmSync } from "node:fs";
import { join } from "node:path";
import type { TestResult } from "../support/junit.ts";
import type { Options } from "./options.ts";
import type { System } from "./machine.ts";
import { boot, type BootResult } from "./qemu.ts";
import { consoleEnd, readText } from "./results.ts";

/** A guest that dies without a result is booted once more, since emulation now and then fails a boot. */
export async function bootJob(
  system: System,
  folder: string,
  job: string,
  limits: Pick<Options, "timeoutSeconds" | "fileTimeoutSeconds">,
): Promise<BootResult> {
  const { timeoutSeconds, fileTimeoutSeconds } = limits;
  const one = (): Promise<BootResult> => boot({ ...system, folder, job, timeoutSeconds, fileTimeoutSeconds });
  const first = await one();
  if (first.status !== undefined || first.timedOut) return first;
  console.log(
    `${system.label}: the guest ended without a result after ${first.seconds.toFixed(1)} s; once more`,
  );
  console.log(consoleEnd(readText(join(folder, "console.log"))));
  rmSync(folder, { recursive: true });
  return await one();
}

/** A guest without a result counts as a failed test that shows the end of its console. */
export function guestFailure(result: BootResult, folder: string): readonly TestResult[] {
  if (result.status !== undefined) return [];
  const name = result.timedOut
    ? `the guest did not end within ${result.seconds.toFixed(0)} s`
    : "the guest ended without a result";
  const message = ["qemu.log", "job.out", "console.log"].map((file) => {
    const text = consoleEnd(readText(join(folder, file)));
    return text === "" ? "" : `${file}:\n${text}\n`;
  }).join("");
  return [{ name, outcome: "failed", message }];
}
