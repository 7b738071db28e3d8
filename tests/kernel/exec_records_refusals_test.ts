import assert from "node:assert/strict";
import { spawn } from "node:child_process";
import { once } from "node:events";
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import process from "node:process";
import { after, test } from "node:test";
import { openSystem } from "../../lib/system.ts";
import { ExecRecords } from "../../lib/processes/exec_records.ts";
import { buildC } from "../support/c_program.ts";
import { whyNoProcessEvents } from "../support/kernel.ts";
import { command, inVirtualMachine, root, runtime } from "../support/runtimes.ts";

const { libc } = await openSystem("test exec records");
const skip = await whyNoProcessEvents() || (process.getuid!() !== 0 && "wants root");
const skipUnlessRecorded = skip || whyNoRecords();

function whyNoRecords(): string | false {
  try {
    ExecRecords.open(libc, "record execs")[Symbol.dispose]();
    return false;
  } catch (error) {
    return (error as Error).message;
  }
}

function isOlderThan(major: number, minor: number): boolean {
  const [ours, oursMinor] = readFileSync("/proc/sys/kernel/osrelease", "utf8").split(".").map(Number);
  return ours! < major || (ours === major && oursMinor! < minor);
}

function isLockedDown(): boolean {
  try {
    return readFileSync("/sys/kernel/security/lockdown", "utf8").includes("[confidentiality]");
  } catch {
    return false;
  }
}

const folder = mkdtempSync(join(tmpdir(), "exec-records-"));
after(() => rmSync(folder, { recursive: true }));
const built = buildC("tests/kernel/programs/without_bpf.c");
const withoutBpf = "path" in built ? built.path : "";
const skipBpf = skipUnlessRecorded || ("missing" in built && built.missing);

/** Runs a program with other BTF, or none. */
function withBtf(mount: string): string[] {
  return ["unshare", "-m", "sh", "-c", `mount ${mount} && exec "$@"`, "sh"];
}

function btfOf(name: string, bytes: Uint8Array): string[] {
  writeFileSync(join(folder, name), bytes);
  return withBtf(`--bind ${join(folder, name)} /sys/kernel/btf/vmlinux`);
}

type Environment = Readonly<Record<string, string | undefined>>;

/** Where the kernel records no execs: what to run a program with, and what is said of it. */
interface Refusal {
  readonly where: string;
  readonly prefix: () => readonly string[];
  readonly finding: RegExp;
  readonly skip: string | false;
}

const refusals: readonly Refusal[] = [
  {
    where: "another user",
    prefix: () => ["setpriv", "--reuid", "65534", "--regid", "65534", "--clear-groups"],
    finding: /it wants root, or CAP_BPF and CAP_PERFMON/,
    skip: skipUnlessRecorded || (isOlderThan(6, 6) && "before 6.6 nobody else may watch processes"),
  },
  {
    where: "root without the capabilities",
    prefix: () => ["setpriv", "--bounding-set=-bpf,-perfmon,-sys_admin"],
    finding: /it wants root, or CAP_BPF and CAP_PERFMON/,
    skip: skipUnlessRecorded,
  },
  {
    where: "a filter that refuses bpf(2)",
    prefix: () => [withoutBpf, "1"],
    finding: /\(seccomp\) refuses bpf\(2\)/,
    skip: skipBpf,
  },
  {
    where: "a filter that hides bpf(2)",
    prefix: () => [withoutBpf, "38"],
    finding: /bpf\(2\) is not there/,
    skip: skipBpf,
  },
  {
    where: "no BTF",
    prefix: () => withBtf("-t tmpfs none /sys/kernel/btf"),
    finding: /this kernel does not describe its structures/,
    skip: skipUnlessRecorded,
  },
  {
    where: "BTF of zeros",
    prefix: () => btfOf("zeros", new Uint8Array(4096)),
    finding: /what the kernel says of its structures \(BTF\) cannot be read/,
    skip: skipUnlessRecorded,
  },
  {
    where: "BTF that is cut",
    prefix: () => btfOf("cut", readFileSync("/sys/kernel/btf/vmlinux").subarray(0, 50_000)),
    finding: /what the kernel says of its structures \(BTF\) cannot be read/,
    skip: skipUnlessRecorded,
  },
  {
    where: "a limit of locked memory",
    prefix: () => ["prlimit", "--memlock=65536", "setpriv", "--bounding-set=-sys_resource"],
    finding: /RLIMIT_MEMLOCK/,
    skip: skipUnlessRecorded || (!isOlderThan(5, 11) && "from 5.11 on no limit is in the way"),
  },
  {
    where: "lockdown",
    prefix: () => [],
    finding: /the kernel is locked down \(confidentiality\)/,
    skip: skip || (!isLockedDown() && "the kernel is not locked down"),
  },
];

for (const { where, prefix, finding, skip } of refusals) {
  test(
    `${where}: the watch reads /proc, knows why, and records cannot be required`,
    { skip, timeout: inVirtualMachine ? 600_000 : 60_000 },
    async () => {
      const [file, ...rest] = [
        ...prefix(),
        ...command(runtime, join(root, "tests/kernel/programs/records_execs.ts")),
      ];
      const env = { ...process.env, HOME: tmpdir(), NO_COLOR: "1" };
      const doctor = [...prefix(), ...command(runtime, join(root, "lib/cli/main.ts")), "doctor"];
      // At the same time: most of what takes time here is the start of a runtime.
      const [required, report, line] = await Promise.all([
        run([file!, ...rest, "required"], env),
        run(doctor, env),
        firstLine([file!, ...rest, "auto"], env),
      ]);
      assert.notEqual(required.status, 0);
      assert.match(required.stderr, /Cannot record execs: /);
      assert.match(required.stderr, finding);
      const { recorder, fromRecords, commandLine } = JSON.parse(line);
      assert.match(recorder, finding);
      assert.equal(fromRecords, 0);
      assert.deepEqual(commandLine, ["/bin/cat", "alive", "-"]);
      assert.match(report.stdout.replaceAll(/\s+/g, " "), finding);
    },
  );
}

interface Outcome {
  readonly status: number | null;
  readonly stdout: string;
  readonly stderr: string;
}

async function run([file, ...args]: readonly string[], env: Environment): Promise<Outcome> {
  const child = spawn(file!, args, { stdio: ["ignore", "pipe", "pipe"], env });
  const output = { stdout: "", stderr: "" };
  for (const name of ["stdout", "stderr"] as const) {
    child[name].setEncoding("utf8").on("data", (text: string) => output[name] += text);
  }
  const [status] = await once(child, "close") as [number | null];
  return { status, ...output };
}

/** The first line of a program, which is then ended. */
async function firstLine([file, ...args]: readonly string[], env: Environment): Promise<string> {
  const child = spawn(file!, args, { stdio: ["ignore", "pipe", "inherit"], env });
  const [line] = await once(child.stdout, "data") as [Uint8Array];
  child.kill("SIGTERM");
  await once(child, "exit");
  return String(line);
}
