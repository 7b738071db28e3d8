// The shell script that the guest runs: every test file in a process of its own, so that a crash or a hang
// costs that file only.

import { filesBelow } from "../support/files.ts";
import { binary, root, type Runtime } from "../support/runtimes.ts";
import type { Architecture } from "./architectures.ts";
import type { GuestRoot } from "./guest_root.ts";
import type { System } from "./machine.ts";
import { RUNTIMES } from "./options.ts";
import { RunnerError } from "./programs.ts";

/** The guest's own first: one of them wants a kernel on which nobody has listened to processes yet. */
const GUEST_TESTS = "tests/vm/guest";
/** What runs in a guest when it is asked for. */
const ALSO_IN_A_GUEST: readonly string[] = ["tests/kernel", "tests/ffi"];
/**
 * Of the host's kernel tests those whose answer the kernel's version changes; the others run in a guest when they are
 * asked for by name. An emulated processor has no time to spare.
 */
const KERNEL_TESTS: readonly string[] = [
  "exec_records",
  "filters",
  "forgery",
  "heartbeat",
  "process_table",
  "refusals",
  "watch",
]
  .map((name) => `tests/kernel/${name}_test.ts`);

/** Those of the usual files that one runtime runs on each kernel: on the host they run on every runtime. */
export function onceForEachKernel(file: string): boolean {
  return KERNEL_TESTS.includes(file);
}

/** The test files, relative to the checkout: those whose path holds one of `only`, or those of the architecture. */
export function testFiles(
  only: readonly string[],
  { files: usual }: Pick<Architecture, "files">,
): readonly string[] {
  const isTest = (file: string): boolean => file.endsWith("_test.ts");
  const guest = filesBelow(GUEST_TESTS, isTest);
  if (only.length === 0 && usual !== "usual") return usual;
  const files = only.length === 0
    // What the command does with the drivers, the library's tests do too.
    ? [...guest.filter((file) => !file.endsWith("_cli_test.ts")), ...KERNEL_TESTS]
    : [...guest, ...ALSO_IN_A_GUEST.flatMap((folder) => filesBelow(folder, isTest))]
      .filter((file) => only.some((part) => file.includes(part)));
  if (files.length === 0) {
    throw new RunnerError(`Cannot run tests: no *_test.ts matches ${only.join(" or ")}`);
  }
  return files;
}

/** Files of one test file's run in the shared folder: NAME.xml, NAME.log, NAME.rc. */
export function resultName(file: string): string {
  return file.replace(/_test\.ts$/, "").replaceAll("/", "-");
}

/** The guest keeps a copy of the sources as they are now: what is edited during a run does not reach it. */
const FREEZE_SOURCES: readonly string[] = [
  "mkdir /run/sources",
  "for folder in */; do",
  "  case $folder in node_modules/|dist/) continue ;; esac",
  '  cp -a "$folder" "/run/sources/${folder%/}" && mount --bind "/run/sources/${folder%/}" "$folder"',
  "done",
];

/** A root that is not this machine's gets the checkout at the same path, with runtimes that it can run. */
function mountCheckout({ path, replaced }: GuestRoot): readonly string[] {
  if (path === "/") return [];
  return [
    `$BUSYBOX mount -t 9p -o trans=virtio,version=9p2000.L,ro,msize=512000,cache=loose checkout ${
      quote(root)
    }`,
    ...[...replaced].map(([from, to]) => `mount --bind ${quote(to)} ${quote(from)}`),
  ];
}

/** Settings that every job starts with. */
export function jobPreamble({ version, guestRoot }: Pick<System, "version" | "guestRoot">): string {
  return [
    `export KERNEL_CONNECTOR_VM=${quote(version)} CONNECTOR_KERNEL_TESTS=required`,
    ...RUNTIMES.map((runtime) => `${runtime.toUpperCase()}=${quote(binary(runtime))}`),
    `BUSYBOX=/run/tools/busybox`,
    ...mountCheckout(guestRoot),
    `cd ${quote(root)}`,
    ...FREEZE_SOURCES,
    "",
  ].join("\n");
}

export function testJob(runtime: Runtime, files: readonly string[], fileTimeoutSeconds: number): string {
  const lines = [
    // a file that hangs is ended by the host (file_limit.ts), with its log and result kept
    `one() {`,
    `  name=$1`,
    `  shift`,
    `  dmesg -C`,
    `  read -r from rest < /proc/uptime`,
    `  echo $name > /run/x/current`,
    `  /run/tools/stoppable /run/x/$name.stop "$@" > /run/x/$name.log 2>&1 < /dev/null`,
    `  rc=$?`,
    `  read -r to rest < /proc/uptime`,
    `  echo $rc > /run/x/$name.rc`,
    `  if [ $rc -ne 0 ]; then dmesg | tail -n 20 > /run/x/$name.dmesg; fi`,
    `  echo "$name: status $rc, from $from s to $to s"`,
    `}`,
  ];
  for (const file of files) {
    const name = resultName(file);
    lines.push(`one ${quote(name)} ${testCommand(runtime, file, `/run/x/${name}.xml`, fileTimeoutSeconds)}`);
  }
  return `${lines.join("\n")}\nexit 0\n`;
}

function testCommand(runtime: Runtime, file: string, report: string, timeoutSeconds: number): string {
  switch (runtime) {
    case "bun":
      // Bun's own limit for a test is 5 s, too short under emulation
      return `"$BUN" test --timeout ${
        timeoutSeconds * 4000
      } --reporter=junit --reporter-outfile=${report} ./${file}`;
    case "deno":
      // packages come from node_modules: the guest has no network
      return `"$DENO" test -A --no-check --no-lock --node-modules-dir=manual --junit-path=${report} ${file}`;
    case "node":
      return `"$NODE" --disable-warning=ExperimentalWarning --test --test-isolation=none --test-reporter=junit ` +
        `--test-reporter-destination=${report} ${file}`;
  }
}

function quote(text: string): string {
  return `'${text.replaceAll("'", `'\\''`)}'`;
}
