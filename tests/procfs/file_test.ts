import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import process from "node:process";
import { test } from "node:test";
import fc from "fast-check";
import { openSystem } from "../../lib/system.ts";
import { DecodeError } from "../../lib/errors/decode_error.ts";
import { ERRNO } from "../../lib/errors/errno.ts";
import { readDirectory, readFile, readLink, readTextFile } from "../../lib/procfs/file.ts";
import { FakeLibc } from "../support/fake_libc.ts";

const PATH = "/proc/net/connector";

/** A libc with one file. */
function withFile(content: Uint8Array | string): FakeLibc {
  const libc = new FakeLibc();
  libc.files.write(PATH, content);
  return libc;
}

function textOf(result: Uint8Array | number): string {
  assert(typeof result !== "number", `failed with ${result}`);
  return new TextDecoder().decode(result);
}

test("readFile() continues after a short read", () => {
  for (const readBytes of [1, 3, 7, 16_384, Infinity]) {
    const libc = withFile("Name            ID\ncn_proc         1:1\n");
    libc.readBytes = readBytes;
    assert.equal(textOf(readFile(libc, PATH)), "Name            ID\ncn_proc         1:1\n");
    libc.assertAllClosed();
  }
});

test("readFile() reads any file completely, in pieces of any size", () => {
  const sizes = fc.oneof(fc.nat(100), fc.constantFrom(16_383, 16_384, 16_385, 32_768, 32_769, 70_000));
  fc.assert(
    fc.property(sizes, fc.constantFrom(997, 4096, 16_384, Infinity), (size, readBytes) => {
      const content = Uint8Array.from({ length: size }, (_, i) => i * 7);
      const libc = withFile(content);
      libc.readBytes = readBytes;
      const bytes = readFile(libc, PATH);
      assert(typeof bytes !== "number");
      assert.deepEqual(bytes.slice(), content);
      libc.assertAllClosed();
    }),
    { numRuns: 60 },
  );
});

test("readFile() retries after EINTR", () => {
  const libc = withFile("cn_proc 1:1\n");
  libc.readBytes = 4;
  libc.answers("read", -ERRNO.EINTR!, () => undefined, -ERRNO.EINTR!, -ERRNO.EINTR!);
  assert.equal(textOf(readFile(libc, PATH)), "cn_proc 1:1\n");
  libc.assertAllClosed();
});

test("readFile() does not retry for ever, and returns the error of the call", () => {
  const libc = withFile("cn_proc 1:1\n");
  libc.answers("read", ...Array.from({ length: 1_000 }, () => -ERRNO.EINTR!));
  assert.equal(readFile(libc, PATH), -ERRNO.EINTR!);
  assert(libc.names("read").length < 100);
  libc.assertAllClosed();
  const half = withFile("cn_proc 1:1\n");
  half.readBytes = 4;
  half.answers("read", () => undefined, -ERRNO.EIO!);
  assert.equal(readFile(half, PATH), -ERRNO.EIO!, "half of a file is none");
  half.assertAllClosed();
});

test("readFile() returns -errno if there is no file or no descriptor", () => {
  const libc = new FakeLibc();
  assert.equal(readFile(libc, "/nothing"), -ERRNO.ENOENT!);
  assert.equal(readTextFile(libc, "/nothing"), undefined);
  libc.answers("open", -ERRNO.EMFILE!);
  assert.equal(readFile(libc, PATH), -ERRNO.EMFILE!);
  libc.assertAllClosed();
});

test("readFile() stops at its limit, and reads no further than necessary", () => {
  for (const limit of [0, 1, 10, 16_384, 20_000]) {
    const content = Uint8Array.from({ length: 200_000 }, (_, i) => i);
    const libc = withFile(content);
    const bytes = readFile(libc, PATH, limit);
    assert(typeof bytes !== "number");
    assert.deepEqual(bytes.slice(), content.slice(0, limit));
    assert(libc.names("read").length <= Math.ceil(limit / 16_384) + 1);
    libc.assertAllClosed();
  }
  const endless = withFile("");
  let given = 0;
  endless.answers(
    "read",
    ...Array.from({ length: 10_000 }, () => (_fd: unknown, into: unknown): number => {
      given += (into as Uint8Array).length;
      return (into as Uint8Array).length;
    }),
  );
  const bytes = readFile(endless, PATH, 100_000);
  assert(typeof bytes !== "number" && bytes.length === 100_000);
  assert(given < 400_000, `a file without end filled ${given} bytes`);
  endless.assertAllClosed();
});

test("readTextFile() and readLink() keep bytes that are not UTF-8", () => {
  const libc = withFile(Uint8Array.of(0x61, 0xff, 0x62));
  assert.equal(readTextFile(libc, PATH), "a\udcffb");
  libc.files.link("/proc/1/exe", "/usr/lib/systemd/systemd");
  assert.equal(readLink(libc, "/proc/1/exe"), "/usr/lib/systemd/systemd");
  assert.equal(readLink(libc, "/proc/2/exe"), undefined);
  libc.answers("readlink", (_path, into) => {
    (into as Uint8Array).set([0x2f, 0xc3]);
    return 2;
  });
  assert.equal(readLink(libc, "/proc/3/exe"), "/\udcc3");
});

test("readFile() and readLink() read the real /proc", async () => {
  const { libc } = await openSystem("read /proc");
  assert.equal(
    readTextFile(libc, "/proc/sys/kernel/osrelease"),
    readFileSync("/proc/sys/kernel/osrelease", "utf8"),
  );
  const status = readTextFile(libc, "/proc/self/status")!;
  assert.match(status, new RegExp(`^Pid:\t${process.pid}$`, "m"));
  assert.equal(readLink(libc, "/proc/self"), String(process.pid));
  assert.equal(readFile(libc, "/proc/self"), -ERRNO.EISDIR!);
  assert.throws(() => readFile(libc, "/proc/self\0/status"), TypeError);
  // Larger than one chunk, and given a page at a time.
  const symbols = readFile(libc, "/proc/kallsyms", 100_000);
  if (typeof symbols !== "number") assert.equal(symbols.length, 100_000);
});

test("readDirectory() gives the names without . and .., and none where there is no directory", () => {
  const libc = withFile("");
  libc.files.write("/proc/net/netlink", "");
  assert.deepEqual(readDirectory(libc, "/proc/net").sort(), ["connector", "netlink"]);
  assert.deepEqual(readDirectory(libc, "/nowhere"), []);
  assert.deepEqual(readDirectory(libc, PATH), []);
  libc.assertAllClosed();
});

test("readDirectory() ends at a record that has no length or reaches beyond the block", () => {
  for (const length of [0, 20, 33, 0xffff]) {
    const libc = withFile("");
    libc.answers("getdents64", (_fd, into) => {
      new Uint16Array((into as Uint8Array).buffer, 16, 1)[0] = length; // d_reclen
      return 32;
    });
    assert.throws(() => readDirectory(libc, "/proc/net"), DecodeError);
    libc.assertAllClosed();
  }
});
