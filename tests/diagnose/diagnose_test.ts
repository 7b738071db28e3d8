import assert from "node:assert/strict";
import * as fs from "node:fs";
import { test } from "node:test";
import { runChecks } from "../../lib/diagnose/diagnose.ts";
import { fileCalls } from "../../lib/diagnose/context.ts";
import { denoForbidsLibc, NO_CONNECTOR, nodeWithoutFfi, unsupported } from "../../lib/errors/advice.ts";
import { ERRNO } from "../../lib/errors/errno.ts";
import { UnsupportedError } from "../../lib/errors/unsupported_error.ts";
import { openProcessWatch } from "../../lib/processes/open.ts";
import { readDirectory, readFile, readLink, readTextFile } from "../../lib/procfs/file.ts";
import { fakeContext, KernelLibc } from "./context.ts";

const NAMES = [
  "runtime",
  "permission",
  "libc",
  "kernel",
  "connector",
  "network-namespace",
  "pid-namespace",
  "user-namespace",
  "time-namespace",
  "process-events",
  "identifiers",
  "capabilities",
  "seccomp",
  "receive-buffer",
  "listeners",
  "proc",
  "descriptors",
  "exec-records",
  "usage",
  "subscription",
];

test("on a good system every check is ok", async () => {
  const here = fakeContext();
  const { verdict, checks } = await runChecks(here);
  assert.deepEqual(checks.map(({ name }) => name), NAMES);
  for (const check of checks) assert.equal(check.verdict, "ok", `${check.name}: ${check.finding}`);
  assert.equal(verdict, "ok");
  here.files.assertAllClosed();
});

test("the verdict is the worst of the checks", async () => {
  const old = await runChecks(fakeContext(new KernelLibc({ filters: false })));
  assert.equal(old.verdict, "warn");
  const here = fakeContext();
  here.files.files.link("/proc/self/ns/pid", "pid:[1]");
  assert.equal((await runChecks(here)).verdict, "fail");
});

test("without permission to call C every check that needs it says so, and none throws", async () => {
  const { host } = fakeContext(undefined, { runtime: "deno" });
  const refusal = unsupported("diagnose", denoForbidsLibc(["/lib/libc.so.6", "/lib64/libc.so.6"]));
  const { verdict, checks } = await runChecks({ host, system: undefined, refusal, files: undefined });
  assert.equal(verdict, "fail");
  assert.deepEqual(checks.map(({ name }) => name), NAMES);
  assert.deepEqual(checks.map(({ verdict }) => verdict), [
    "ok",
    "fail",
    ...new Array<string>(NAMES.length - 2).fill("warn"),
  ]);
  for (const { finding } of checks.slice(2)) assert.equal(finding, "unknown: C cannot be called");
});

test("an old Node makes the checks that do not need C", async () => {
  const { host } = fakeContext(undefined, { runtime: "node", version: "20.11.1" });
  const refusal = unsupported("diagnose", nodeWithoutFfi("v20.11.1"));
  const { verdict, checks } = await runChecks({ host, system: undefined, refusal, files: new KernelLibc() });
  assert.equal(verdict, "fail");
  const unknown = checks.filter(({ finding }) => finding.startsWith("unknown: ")).map(({ name }) => name);
  assert.deepEqual(unknown, [
    "permission",
    "libc",
    "connector",
    "receive-buffer",
    "exec-records",
    "usage",
    "subscription",
  ]);
  assert.match(checks[0]!.finding, /Node v20\.11\.1/);
});

test("a check that throws is reported as unknown", async () => {
  const here = fakeContext();
  const broken = {
    ...here,
    files: {
      ...here.files,
      open: () => {
        throw new Error("broken");
      },
    } as never,
  };
  const { checks } = await runChecks(broken);
  assert.equal(checks.find(({ name }) => name === "kernel")!.finding, "unknown: broken");
});

test("whatever call fails, no check throws, hangs or leaves a descriptor open", async () => {
  const whole = fakeContext();
  await runChecks(whole);
  const certain = ["close", "munmap", "clock_gettime"];
  const calls = whole.files.calls.filter(({ name }) => !certain.includes(name));
  const counts = new Map<string, number>();
  let points = 0;
  for (const { name } of calls) {
    const before = counts.get(name) ?? 0;
    counts.set(name, before + 1);
    if (name === "getpid" || name === "prctl") continue;
    // This call fails; the ones before it succeed.
    const here = fakeContext();
    here.files.answers(name, ...new Array<() => undefined>(before).fill(() => undefined), -ERRNO.ENOMEM!);
    const { checks } = await runChecks(here);
    assert.equal(checks.length, NAMES.length);
    here.files.assertAllClosed();
    points++;
  }
  assert(points > 40, `${points} points`);
});

test("an error has the finding and the advice of the check as its message", async () => {
  const here = fakeContext();
  here.files.files.remove("/proc/net/connector");
  here.files.answers("socket", -ERRNO.EPROTONOSUPPORT!);
  const check = (await runChecks(here)).checks.find(({ name }) => name === "connector")!;
  here.files.answers("socket", -ERRNO.EPROTONOSUPPORT!);
  assert.throws(
    () => openProcessWatch(here.system),
    (error) =>
      error instanceof UnsupportedError && error.reason === NO_CONNECTOR.reason &&
      error.message === `Cannot watch processes: ${check.finding}: ${check.advice}`,
  );
});

test("files are read by the runtime's own functions where C cannot be called", () => {
  const libc = fileCalls(fs as never, process.arch === "arm64" ? "arm64" : "x64");
  const path = new URL(import.meta.url).pathname;
  assert.equal(readTextFile(libc, path), fs.readFileSync(path, "utf8"));
  assert.equal(readFile(libc, "/nonexistent/file"), -ERRNO.ENOENT!);
  assert.equal(readFile(libc, "/"), -ERRNO.EISDIR!);
  assert.match(readLink(libc, "/proc/self/ns/pid") ?? "", /^pid:\[\d+\]$/);
  assert.equal(readLink(libc, "/nonexistent/link"), undefined);
  assert.deepEqual(readDirectory(libc, "/proc"), [], "the runtime has no such call");
});
