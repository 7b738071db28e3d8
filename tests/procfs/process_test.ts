import assert from "node:assert/strict";
import { test } from "node:test";
import fc from "fast-check";
import { DecodeError } from "../../lib/errors/decode_error.ts";
import { ERRNO } from "../../lib/errors/errno.ts";
import { SyscallError } from "../../lib/errors/syscall_error.ts";
import { MAX_COMMAND_LINE_BYTES, ProcFs } from "../../lib/procfs/process.ts";
import {
  decodePids,
  parseCgroup,
  parseCommandLine,
  parseExitCode,
  parseStat,
  parseUser,
} from "../../lib/procfs/text.ts";
import { decodeText, encodeText } from "../../lib/wire/text.ts";
import { direntBlock, FakeProc, statLine } from "../processes/fake_proc.ts";

/** What follows `(comm) ` in a line of /proc/PID/stat, as it was seen. */
function statBytes(fake: FakeProc, pid: number): Uint8Array {
  return encodeText(statLine(pid, fake.processes.get(pid)!, 0n));
}

const REST = "S 9 10 10 0 -1 4194560 130 0 0 0 4 3 0 0 20 0 3 0 4711 6402048 441 18446744073709551615 " +
  "94 95 140736000 0 0 0 0 0 0 1 0 0 17 1 0 0 0 0 0 6 7 8 1 2 3 4 0\n";

test("parseStat() reads the required fields in one pass", () => {
  const bytes = encodeText(`10 (sh) ${REST}`);
  assert.deepEqual(parseStat(bytes, bytes.length), {
    pid: 10,
    comm: "sh",
    state: "S",
    parentPid: 9,
    processGroup: 10,
    session: 10,
    terminalDevice: 0,
    kernelThread: false,
    threadCount: 3,
    cpuTicks: 7,
    startTimeTicks: 4711,
    stackStart: 140736000,
    inExec: false,
  });
});

test("parseExitCode() reads the last field of a whole line", () => {
  const codeOf = (text: string): number => parseExitCode(encodeText(text), encodeText(text).length);
  assert.equal(codeOf(`10 (sh) ${REST}`), 0);
  assert.equal(codeOf(`10 (sh) ${REST.replace(/0\n$/, "35584\n")}`), 35584);
  for (const cut of ["", "\n", `10 (sh) ${REST.trimEnd()}`, "10 (sh) S 1 \n"]) {
    assert(Number.isNaN(codeOf(cut)), cut);
  }
});

test("parseStat() accepts any name: spaces, parentheses, newlines, bytes that are not UTF-8, an empty one", () => {
  for (
    const [written, comm] of [
      ["a b", "a b"],
      [") R 1 1 (", ") R 1 1 ("],
      ["((", "(("],
      ["))", "))"],
      ["a\nb", "a\nb"],
      ["", ""],
      ["\udcff\udc80x", "\udcff\udc80x"],
      ["é", "é"],
    ]
  ) {
    const bytes = encodeText(`10 (${written}) ${REST}`);
    assert.equal(parseStat(bytes, bytes.length)?.comm, comm, JSON.stringify(written));
  }
});

test("parseStat() recognizes a kernel thread, and a process with a terminal", () => {
  const thread = encodeText(`2 (kthreadd) S 0 0 0 0 -1 2129984 0 0 0 0 0 0 0 0 20 0 1 0 1 0 0 9 0 0 0 0\n`);
  assert.equal(parseStat(thread, thread.length)?.kernelThread, true);
  const shell = encodeText(`10 (sh) S 9 10 11 34816 10 4194560 0 0 0 0 0 0 0 0 20 0 1 0 77 0 0 9 0 0 0 0\n`);
  const stat = parseStat(shell, shell.length)!;
  assert.deepEqual([stat.session, stat.startTimeTicks, stat.kernelThread], [11, 77, false]);
});

test("parseStat() rejects a truncated line", () => {
  const bytes = encodeText(`10 (sh) ${REST}`);
  const whole = parseStat(bytes, bytes.length);
  for (let length = 0; length < bytes.length; length++) {
    const stat = parseStat(bytes, length);
    if (stat !== undefined) assert.deepEqual(stat, whole);
  }
});

