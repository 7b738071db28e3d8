// The command line of the runner.

import { availableParallelism } from "node:os";
import { parseArgs } from "node:util";
import type { Runtime } from "../support/runtimes.ts";
import { type Architecture, ARCHITECTURES } from "./architectures.ts";
import { type Kernel, KERNELS } from "./kernels.ts";
import { RunnerError } from "./programs.ts";

export const RUNTIMES: readonly Runtime[] = ["bun", "deno", "node"];

/** A machine keeps one CPU busy. */
const DEFAULT_JOBS = availableParallelism() >= 2 ? 2 : 1;

export interface Options {
  readonly architecture: Architecture;
  readonly kernels: readonly Kernel[];
  readonly runtimes: readonly Runtime[];
  /** Parts of the paths of the wanted test files; none for the usual ones. */
  readonly only: readonly string[];
  readonly shellJob: string | undefined;
  /** How often a mirror's machine loses its power, instead of the tests. */
  readonly crashes: number | undefined;
  readonly keep: boolean;
  readonly update: boolean;
  /** More of the kernel's command line. */
  readonly append: string;
  /** How many machines run at the same time. */
  readonly jobs: number;
  /** For one boot, and for one test file in it, of the time that the machine was given. */
  readonly timeoutSeconds: number;
  readonly fileTimeoutSeconds: number;
}

/** "6.1 and 6.12, for arm64 6.12". */
function defaults(of: (architecture: Architecture) => readonly string[]): string {
  const texts = ARCHITECTURES.map((each, i) =>
    `${i === 0 ? "" : `for ${each.name} `}${of(each).join(" and ")}`
  );
  return texts.join(", ");
}

export const USAGE = `npm run test:vm -- [options]
  --arch NAME          ${ARCHITECTURES.map(({ name }) => name).join(", ")} (default x64)
  --kernel NAME        ${KERNELS.map((kernel) => kernel.label).join(", ")}; may be repeated (default ${
  defaults(({ kernels }) => kernels)
})
  --runtime NAME       ${RUNTIMES.join(", ")}; may be repeated (default ${
  defaults(({ runtimes }) => runtimes)
})
  --only PATTERN       only test files whose path contains PATTERN; may be repeated
  --shell-job FILE     run a shell script in the guest instead of the tests
  --crashes N          cut the power N times while a mirror is written, instead of the tests
  --keep               keep the output folder of a run without failures as well
  --update             fetch the kernels anew: Debian's versions move on
  --append TEXT        more of the kernel's command line, for example lockdown=confidentiality
  --jobs N             machines at the same time (default ${DEFAULT_JOBS} here)
  --timeout SECONDS    limit for one boot (default 1200)
  --file-timeout SECONDS   limit for one test file (default 300)`;

export function parseOptions(args: readonly string[]): Options | "help" {
  let values;
  try {
    ({ values } = parseArgs({
      args: [...args],
      options: {
        arch: { type: "string", default: "x64" },
        kernel: { type: "string", multiple: true },
        runtime: { type: "string", multiple: true },
        only: { type: "string", multiple: true, default: [] },
        "shell-job": { type: "string" },
        crashes: { type: "string" },
        keep: { type: "boolean", default: false },
        append: { type: "string", default: "" },
        update: { type: "boolean", default: false },
        jobs: { type: "string", default: `${DEFAULT_JOBS}` },
        timeout: { type: "string", default: "1200" },
        "file-timeout": { type: "string", default: "300" },
        help: { type: "boolean", short: "h", default: false },
      },
    }));
  } catch (error) {
    throw new RunnerError(`${(error as Error).message}\n\n${USAGE}`);
  }
  if (values.help) return "help";
  const architecture = pick(ARCHITECTURES, ({ name }) => name === values.arch, `--arch ${values.arch}`);
  return {
    architecture,
    kernels: (values.kernel ?? architecture.kernels).map((name) =>
      pick(KERNELS, (kernel) => kernel.label === name, `--kernel ${name}`)
    ),
    runtimes: (values.runtime ?? architecture.runtimes).map((name) =>
      pick(RUNTIMES, (runtime) => runtime === name, `--runtime ${name}`)
    ),
    only: values.only,
    shellJob: values["shell-job"],
    crashes: values.crashes === undefined ? undefined : positive(values.crashes, "--crashes"),
    keep: values.keep,
    update: values.update,
    append: values.append,
    jobs: positive(values.jobs, "--jobs"),
    timeoutSeconds: positive(values.timeout, "--timeout"),
    fileTimeoutSeconds: positive(values["file-timeout"], "--file-timeout"),
  };
}

function pick<Item>(items: readonly Item[], matches: (item: Item) => boolean, what: string): Item {
  const found = items.find(matches);
  if (found === undefined) throw new RunnerError(`${what} is not known\n\n${USAGE}`);
  return found;
}

function positive(text: string, what: string): number {
  const value = Number(text);
  if (!Number.isInteger(value) || value < 1) {
    throw new RunnerError(`${what} needs a number above 0, not ${text}`);
  }
  return value;
}
