import assert from "node:assert/strict";
import { test } from "node:test";
import { DecodeError } from "../../lib/errors/decode_error.ts";
import { ERRNO } from "../../lib/errors/errno.ts";
import { SyscallError } from "../../lib/errors/syscall_error.ts";
import { UnsupportedError } from "../../lib/errors/unsupported_error.ts";
import { CommandLines } from "../../lib/processes/command_lines.ts";
import { emptyInfo } from "../../lib/processes/info.ts";
import { recordableKernel } from "../bpf/btf_file.ts";
import { decodeCString } from "../../lib/wire/text.ts";
import { FakeLibc } from "../support/fake_libc.ts";

const BTF = "/sys/kernel/btf/vmlinux";
// Commands of bpf(2).
const BPF_MAP_CREATE = 0;
const BPF_PROG_LOAD = 5;
const BPF_RAW_TRACEPOINT_OPEN = 17;

/** A kernel that records execs, but for what `refuses` says: -errno for a command, or undefined. */
class RecordingLibc extends FakeLibc {
  readonly #refuses: (command: number) => number | undefined;

  constructor(refuses: (command: number) => number | undefined = () => undefined) {
    super();
    this.#refuses = refuses;
    this.files.write(BTF, recordableKernel());
    this.files.write("/proc/self/status", "CapEff:\t000001ffffffffff\nSeccomp:\t0\n");
  }

  override bpf(command: number): number {
    const refusal = this.#refuses(command);
    if (refusal !== undefined) return refusal;
    const opens = [BPF_MAP_CREATE, BPF_PROG_LOAD, BPF_RAW_TRACEPOINT_OPEN].includes(command);
    return opens ? this.eventfd(0, 0) : -ERRNO.ENOENT!;
  }
}

/** What `recorder` says; nothing may be left open. */
function outcome(libc: FakeLibc): string {
  const lines = new CommandLines(libc, "auto");
  lines.open();
  const { recorder } = lines.stats();
  assert.equal(lines.records === undefined, recorder !== "active");
  lines[Symbol.dispose]();
  lines[Symbol.dispose]();
  libc.assertAllClosed();
  return recorder;
}

const refusing = (command: number, errno: string): RecordingLibc =>
  new RecordingLibc((each) => each === command ? -ERRNO[errno]! : undefined);

test("where the kernel lets us, records are made until the end", () => {
  assert.equal(outcome(new RecordingLibc()), "active");
});

test("with too few descriptors for the rest of the watch, no records are made", () => {
  const few = new RecordingLibc();
  const open = few.open.bind(few);
  let left = 5;
  few.open = (path, flags) => {
    const isProbe = decodeCString(path) === "/proc/self/stat";
    return isProbe && left-- <= 0 ? -ERRNO["EMFILE"]! : open(path, flags);
  };
  assert.match(outcome(few), /^open failed with EMFILE/);
});