test("parseStat(), parseUser(), parseCgroup(), parseCommandLine() never throw", () => {
  const likely = fc.constantFrom(...encodeText("0123456789 ()\n\\:Uid\t-S"));
  const bytes = fc.oneof(
    fc.uint8Array({ maxLength: 300 }),
    fc.array(likely, { maxLength: 300 }).map((b) => Uint8Array.from(b)),
  );
  fc.assert(fc.property(bytes, fc.nat(300), (all, cut) => {
    const length = Math.min(cut, all.length);
    parseStat(all, length);
    parseUser(all, length);
    parseCgroup(all, length);
    parseCommandLine(all, length, false);
    parseCommandLine(all, length, true);
  }));
});

test("ProcFs.stat() returns every name that the kernel can have, escaped or not", () => {
  const name = fc.uint8Array({ minLength: 0, maxLength: 15 }).map((b) =>
    decodeText(b.filter((byte) => byte !== 0))
  );
  const tricky = fc.string({ unit: fc.constantFrom("\\", "n", "\n", ")", "(", " "), maxLength: 15 });
  fc.assert(fc.property(fc.oneof(name, tricky), fc.boolean(), (comm, escapes) => {
    const fake = new FakeProc();
    fake.escapes = escapes;
    fake.add(7, { comm });
    assert.equal(new ProcFs(fake.libc).stat(7)?.comm, comm);
  }));
});

test("parseUser() reads real and effective ids, and no name can imitate them", () => {
  const bytes = encodeText("Name:\tUid:\\n\nUmask:\t0022\nUid:\t1000\t4294967294\t0\t0\nGid:\t5\t5\t5\t5\n");
  assert.deepEqual(parseUser(bytes, bytes.length), { uid: 1000, effectiveUid: 4294967294 });
  assert.equal(parseUser(bytes, 40), undefined);
  assert.equal(parseUser(bytes, 0), undefined);
});

test("parseCommandLine() splits at NULs, with or without one at the end", () => {
  const cases: [string, string[]][] = [
    ["sh\0-c\0exit 3\0", ["sh", "-c", "exit 3"]],
    ["nginx: worker process", ["nginx: worker process"]],
    ["", []],
    ["\0", []], // what the kernel makes of no arguments at all
    ["a\0\0", ["a", ""]],
    ["a\0\0\0b\0", ["a", "", "", "b"]],
    ["a b\nc\0\udcfe\0", ["a b\nc", "\udcfe"]],
    [`a${"\0".repeat(9)}`, ["a", ...Array(8).fill("")]],
    [`title${"\0".repeat(200)}`, ["title"]],
    ["\0".repeat(4), ["", "", "", ""]],
  ];
  for (const [written, args] of cases) {
    const bytes = new Uint8Array(4097);
    const text = encodeText(written);
    bytes.set(text);
    assert.deepEqual(
      parseCommandLine(bytes, text.length, true),
      { args, truncated: false, present: written !== "" },
      JSON.stringify(written),
    );
  }
});

test("parseCommandLine(): a title has no arguments, unless the program has just started", () => {
  const cases: [string, string[]][] = [
    ["title\0\0\0", ["title"]],
    ["prog\0\0", ["prog"]],
    ["prog\0a\0\0", ["prog", "a", ""]],
    ["\0\0\0", []],
    ["\0a\0", ["", "a"]],
    ["title", ["title"]],
  ];
  for (const [written, args] of cases) {
    const bytes = new Uint8Array(4097);
    const text = encodeText(written);
    bytes.set(text);
    assert.deepEqual(parseCommandLine(bytes, text.length, false).args, args, JSON.stringify(written));
  }
});

test("ProcFs: terminals by their device number", () => {
  const fake = new FakeProc();
  fake.files.set("/sys/dev/char/4:1", encodeText("../../devices/virtual/tty/tty1"));
  const procFs = new ProcFs(fake.libc);
  assert.deepEqual(
    [0x8803, 0x8900, 0x108801, 0xfff0_88ff | 0, 0x0401, 0x0502].map((n) => procFs.terminal(n)),
    [
      "pts/3",
      "pts/256",
      "pts/257",
      "pts/1048575",
      "tty1",
      "5:2",
    ],
  );
  fake.add(7);
  const line = new TextDecoder().decode(statBytes(fake, 7)).replace(" 0 -1 ", " -7829263 -1 ");
  fake.files.set("/proc/7/stat", encodeText(line));
  assert.equal(procFs.stat(7)?.terminalDevice, 0xff88_88f1);
});

