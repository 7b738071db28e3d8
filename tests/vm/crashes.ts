// A mirror whose machine loses its power again and again in the middle of writes, on disks that outlive it.

import { existsSync, mkdirSync, statSync, truncateSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { guestFailure } from "./guest_boot.ts";
import type { TestResult } from "../support/junit.ts";
import type { System } from "./machine.ts";
import type { Runtime } from "../support/runtimes.ts";
import type { Options } from "./options.ts";
import { requirePrograms, run } from "./programs.ts";
import { binary, root } from "../support/runtimes.ts";
import { boot, disk } from "./qemu.ts";
import { readText } from "./results.ts";

/** As tests/vm/guest/crash_cycle.ts has them. */
const LEG_BYTES = 2 * 1024 * 1024;
const LOG_BYTES = 16 * 1024 * 1024;
/** The second leg is slower than the first, so that a cut finds them different. */
const SLOW = ",throttling.iops-write=4";
/** What the guest runs, each bundled into one file: read over 9p by an emulated processor, many are slow. */
const PROGRAMS = ["crash_cycle.ts", "dirty_log_server.ts"] as const;
/** Emulation now and then fails a life; the disks do not mind. */
const SPARE_LIVES = 2;
const ARGUMENTS = { bun: [], deno: ["run", "-A", "--no-check"], node: [] } as const;

/** What the guest found between two cuts: a line of its report. */
interface Cycle {
  readonly cycle: number;
  /** Whether the table asked for the recovery of everything. */
  readonly sync: boolean;
  /** Pieces in which the legs differed when the machine came up, and after the recovery. */
  readonly differedBefore: number;
  readonly differAfter: number;
  /** Regions that were recovered, and how many are in sync now. */
  readonly recovered: number;
  readonly inSync: number;
  readonly regions: number;
  /** The number of the last write that was acknowledged before. */
  readonly acknowledged: number;
  /** Blocks of each leg that lack a write that was acknowledged. */
  readonly lost: readonly number[];
  readonly complaints: readonly string[];
}

/** Cuts the power of a machine `crashes` times; what each life after a cut finds is one test. */
export async function runCrashes(
  system: System,
  runtime: Runtime,
  crashes: number,
  output: string,
  limits: Pick<Options, "timeoutSeconds" | "fileTimeoutSeconds">,
): Promise<readonly TestResult[]> {
  requirePrograms({ "mkfs.ext4": "e2fsprogs" });
  const { timeoutSeconds, fileTimeoutSeconds } = limits;
  const folder = join(output, `${system.label}-crashes`);
  mkdirSync(folder);
  const image = (name: string, bytes: number): string => {
    const path = join(folder, `${name}.img`);
    writeFileSync(path, "");
    truncateSync(path, bytes);
    return path;
  };
  const [first, second] = [image("leg0", LEG_BYTES), image("leg1", LEG_BYTES)];
  const log = image("log", LOG_BYTES);
  run("mkfs.ext4", ["-q", "-F", log]);
  const devices = [...disk("leg0", first), ...disk("leg1", second, SLOW), ...disk("log", log)];
  for (const program of PROGRAMS) {
    const source = join(root, "tests/vm/guest", program);
    run(binary("bun"), [
      "build",
      "--target=node",
      "--external=bun:ffi",
      `--outfile=${join(folder, program)}`,
      source,
    ]);
  }
  const acknowledged = join(folder, "acknowledged");
  const written = (): number => existsSync(acknowledged) ? statSync(acknowledged).size : 0;
  const failures: TestResult[] = [];
  let spare = SPARE_LIVES;
  for (let cycle = 0; cycle <= crashes && failures.length === 0; cycle++) {
    const last = cycle === crashes;
    const words = [
      binary(runtime),
      ...ARGUMENTS[runtime],
      `/run/x/${PROGRAMS[0]}`,
      cycle,
      last ? "last" : "write",
    ];
    const job = `${words.map((word) => `'${word}'`).join(" ")}\n`;
    // Somewhere in the writes: an acknowledgement has some ten bytes.
    const enough = written() + 100 + cycle * 137 % 900;
    const options = { ...system, folder, job, devices, timeoutSeconds, fileTimeoutSeconds };
    const cutPower = lazy(() => written() > enough, cycle * 383 % 1500);
    const result = await boot(last ? options : { ...options, cutPower });
    if (last ? result.status === 0 : result.powerCut) continue;
    if (spare-- > 0) {
      console.log(`${system.label}: life ${cycle} ended before its time; once more`);
      cycle--;
      continue;
    }
    failures.push(...guestFailure(result, folder), {
      name: `${system.label}: life ${cycle} ended otherwise than it should`,
      outcome: "failed",
      message: readText(join(folder, "job.out")),
    });
  }
  const cycles = readText(join(folder, "cycles")).split("\n").filter((line) => line !== "")
    .map((line) => JSON.parse(line) as Cycle);
  console.log(tableOf(system.label, cycles));
  return [
    ...cycles.filter(({ cycle }) => cycle > 0).map((found) => judge(system.label, found)),
    ...failures,
  ];
}

/** Becomes true so long after `condition` did: an acknowledgement comes between two writes, and these are the aim. */
function lazy(condition: () => boolean, ms: number): () => boolean {
  let since: number | undefined;
  return () => {
    if (since === undefined && condition()) since = performance.now();
    return since !== undefined && performance.now() - since >= ms;
  };
}

function judge(label: string, found: Cycle): TestResult {
  const { cycle, differAfter, inSync, regions, lost, complaints } = found;
  const wrong = [
    ...inSync === regions ? [] : [`${inSync} of ${regions} regions are in sync: it was not recovered`],
    ...differAfter === 0 ? [] : [`the legs differ in ${differAfter} pieces`],
    ...lost.flatMap((blocks, leg) => blocks === 0 ? [] : [`leg ${leg} lacks ${blocks} acknowledged writes`]),
    ...complaints,
  ];
  return {
    name: `${label}: the mirror after power cut ${cycle}`,
    outcome: wrong.length === 0 ? "passed" : "failed",
    message: wrong.join("\n"),
  };
}

function tableOf(label: string, cycles: readonly Cycle[]): string {
  const rows = cycles.map((found) => [
    `${label} ${found.cycle}`.padEnd(10),
    (found.sync ? "sync" : "").padEnd(6),
    `${found.differedBefore}`.padStart(14),
    `${found.recovered}`.padStart(10),
    `${found.inSync}/${found.regions}`.padStart(8),
    `${found.differAfter}`.padStart(13),
    found.lost.join("+").padStart(6),
  ]);
  const heads = [
    "after cut ",
    "table ",
    "differ before ",
    " recovered",
    " in sync",
    " differ after",
    "  lost",
  ];
  return [heads, ...rows].map((row) => row.join("")).join("\n");
}
