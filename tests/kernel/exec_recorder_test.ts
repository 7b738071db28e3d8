import assert from "node:assert/strict";
import { spawnSync } from "node:child_process";
import process from "node:process";
import { test } from "node:test";
import { openSystem } from "../../lib/system.ts";
import { loadRawTracepointProgram } from "../../lib/bpf/bpf.ts";
import { SyscallError } from "../../lib/errors/syscall_error.ts";
import { argumentsOf, type ExecRecord, RECORD_ARG_BYTES } from "../../lib/processes/exec_record.ts";
import { ExecRecorder } from "../../lib/processes/exec_recorder.ts";
import { ExecRecords } from "../../lib/processes/exec_records.ts";

const { libc } = await openSystem("test exec records");
const skip = whyNoRecords();

/** Why no program can be loaded here, or false. */
function whyNoRecords(): string | false {
  try {
    ExecRecorder.open(libc, "record execs")[Symbol.dispose]();
    return false;
  } catch (error) {
    if (process.env.CONNECTOR_KERNEL_TESTS === "required" && !(error instanceof SyscallError)) throw error;
    return (error as Error).message;
  }
}

/** A text that only this run of this test passes as an argument. */
const mark = `exec-recorder-test-${process.pid}`;

function argsOf(record: ExecRecord | undefined): readonly string[] | undefined {
  return record && argumentsOf(record, Infinity)?.args;
}

function readAll(recorder: ExecRecorder): ExecRecord[] {
  const records: ExecRecord[] = [];
  recorder.read((record) => records.push(record));
  return records;
}

/** Our own execs; other programs on this machine exec as well. */
function own(records: readonly ExecRecord[]): ExecRecord[] {
  return records.filter((record) => argsOf(record)?.some((argument) => argument.includes(mark)));
}

test("every exec has a record, two of one process as well, in their order", { skip }, () => {
  using recorder = ExecRecorder.open(libc, "record execs");
  const pids: number[] = [];
  for (let i = 0; i < 100; i++) {
    pids.push(spawnSync("/bin/sh", ["-c", `exec /bin/true ${mark} ${i}`]).pid);
  }
  const records = own(readAll(recorder));
  assert.deepEqual(
    records.map((record) => ({
      pid: record.pid,
      args: argsOf(record),
      path: record.path,
      comm: record.comm,
    })),
    pids.flatMap((pid, i) => [
      { pid, args: ["/bin/sh", "-c", `exec /bin/true ${mark} ${i}`], path: "/bin/sh", comm: "sh" },
      { pid, args: ["/bin/true", mark, `${i}`], path: "/bin/true", comm: "true" },
    ]),
  );
  assert(records.every(({ timestampNs }, i) => i === 0 || timestampNs > records[i - 1]!.timestampNs));
  assert.equal(recorder.dropped, 0);
});

test("arguments that a record has no room for are cut, and it says so", { skip }, () => {
  using recorder = ExecRecorder.open(libc, "record execs");
  const long = "y".repeat(100_000);
  spawnSync("/bin/true", [mark, long]);
  const room = RECORD_ARG_BYTES - `/bin/true ${mark} `.length;
  spawnSync("/bin/true", [mark, "x".repeat(room - 1)]); // fits exactly
  spawnSync("/bin/true", [mark, "z".repeat(room)]); // its NUL is one too many
  const [cut, exact, over] = own(readAll(recorder));
  assert.equal(argumentsOf(cut!, Infinity)!.truncated, true);
  assert.equal(cut!.argumentLength, `/bin/true ${mark} `.length + long.length + 1);
  assert.deepEqual(argsOf(cut), ["/bin/true", mark, "y".repeat(room)]);
  assert.equal(argumentsOf(exact!, Infinity)!.truncated, false);
  assert.deepEqual(argsOf(exact), ["/bin/true", mark, "x".repeat(room - 1)]);
  assert.equal(argumentsOf(over!, Infinity)!.truncated, true);
});

test("empty arguments stay, and a script's path is the script's", { skip }, () => {
  using recorder = ExecRecorder.open(libc, "record execs");
  spawnSync("/bin/true", ["", mark, ""]);
  const [record] = own(readAll(recorder));
  assert.deepEqual(argsOf(record), ["/bin/true", "", mark, ""]);
  assert.equal(record!.uid, process.getuid!());
  assert.equal(record!.gid, process.getgid!());
});

test("a record says whether the process has our root directory", { skip }, () => {
  using recorder = ExecRecorder.open(libc, "record execs");
  spawnSync("/bin/true", [mark, "same"]);
  spawnSync("unshare", ["--mount", "/bin/true", mark, "other mount"]);
  spawnSync("chroot", ["/usr", "/bin/true", mark, "other directory"]);
  const records = own(readAll(recorder)).filter(({ comm }) => comm === "true");
  assert.deepEqual(records.map((record) => [argsOf(record)![2], record.sharesRoot]), [
    ["same", true],
    ["other mount", false],
    ["other directory", false],
  ]);
});

test("what there was no room for is counted, and the first ones stay", { skip }, () => {
  using recorder = ExecRecorder.open(libc, "record execs");
  // 4 MiB have room for a little more than a thousand of these.
  const script = `i=0; while [ $i -lt 1200 ]; do i=$((i+1)); /bin/true ${mark} $i $0; done`;
  spawnSync("/bin/sh", ["-c", script, "x".repeat(4000)]);
  const full = own(readAll(recorder)).map((record) => argsOf(record)![2]);
  assert(full.length > 500 && full.length < 1200, `${full.length}`);
  assert.deepEqual(full.slice(1), full.slice(1).map((_, i) => `${i + 1}`));
  // A gap is seen by the next record of the same processor.
  const processors = "for cpu in 0 1 2 3 4 5 6 7; do taskset -c $cpu /bin/true; done 2>/dev/null";
  spawnSync("/bin/sh", ["-c", processors]);
  readAll(recorder);
  assert(recorder.dropped >= 1201 - full.length, `${recorder.dropped} + ${full.length}`);
  // After that there is room again.
  spawnSync("/bin/true", [mark, "last"]);
  assert.equal(argsOf(own(readAll(recorder)).at(-1))!.at(-1), "last");
});

test("two watches share one program; each gets every record, and a record is taken once", { skip }, () => {
  using first = ExecRecords.open(libc, "record execs");
  const second = ExecRecords.open(libc, "record execs");
  const pid = spawnSync("/bin/sh", ["-c", `exec /bin/true ${mark}`]).pid;
  first.read();
  const end = 2n ** 63n;
  assert.deepEqual(argsOf(second.take(pid, end)), ["/bin/true", mark]);
  assert.equal(second.take(pid, end), undefined);
  const shell = first.take(pid, first.take(pid, 0n)?.timestampNs ?? end);
  assert.equal(argsOf(shell)!.at(-1), mark, "the last one before the event counts");
  second[Symbol.dispose]();
  spawnSync("/bin/true", [mark]);
  first.read();
  first[Symbol.dispose]();
});

test("what the kernel's verifier has against a program is in the error", { skip }, () => {
  const load = (): number => loadRawTracepointProgram(libc, [{ op: "exit" }], "cn_refused", "record execs");
  assert.throws(load, (error) => {
    assert(error instanceof SyscallError);
    assert.match(
      error.message,
      /^Cannot record execs: BPF_PROG_LOAD failed with EACCES: the verifier says: .*R0/s,
    );
    return true;
  });
});