test("ProcFs: no login user, a login user, and a kernel without that information", () => {
  const fake = new FakeProc();
  fake.add(7);
  const procFs = new ProcFs(fake.libc);
  assert.equal(procFs.loginUid(7), undefined);
  fake.files.set("/proc/7/loginuid", encodeText("4294967295"));
  fake.files.set("/proc/7/sessionid", encodeText("12"));
  assert.deepEqual([procFs.loginUid(7), procFs.sessionId(7)], [null, 12]);
  fake.files.set("/proc/7/loginuid", encodeText("x"));
  assert.equal(procFs.loginUid(7), undefined);
  assert.equal(procFs.missing, "failed");
});

test("ProcFs.commandLine() truncates at its limit and reports it", () => {
  const fake = new FakeProc();
  const procFs = new ProcFs(fake.libc, { commandLineBytes: 8 });
  fake.add(7, { args: ["1234567"] });
  assert.deepEqual(procFs.commandLine(7, true), { args: ["1234567"], truncated: false, present: true });
  fake.add(7, { args: ["12345678"] });
  assert.deepEqual(procFs.commandLine(7, true), { args: ["12345678"], truncated: true, present: true });
  fake.add(7, { args: ["1", "2", "3", "4", "5"] });
  assert.deepEqual(procFs.commandLine(7, true), {
    args: ["1", "2", "3", "4"],
    truncated: true,
    present: true,
  });
});

test("ProcFs rejects an invalid limit", () => {
  for (const commandLineBytes of [0, -1, 1.5, NaN, MAX_COMMAND_LINE_BYTES + 1]) {
    assert.throws(() => new ProcFs(new FakeProc().libc, { commandLineBytes }), RangeError);
  }
  new ProcFs(new FakeProc().libc, { commandLineBytes: MAX_COMMAND_LINE_BYTES });
});

test("parseCgroup() uses the line of the unified hierarchy", () => {
  const bytes = encodeText("12:cpu:/a\n1:name=systemd:/b\n0::/system.slice/x y.service (deleted)\n");
  assert.equal(parseCgroup(bytes, bytes.length), "/system.slice/x y.service (deleted)");
  assert.equal(parseCgroup(bytes, bytes.length - 1), undefined);
  assert.equal(parseCgroup(encodeText("4:cpu:/a\n"), 9), undefined);
});

test("ProcFs reads every field of a process and leaves nothing open", () => {
  const fake = new FakeProc();
  fake.add(4194304, {
    comm: "a (b)",
    args: ["x", "y"],
    exe: "/opt/x",
    uid: 5,
    effectiveUid: 6,
    cgroup: "/a",
  });
  const procFs = new ProcFs(fake.libc);
  const stat = procFs.stat(4194304)!;
  assert.deepEqual([stat.pid, stat.comm, stat.startTimeTicks], [4194304, "a (b)", 100000]);
  assert.deepEqual(procFs.user(4194304), { uid: 5, effectiveUid: 6 });
  assert.deepEqual(procFs.commandLine(4194304, true), { args: ["x", "y"], truncated: false, present: true });
  assert.equal(procFs.exe(4194304), "/opt/x");
  assert.equal(procFs.cgroup(4194304), "/a");
  assert.equal(procFs.missing, undefined);
  assert.equal(fake.openCount, 0);
});

