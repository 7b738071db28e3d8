import assert from "node:assert/strict";
import { mkdirSync, mkdtempSync, readFileSync, rmSync, symlinkSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import process from "node:process";
import { test } from "node:test";
import fc from "fast-check";
import type { Libc } from "../../ffi/libc.ts";
import { openSystem } from "../../lib/system.ts";
import { ERRNO } from "../../lib/errors/errno.ts";
import { fixedBytes, LITTLE, viewOf } from "../../lib/wire/bytes.ts";
import { encodeCString } from "../../lib/wire/text.ts";

const { libc } = await openSystem("test libc");

const O_RDWR_CREAT_CLOEXEC = 0o2000102;
const O_RDONLY_CLOEXEC = 0o2000000;
/** Not the same on every processor. */
const O_DIRECTORY = process.arch === "arm64" ? 0o40000 : 0o200000;

/** Runs `body` in a folder of its own, which is gone afterwards. */
function inFolder(body: (folder: string) => void): void {
  const folder = mkdtempSync(join(tmpdir(), "connector-ffi-"));
  try {
    body(folder);
  } finally {
    rmSync(folder, { recursive: true, force: true });
  }
}

/** Calls that fail, each with another error, and calls that succeed and leave errno alone or not. */
function calls(libc: Libc, plainFd: number): readonly (readonly [string, () => number, number])[] {
  const four = fixedBytes(4);
  const missing = encodeCString("/there/is/no/such/file");
  const under = encodeCString("/proc/self/stat/x");
  const plain = encodeCString("/proc/self/stat");
  const root = encodeCString("/");
  const time = fixedBytes(16);
  const event = fixedBytes(16);
  return [
    ["close(-1)", () => libc.close(-1), -ERRNO.EBADF!],
    ["read(-1)", () => libc.read(-1, four), -ERRNO.EBADF!],
    ["open of nothing", () => libc.open(missing, O_RDONLY_CLOEXEC), -ERRNO.ENOENT!],
    ["open under a file", () => libc.open(under, O_RDONLY_CLOEXEC), -ERRNO.ENOTDIR!],
    ["open of a folder for writing", () => libc.open(root, 2), -ERRNO.EISDIR!],
    ["readlink of a file", () => libc.readlink(plain, four), -ERRNO.EINVAL!],
    ["getsockname of a file", () => libc.getsockname(plainFd, time), -ERRNO.ENOTSOCK!],
    ["setsockopt of a file", () => libc.setsockopt(plainFd, 1, 8, four), -ERRNO.ENOTSOCK!],
    ["getdents64 of a file", () => libc.getdents64(plainFd, time), -ERRNO.ENOTDIR!],
    ["socket of no family", () => libc.socket(9999, 3, 0), -ERRNO.EAFNOSUPPORT!],
    ["epoll_ctl of a file", () => libc.epoll_ctl(plainFd, 1, plainFd, event), -ERRNO.EPERM!],
    ["getpid()", () => libc.getpid(), process.pid],
    ["clock_gettime()", () => libc.clock_gettime(1, time), 0],
    ["read of nothing", () => libc.read(plainFd, four, 0), 0],
  ];
}

test("every call answers its own errno, whatever was called before", () => {
  inFolder((folder) => {
    const fd = libc.open(encodeCString(join(folder, "plain")), O_RDWR_CREAT_CLOEXEC, 0o600);
    assert(fd >= 0);
    const all = calls(libc, fd);
    let made = 0;
    let disturbed = 0;
    fc.assert(
      fc.property(fc.array(fc.nat(all.length - 1), { minLength: 50, maxLength: 200 }), (order) => {
        for (const index of order) {
          const [name, call, expected] = all[index]!;
          let answer = call();
          // Node's engine now and then makes a system call of its own between ours and the reading of errno. Calls
          // whose errno matters are repeated in ffi/bind.ts.
          if (answer !== expected && disturbed++ < 2) answer = call();
          assert.equal(answer, expected, name);
          made++;
        }
      }),
      { numRuns: 150 },
    );
    assert(made > 5_000);
    assert.equal(libc.close(fd), 0);
  });
});

test("errno survives garbage, promises and output in between", async () => {
  let garbage: unknown[] = [];
  for (let i = 0; i < 3_000; i++) {
    const closed = libc.close(-1);
    garbage.push(new Uint8Array(2_000), { closed });
    const opened = libc.open(encodeCString(`/there/is/no/${i}`), O_RDONLY_CLOEXEC);
    if (i % 500 === 0) {
      garbage = [];
      await new Promise((resolve) => setTimeout(resolve, 0));
      readFileSync("/dev/null");
    }
    assert.equal(closed, -ERRNO.EBADF!);
    assert.equal(opened, -ERRNO.ENOENT!);
  }
});

test("addressOf() is stable, and follows where a part begins", async () => {
  const buffers = [1, 8, 60, 64, 1000, 1001, 4096, 1 << 20].map((size) => fixedBytes(size));
  const before = buffers.map((bytes) => libc.addressOf(bytes));
  for (const [i, bytes] of buffers.entries()) {
    bytes[0] = i;
    void bytes.buffer;
    new DataView(bytes.buffer).setUint8(bytes.length - 1, 1);
  }
  // Enough garbage for collections between.
  for (let round = 0; round < 20; round++) {
    const garbage = Array.from({ length: 500 }, () => new Uint8Array(1_000));
    assert.equal(garbage.length, 500);
    await new Promise((resolve) => setTimeout(resolve, 0));
  }
  assert.deepEqual(buffers.map((bytes) => libc.addressOf(bytes)), before);
  for (const [i, bytes] of buffers.entries()) {
    const address = before[i]!;
    assert(address > 0n && address < 1n << 48n);
    const part = bytes.length >> 1;
    if (part < bytes.length) assert.equal(libc.addressOf(bytes.subarray(part)), address + BigInt(part));
    for (const [j, other] of before.entries()) {
      const apart = i === j || other >= address + BigInt(bytes.length) ||
        other + BigInt(buffers[j]!.length) <= address;
      assert(apart, "two buffers overlap");
    }
  }
});

test("addressOf() is where C writes", () => {
  // recvmmsg writes to the addresses in a struct msghdr: the tests of DatagramBatch show that. Here a part of a buffer is written by read(), and its surroundings stay.
  inFolder((folder) => {
    writeFileSync(join(folder, "letters"), "abcdefgh");
    const fd = libc.open(encodeCString(join(folder, "letters")), O_RDONLY_CLOEXEC);
    const bytes = fixedBytes(16).fill(0x2e);
    assert.equal(libc.read(fd, bytes.subarray(3), 2), 2);
    assert.equal(libc.read(fd, bytes.subarray(8, 14)), 6);
    assert.equal(libc.read(fd, bytes), 0);
    assert.equal(new TextDecoder().decode(bytes), "...ab...cdefgh..");
    libc.close(fd);
  });
});

test("pread(), pwrite(), ftruncate() and fdatasync() work on a real file, beyond 4 GiB too", () => {
  inFolder((folder) => {
    const path = encodeCString(join(folder, "log"));
    const fd = libc.open(path, O_RDWR_CREAT_CLOEXEC, 0o600);
    assert(fd >= 0);
    const text = fixedBytes(6);
    text.set(new TextEncoder().encode("regent"));
    assert.equal(libc.pwrite(fd, text, 6, 10), 6);
    assert.equal(libc.pwrite(fd, text, 3, 0), 3);
    const far = 5 * 2 ** 30 + 1;
    assert.equal(libc.pwrite(fd, text, 6, far), 6);
    assert.equal(libc.fdatasync(fd), 0);
    const into = fixedBytes(32).fill(0x2e);
    assert.equal(libc.pread(fd, into, 6, far), 6);
    assert.equal(new TextDecoder().decode(into.subarray(0, 7)), "regent.");
    assert.equal(libc.pread(fd, into, 32, far + 6), 0, "the end");
    assert.equal(libc.ftruncate(fd, 13), 0);
    assert.equal(libc.pread(fd, into, 32, 0), 13);
    assert.equal(new TextDecoder().decode(into.subarray(0, 13)), "reg\0\0\0\0\0\0\0reg");
    assert.equal(libc.pread(fd, into, 1, -1), -ERRNO.EINVAL!);
    assert.equal(libc.ftruncate(fd, -1), -ERRNO.EINVAL!);
    assert.equal(libc.close(fd), 0);
    assert.equal(libc.close(fd), -ERRNO.EBADF!);
    assert.equal(libc.fdatasync(fd), -ERRNO.EBADF!);
    assert.equal(readFileSync(join(folder, "log"), "latin1"), "reg\0\0\0\0\0\0\0reg");
  });
});

test("readlink() answers the target without a NUL, and cuts it where there is no room", () => {
  inFolder((folder) => {
    symlinkSync("somewhere else", join(folder, "link"));
    const path = encodeCString(join(folder, "link"));
    const into = fixedBytes(20).fill(0x2e);
    assert.equal(libc.readlink(path, into), 14);
    assert.equal(new TextDecoder().decode(into), "somewhere else......");
    assert.equal(libc.readlink(path, into.subarray(0, 4)), 4);
    assert.equal(libc.readlink(encodeCString(join(folder, "nothing")), into), -ERRNO.ENOENT!);
  });
});

test("getdents64() lists a folder in pieces, and refuses a buffer without room for one name", () => {
  inFolder((folder) => {
    const names = Array.from({ length: 300 }, (_, i) => `name-${i}-${"x".repeat(i % 40)}`);
    for (const name of names) writeFileSync(join(folder, name), "");
    mkdirSync(join(folder, "folder"));
    const fd = libc.open(encodeCString(folder), O_RDONLY_CLOEXEC | O_DIRECTORY);
    assert(fd >= 0);
    assert.equal(libc.getdents64(fd, fixedBytes(8)), -ERRNO.EINVAL!);
    const into = fixedBytes(1024);
    const view = viewOf(into);
    const found: string[] = [];
    let pieces = 0;
    for (let length = 0; (length = libc.getdents64(fd, into)) !== 0; pieces++) {
      assert(length > 0 && length <= into.length);
      for (let at = 0; at < length; at += view.getUint16(at + 16, LITTLE)) {
        const end = into.indexOf(0, at + 19);
        found.push(new TextDecoder().decode(into.subarray(at + 19, end)));
      }
    }
    libc.close(fd);
    assert(pieces > 10);
    assert.deepEqual(found.sort(), [".", "..", "folder", ...names].sort());
  });
});

test("an empty buffer can be passed", () => {
  inFolder((folder) => {
    const fd = libc.open(encodeCString(join(folder, "empty")), O_RDWR_CREAT_CLOEXEC, 0o600);
    const empty = fixedBytes(0);
    assert.equal(libc.write(fd, empty), 0);
    assert.equal(libc.read(fd, empty), 0);
    libc.close(fd);
  });
});

test("eventfd() counts what is written", () => {
  const fd = libc.eventfd(7, 0o2004000);
  assert(fd >= 0);
  const count = fixedBytes(8);
  assert.equal(libc.read(fd, count), 8);
  assert.equal(viewOf(count).getBigUint64(0, LITTLE), 7n);
  assert.equal(libc.read(fd, count), -ERRNO.EAGAIN!, "it does not block");
  assert.equal(libc.write(fd, count), 8);
  assert.equal(libc.write(fd, count, 4), -ERRNO.EINVAL!);
  libc.close(fd);
});

test("clock_gettime() gives the kernel's clocks", () => {
  const time = fixedBytes(16);
  const seconds = (clock: number): number => {
    assert.equal(libc.clock_gettime(clock, time), 0);
    return Number(viewOf(time).getBigInt64(0, LITTLE)) + Number(viewOf(time).getBigInt64(8, LITTLE)) / 1e9;
  };
  const [CLOCK_MONOTONIC, CLOCK_BOOTTIME] = [1, 7];
  const started = seconds(CLOCK_MONOTONIC);
  const uptime = Number(readFileSync("/proc/uptime", "latin1").split(" ")[0]);
  assert(Math.abs(seconds(CLOCK_BOOTTIME) - uptime) < 5, "the time since boot");
  assert(seconds(CLOCK_MONOTONIC) >= started);
  assert(seconds(CLOCK_MONOTONIC) <= seconds(CLOCK_BOOTTIME), "without the time asleep");
  assert.equal(libc.clock_gettime(-1 << 20, time), -ERRNO.EINVAL!);
});

test("encodeCString() refuses a path with a NUL", () => {
  assert.throws(() => encodeCString("/tmp/a\0b"), TypeError);
  assert.throws(() => encodeCString("\0"), TypeError);
  assert.deepEqual([...encodeCString("/a")], [0x2f, 0x61, 0]);
  assert.deepEqual([...encodeCString("")], [0]);
});

test("openSystem() opens one system for the whole process", async () => {
  assert.equal(await openSystem("test libc"), await openSystem("test something else"));
  assert.equal(libc.getpid(), process.pid);
  assert.equal(libc.arch, process.arch);
});