test("every refusal leaves /proc, and says why", () => {
  const noBtf = new RecordingLibc();
  noBtf.files.remove(BTF);
  assert.match(outcome(noBtf), /does not describe its structures/);

  for (
    const change of [
      (bytes: Uint8Array) => bytes.subarray(0, 60),
      (bytes: Uint8Array) => bytes.fill(255, 24, 60),
    ]
  ) {
    const corrupted = new RecordingLibc();
    corrupted.files.write(BTF, change(recordableKernel()));
    assert.match(outcome(corrupted), /\(BTF\) cannot be read: Cannot decode btf/i);
  }

  const other = new RecordingLibc();
  other.files.write(BTF, recordableKernel().map((byte) => byte === "g".charCodeAt(0) ? 120 : byte)); // no "arg_start"
  assert.match(outcome(other), /mm_struct\.arg_start/);

  const nobody = refusing(BPF_MAP_CREATE, "EPERM");
  nobody.files.write("/proc/self/status", "CapEff:\t0000000000000000\n");
  assert.match(outcome(nobody), /wants root, or CAP_BPF and CAP_PERFMON/);

  const half = refusing(BPF_PROG_LOAD, "EPERM");
  half.files.write("/proc/self/status", "CapEff:\t0000008000000000\n"); // CAP_BPF alone
  assert.match(outcome(half), /wants root, or CAP_BPF and CAP_PERFMON/);

  const filtered = refusing(BPF_MAP_CREATE, "EPERM");
  filtered.files.write("/proc/self/status", "CapEff:\t000001ffffffffff\nSeccomp:\t2\n");
  assert.match(outcome(filtered), /seccomp/);

  const locked = refusing(BPF_PROG_LOAD, "EINVAL");
  locked.files.write("/sys/kernel/security/lockdown", "none integrity [confidentiality]\n");
  assert.match(outcome(locked), /locked down/);

  assert.match(outcome(refusing(BPF_MAP_CREATE, "ENOSYS")), /CONFIG_BPF_SYSCALL/);
  assert.match(outcome(refusing(BPF_MAP_CREATE, "EINVAL")), /before 5\.8/);
  assert.match(outcome(refusing(BPF_RAW_TRACEPOINT_OPEN, "ENOENT")), /CONFIG_BPF_EVENTS/);
  assert.match(outcome(refusing(BPF_MAP_CREATE, "EMFILE")), /EMFILE/);
});

test("before 5.11 the limit of locked memory is raised for the maps, and set back", () => {
  let tries = 0;
  const libc = new RecordingLibc((command) =>
    command === BPF_MAP_CREATE && tries++ === 0 ? -ERRNO.EPERM! : undefined
  );
  const before = new Uint8Array(16).fill(9);
  libc.answers("prlimit", (...args) => {
    (args[3] as Uint8Array).set(before);
    return 0;
  });
  assert.equal(outcome(libc), "active");
  const limits = libc.calls.filter(({ name }) => name === "prlimit").map(({ args }) => args[2] as Uint8Array);
  assert.equal(limits.length, 2);
  assert(limits[0]!.every((byte) => byte === 255));
  assert.deepEqual([...limits[1]!], [...before]);
});

test("required records are there at once, or an error with the advice", () => {
  const lines = new CommandLines(new RecordingLibc(), "required");
  lines.open();
  assert.equal(lines.stats().recorder, "active");
  lines[Symbol.dispose]();

  const nobody = refusing(BPF_MAP_CREATE, "EPERM");
  nobody.files.write("/proc/self/status", "CapEff:\t0000000000000000\n");
  assert.throws(() => new CommandLines(nobody, "required").open(), (error) => {
    assert(error instanceof SyscallError);
    assert.match(
      error.message,
      /^Cannot record execs: BPF_MAP_CREATE failed with EPERM: .*CAP_BPF.*: run it as root/,
    );
    return true;
  });
  nobody.assertAllClosed();
  const corrupted = new RecordingLibc();
  corrupted.files.write(BTF, new Uint8Array(10));
  assert.throws(() => new CommandLines(corrupted, "required").open(), (error) => {
    assert(error instanceof UnsupportedError);
    assert.equal(error.reason, "no-exec-records");
    assert(error.cause instanceof DecodeError);
    return true;
  });
});

test("off asks the kernel nothing", () => {
  const libc = new RecordingLibc();
  const off = new CommandLines(libc, "off");
  off.open();
  assert.equal(off.stats().recorder, "off");
  assert.deepEqual(libc.names(), []);
});

test("stats() counts where each command line came from", () => {
  const lines = new CommandLines(new RecordingLibc(), "off");
  lines.count({ ...emptyInfo(1, undefined), commandLine: ["a"] }, true);
  lines.count({ ...emptyInfo(1, undefined), commandLine: ["a"] }, false);
  lines.count({ ...emptyInfo(1, undefined), commandLine: ["a"] }, false);
  lines.count(emptyInfo(1, "gone"), false);
  lines.countTakenBack();
  assert.deepEqual(lines.stats(), {
    fromRecords: 1,
    fromProc: 1,
    unknown: { gone: 1, superseded: 1 },
    dropped: 0,
    recorder: "off",
  });
});