test("ProcFs distinguishes a missing process, denied access and I/O errors for each field", () => {
  const fake = new FakeProc();
  fake.add(7);
  const procFs = new ProcFs(fake.libc);
  const fields = ["stat", "status", "cmdline", "exe", "cgroup"] as const;
  const read = (field: string, pid: number): unknown =>
    ({
      stat: () => procFs.stat(pid),
      status: () => procFs.user(pid),
      cmdline: () => procFs.commandLine(pid, true),
      exe: () => procFs.exe(pid),
      cgroup: () => procFs.cgroup(pid),
    })[field as typeof fields[number]]();
  const causes = {
    ENOENT: "gone",
    ESRCH: "gone",
    EACCES: "refused",
    EPERM: "refused",
    EMFILE: "failed",
    EIO: "failed",
  };
  for (const field of fields) {
    for (const [code, missing] of Object.entries(causes)) {
      fake.files.set(`/proc/7/${field}`, -ERRNO[code]!);
      assert.equal(read(field, 7), undefined);
      assert.equal(procFs.missing, missing, `${field} ${code}`);
    }
    fake.files.delete(`/proc/7/${field}`);
    assert.notEqual(read(field, 7), undefined);
    fake.files.set(`/proc//${field}`, encodeText(`0 (x) ${REST}Uid:\t1\t1\n0::/\n`)); // not a process's
    assert.equal(read(field, 8), undefined);
    assert.equal(procFs.missing, "gone");
    assert.equal(read(field, 0), undefined);
    assert.equal(procFs.missing, "gone");
  }
  // The kernel writes 0 once a process has been reaped while its status was open.
  fake.add(9, { tgid: 0 });
  assert.equal(procFs.processOf(9), undefined);
  assert.equal(procFs.missing, "gone");
  // Files that are cut short or empty: a process that ended while its file was open, or nonsense.
  fake.files.set("/proc/7/stat", new Uint8Array(0));
  assert.equal(procFs.stat(7), undefined);
  assert.equal(procFs.missing, "gone");
  fake.files.set("/proc/7/stat", encodeText("7 (x) S 1"));
  assert.equal(procFs.stat(7), undefined);
  assert.equal(procFs.missing, "failed");
  // A link that fills the buffer may be half a path.
  fake.files.set("/proc/7/exe", new Uint8Array(5000).fill(97));
  assert.equal(procFs.exe(7), undefined);
  assert.equal(procFs.missing, "failed");
  assert.equal(fake.openCount, 0);
});

test("ProcFs: the file of a failed read is closed, and an interrupted read is repeated, but not for ever", () => {
  const fake = new FakeProc();
  fake.add(7);
  let failures = 3;
  let errno = ERRNO["EINTR"]!;
  const libc = {
    ...fake.libc,
    read: (fd: number, into: Uint8Array) => failures-- > 0 ? -errno : fake.libc.read(fd, into),
  };
  const procFs = new ProcFs(libc);
  assert.equal(procFs.stat(7)?.pid, 7);
  failures = Infinity;
  assert.equal(procFs.stat(7), undefined);
  assert.equal(procFs.missing, "failed");
  failures = 1;
  errno = ERRNO["ESRCH"]!;
  assert.equal(procFs.stat(7), undefined);
  assert.equal(procFs.missing, "gone");
  assert.equal(fake.openCount, 0);
});

test("ProcFs.pids() lists the processes, in several blocks", () => {
  const fake = new FakeProc();
  const expected = [];
  for (let pid = 1; pid <= 2000; pid++) {
    fake.add(pid);
    expected.push(pid);
  }
  assert.deepEqual(new ProcFs(fake.libc).pids(), expected);
  assert.equal(fake.openCount, 0);
});

test("ProcFs.pids() throws a clear error if /proc cannot be listed", () => {
  const fake = new FakeProc();
  fake.directory = -ERRNO["ENOMEM"]!;
  assert.throws(
    () => new ProcFs(fake.libc).pids(),
    (error) => error instanceof SyscallError && error.call === "getdents64" && error.code === "ENOMEM",
  );
  const libc = { ...fake.libc, open: () => -ERRNO["ENOENT"]! };
  assert.throws(
    () => new ProcFs(libc).pids(),
    /Cannot list the processes: open failed with ENOENT: is \/proc mounted/,
  );
  fake.directory = direntBlock(["1", "22"]).subarray(0, 30);
  assert.throws(() => new ProcFs(fake.libc).pids(), DecodeError);
  assert.equal(fake.openCount, 0);
});

test("decodePids() skips other names and never reads past the end", () => {
  const block = direntBlock([".", "..", "1", "12a", "a12", "4194304", "0", "self"]);
  const pids: number[] = [];
  decodePids(block, block.length, pids);
  assert.deepEqual(pids, [1, 4194304]);
  fc.assert(fc.property(fc.uint8Array({ maxLength: 100 }), (bytes) => {
    const found: number[] = [];
    try {
      decodePids(bytes, bytes.length, found);
    } catch (error) {
      assert(error instanceof DecodeError);
    }
    assert(found.length <= 5);
  }));
  const endless = new Uint8Array(32); // a record of length 0
  assert.throws(() => decodePids(endless, 32, []), DecodeError);
});
