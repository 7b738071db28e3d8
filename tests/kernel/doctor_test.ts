import assert from "node:assert/strict";
import { spawnSync } from "node:child_process";
import { chmodSync, mkdtempSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import process from "node:process";
import { after, test } from "node:test";
import { libcPaths } from "../../ffi/bind.ts";
import { diagnose, type Diagnosis, type DiagnosisCheck, watchProcesses } from "../../mod.ts";
import { CONNECTOR_WITHHELD, TOO_FEW_DESCRIPTORS } from "../../lib/errors/advice.ts";
import { whyNoProcessEvents } from "../support/kernel.ts";
import { binary, command, root, runtime } from "../support/runtimes.ts";

const skip = await whyNoProcessEvents();
const isRoot = process.getuid!() === 0;
const skipUnlessRoot = skip || (isRoot ? false : "wants root");
const [major, minor] = readFileSync("/proc/sys/kernel/osrelease", "utf8").split(".").map(Number);
const isSince = (wantedMajor: number, wantedMinor: number): boolean =>
  major! > wantedMajor || (major === wantedMajor && minor! >= wantedMinor);
const filters = isSince(6, 6);

const doctor = join(root, "lib/cli/main.ts");
const opener = join(root, "tests/kernel/programs/open.ts");

const NOBODY = ["setpriv", "--reuid=65534", "--regid=65534", "--clear-groups"] as const;

/** A home that nobody may write to as well. */
const home = mkdtempSync(join(tmpdir(), "doctor-test-"));
chmodSync(home, 0o777);
after(() => rmSync(home, { recursive: true, force: true }));

/** The emulator of user programs for this machine's own processor (Debian: qemu-user). */
const emulator = process.arch === "arm64" ? "qemu-aarch64" : "qemu-x86_64";

function whyNoEmulator(): string | false {
  return spawnSync(emulator, ["--version"]).status === 0
    ? false
    : `there is no ${emulator} (Debian: qemu-user)`;
}

interface Run {
  readonly status: number | null;
  readonly out: string;
  readonly error: string;
}

function run(program: readonly string[]): Run {
  const env = { ...process.env, HOME: home, DENO_DIR: join(home, "deno"), NO_COLOR: "1" };
  const [file, ...args] = program;
  const { status, stdout, stderr } = spawnSync(file!, args, { timeout: 60_000, env, encoding: "utf8" });
  return { status, out: stdout, error: stderr };
}

/** `cnctl doctor --json` behind `prefix`. */
function examined(prefix: readonly string[], own: readonly string[] = command(runtime, doctor)): {
  readonly diagnosis: Diagnosis;
  readonly check: (name: string) => DiagnosisCheck;
  readonly status: number | null;
} {
  const { status, out, error } = run([...prefix, ...own, "doctor", "--json"]);
  assert.match(out, /^\{.*\}\n$/, error);
  const diagnosis = JSON.parse(out) as Diagnosis;
  assert.equal(status, diagnosis.verdict === "fail" ? 1 : 0);
  return { diagnosis, status, check: (name) => diagnosis.checks.find((check) => check.name === name)! };
}

/** What a program that opens a watch reads behind `prefix`. */
function message(prefix: readonly string[], own: readonly string[] = command(runtime, opener)): string {
  const { out, error } = run([...prefix, ...own]);
  assert.notEqual(out, "", error);
  return (JSON.parse(out) as { message?: string }).message ?? "";
}

/** The error's message as the check has it: what was found, and what to do about it. */
function assertSameWords(check: DiagnosisCheck, error: string): void {
  assert.equal(check.verdict, "fail");
  assert.equal(`Cannot watch processes: ${check.finding}: ${check.advice}`, error);
}

test("here the subscription succeeds, and no check fails", { skip }, async () => {
  const { verdict, checks } = await diagnose();
  assert.notEqual(verdict, "fail", JSON.stringify(checks));
  assert.match(checks.at(-1)!.finding, /^an event of our own arrived within /);
  const { diagnosis, check } = examined([]);
  assert.deepEqual(diagnosis.checks.map(({ name }) => name), checks.map(({ name }) => name));
  assert.equal(check("subscription").verdict, "ok");
  assert.equal(check("kernel").verdict === "ok", filters);
});

test("our own listeners are distinguished from those of others", { skip }, async () => {
  const events = await watchProcesses({ events: ["sid"] });
  try {
    const found = (await diagnose()).checks.find(({ name }) => name === "listeners")!;
    assert.match(found.finding, /^\d+ sockets? listens? to process events: this program/);
  } finally {
    events.close();
  }
});

test("no descriptor stays open", { skip }, async () => {
  const descriptors = (diagnosis: Diagnosis): number =>
    Number(/^\d+/.exec(diagnosis.checks.find(({ name }) => name === "descriptors")!.finding)![0]);
  await diagnose();
  const before = descriptors(await diagnose());
  for (let i = 0; i < 40; i++) await diagnose();
  // The runtime opens and closes up to ten of its own in the meantime; one left by each diagnosis would be 40.
  const after = descriptors(await diagnose());
  assert(after <= before + 20, `${before} before, ${after} after 40 diagnoses`);
});

test("a program that called diagnose() ends by itself", { skip }, () => {
  const { status, out, error } = run(command(runtime, join(root, "tests/kernel/programs/diagnose.ts")));
  assert.deepEqual([status, out], [0, "20\n"], error);
});

test("another network namespace: the error's words", { skip: skipUnlessRoot }, () => {
  const prefix = ["unshare", "-n"];
  const { check } = examined(prefix);
  assertSameWords(check("network-namespace"), message(prefix));
  assertSameWords(check("subscription"), message(prefix));
  assert.match(check("process-events").finding, /^unknown: /);
});

test("a root without /sys: usage is known all the same", { skip: skipUnlessRoot }, () => {
  const { check } = examined(["unshare", "-m", "sh", "-c", 'mount -t tmpfs none /sys && exec "$@"', "sh"]);
  assert.equal(check("exec-records").verdict, "warn");
  assert.equal(check("usage").verdict, examined([]).check("usage").verdict);
});

test("another pid namespace: the error's words", { skip: skipUnlessRoot }, () => {
  const prefix = ["unshare", "-p", "-f"];
  const { check } = examined(prefix);
  assertSameWords(check("pid-namespace"), message(prefix));
  assertSameWords(check("subscription"), message(prefix));
});

test("another user namespace: the error's words", { skip: skipUnlessRoot }, () => {
  const prefix = ["unshare", "-U", "-r"];
  const { check } = examined(prefix);
  assert.equal(check("user-namespace").verdict, "fail");
  assert.equal(check("capabilities").verdict, "warn");
  assert.equal(check("subscription").verdict, "fail");
  const error = message(prefix);
  if (filters) assertSameWords(check("user-namespace"), error);
  assertSameWords(check("subscription"), error);
});

test(
  "user nobody: which capabilities are missing, and whether that matters",
  { skip: skipUnlessRoot },
  () => {
    const { check, status } = examined(NOBODY);
    assert.match(check("capabilities").finding, /^user 65534\b/);
    if (filters) {
      assert.equal(status, 0);
      assert.equal(check("capabilities").verdict, "warn");
      assert.equal(check("subscription").verdict, "ok", check("subscription").finding);
    } else {
      assert.equal(check("capabilities").verdict, "fail");
      assertSameWords(check("subscription"), message(NOBODY));
      assert(message(NOBODY).endsWith(check("capabilities").advice!));
    }
  },
);

test(
  "hidepid is reported to those whom it affects",
  { skip: skipUnlessRoot || (isSince(5, 8) ? false : "before 5.8 it would affect every /proc mount") },
  () => {
    const mounting = 'mount -t proc -o hidepid=2 proc /proc && exec "$@"';
    const prefix = ["unshare", "-m", "sh", "-c", mounting, "sh"];
    assert.equal(examined(prefix).check("proc").verdict, "ok");
    const { verdict, finding, advice } = examined([...prefix, ...NOBODY]).check("proc");
    assert.equal(verdict, "warn");
    assert.match(finding, /^hidepid=(invisible|2): /);
    assert.match(advice!, /CAP_SYS_PTRACE/);
  },
);

test("deno without permission: the flag that the error names", {
  skip: skip || (runtime === "deno" ? false : "only for Deno"),
}, () => {
  // Through a shell: where Deno is the program of its own child it adds permissions to the arguments.
  const deno = (flags: string, file: string): readonly string[] => {
    const call = `${binary("deno")} run --no-check --no-prompt --node-modules-dir=manual ${flags} ${file}`;
    return ["sh", "-c", `exec ${call} "$@"`, "sh"];
  };
  const { diagnosis, check } = examined([], deno("", doctor));
  assertSameWords(check("permission"), message([], deno("", opener)));
  for (const path of libcPaths(process.arch === "arm64" ? "arm64" : "x64")) {
    assert(check("permission").advice!.includes(path), path);
  }
  const others = diagnosis.checks.filter(({ name }) => name !== "runtime" && name !== "permission");
  for (const { finding } of others) assert.equal(finding, "unknown: C cannot be called");

  // Permission for that one library is enough for every check.
  assert.match(examined([]).check("libc").finding, /^(glibc \d+\.\d+|musl): opened /);
  const flag = /opened \S+, which is (\S+)$/.exec(examined([]).check("libc").finding)?.[1];
  const known = [flag, flag?.replace(/^\/usr/, "")].find((path) =>
    check("permission").advice!.includes(`${path}`)
  );
  if (known === undefined) return;
  const scoped = examined([], deno(`--allow-ffi=${known}`, doctor));
  assert.equal(scoped.check("permission").finding, `calling ${known} is allowed`);
  assert.equal(scoped.check("subscription").verdict, "ok");
});

test("node's permission model: FFI and the waiting thread", {
  skip: skip || (runtime === "node" ? false : "only for Node"),
}, () => {
  const node = (...rest: string[]): readonly string[] => [
    binary("node"),
    "--disable-warning=ExperimentalWarning",
    "--permission",
    "--allow-fs-read=*",
    ...rest,
  ];
  for (const flags of [[], ["--allow-ffi"]]) {
    const { check } = examined([], node(...flags, doctor));
    assertSameWords(check("permission"), message([], node(...flags, opener)));
    // What can be read without C is reported all the same.
    assert.equal(check("network-namespace").verdict, "ok");
  }
  const { check } = examined([], node("--allow-ffi", "--allow-worker", doctor));
  assert.equal(check("subscription").verdict, "ok");
});

test("an emulator is not taken for a kernel without a connector", {
  skip: skip || (runtime === "bun" ? whyNoEmulator() : "another runtime takes a minute to start in it"),
}, () => {
  const { check } = examined([emulator]);
  assert.equal(check("connector").finding, CONNECTOR_WITHHELD.finding);
  assert.equal(check("process-events").verdict, "ok"); // read from the kernel's /proc
});

test("with few descriptors doctor and watch give the same advice", {
  skip: skip || (runtime === "bun" ? false : "other runtimes do not start with so few"),
}, () => {
  const few = (descriptors: number): string[] => [
    ...["sh", "-c", `ulimit -n ${descriptors} && exec "$@"`, "sh"],
  ];
  // How many of them the runtime and the poller take differs. With too few, it does not start.
  const findings = [12, 11, 10, 9, 8, 7, 6, 5].flatMap((descriptors) => {
    const { out } = run([...few(descriptors), ...command(runtime, doctor), "doctor", "--json"]);
    if (out === "") return [];
    const { checks } = JSON.parse(out) as Diagnosis;
    return checks.filter(({ name }) => name === "subscription").map(({ finding }) => finding);
  });
  assert(findings.includes(TOO_FEW_DESCRIPTORS.finding), findings.join("; "));
  const program = join(root, "tests/kernel/programs/few_descriptors.ts");
  const errors = [0, 1, 2, 3, 4].map((left) =>
    run([...few(100), ...command(runtime, program), String(left)]).out.trim()
  );
  assert.match(errors[0]!, /EMFILE: raise the limit of open files: ulimit -n 1024$/);
  for (const error of errors) {
    assert.match(error, /^open$|EMFILE: raise the limit of open files: ulimit -n 1024$/);
  }
});

test("for people: a line for each check, its advice below, and a summary", { skip: skipUnlessRoot }, () => {
  const { status, out, error } = run(["unshare", "-n", ...command(runtime, doctor), "doctor"]);
  assert.equal(status, 1);
  assert.equal(error.replace(/^.*Warning.*\n|^\(Use .*\n/gm, ""), "");
  const lines = out.split("\n");
  const at = lines.findIndex((line) => line.startsWith("fail  network-namespace  this is not the "));
  assert.match(lines[at + 1]!, /^ +-> run it outside of the container, .*\(--net=host\)$/);
  assert.match(lines.at(-2)!, /^Processes cannot be watched here: 2 failures, \d warnings?\.$/);
  // deno-lint-ignore no-control-regex
  assert.doesNotMatch(out, /\x1b/);
  const painted = run(["unshare", "-n", ...command(runtime, doctor), "doctor", "--color", "always"]);
  assert(painted.out.includes("\x1b[31mfail  \x1b[0mnetwork-namespace"));
});
