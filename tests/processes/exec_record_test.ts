import assert from "node:assert/strict";
import { test } from "node:test";
import fc from "fast-check";
import {
  argumentsOf,
  decodeExecRecord,
  EXEC_RECORD,
  type ExecRecord,
  exeOf,
  MAX_RECORD_BYTES,
  RECORD_ARG_BYTES,
  RECORD_PATH_BYTES,
} from "../../lib/processes/exec_record.ts";
import { LITTLE, viewOf } from "../../lib/wire/bytes.ts";
import { encodeText } from "../../lib/wire/text.ts";

/** An address in the kernel. */
const ROOT = 0xffff_8880_0123_4567n;

/** A record as the program in the kernel writes it. */
function record(
  args: string,
  options: { length?: number; path?: string; interpreted?: bigint; ownRoot?: bigint | undefined } = {},
): ExecRecord {
  const text = encodeText(args).subarray(0, RECORD_ARG_BYTES);
  const path = encodeText(`${options.path ?? "/bin/x"}\0`).subarray(0, RECORD_PATH_BYTES);
  const bytes = new Uint8Array(EXEC_RECORD.SIZE + path.length + text.length);
  const view = viewOf(bytes);
  view.setBigUint64(EXEC_RECORD.pidTgid, 42n << 32n | 43n, LITTLE);
  view.setBigUint64(EXEC_RECORD.uidGid, 7n << 32n | 6n, LITTLE);
  view.setBigUint64(EXEC_RECORD.timestampNs, 5n, LITTLE);
  view.setBigUint64(EXEC_RECORD.argBytes, BigInt(options.length ?? encodeText(args).length), LITTLE);
  view.setBigUint64(EXEC_RECORD.interpreted, options.interpreted ?? 0n, LITTLE);
  view.setUint32(EXEC_RECORD.pathBytes, path.length, LITTLE);
  bytes.set(encodeText("name"), EXEC_RECORD.comm);
  bytes.set(path, EXEC_RECORD.text);
  bytes.set(text, EXEC_RECORD.text + path.length);
  view.setBigUint64(EXEC_RECORD.root + 8, ROOT, LITTLE);
  const ownRoot = viewOf(new Uint8Array(16));
  ownRoot.setBigUint64(8, options.ownRoot ?? ROOT, LITTLE);
  return decodeExecRecord(
    bytes,
    0,
    bytes.length,
    view,
    "ownRoot" in options && options.ownRoot === undefined ? undefined : ownRoot,
  )!;
}

test("a record has its process, user, name, path and arguments", () => {
  const { pid, uid, gid, timestampNs, comm, path } = record("a\0\0b c\0");
  assert.deepEqual({ pid, uid, gid, timestampNs, comm, path }, {
    pid: 42,
    uid: 6,
    gid: 7,
    timestampNs: 5n,
    comm: "name",
    path: "/bin/x",
  });
  assert.deepEqual(argumentsOf(record("a\0\0b c\0"), 4096)!.args, ["a", "", "b c"]);
});

test("no arguments, an empty one, and ones that are cut", () => {
  assert.deepEqual(argumentsOf(record(""), 9), { args: [], truncated: false, present: true });
  assert.deepEqual(argumentsOf(record("\0"), 9)!.args, []); // how newer kernels start a program without any
  assert.deepEqual(argumentsOf(record("\0\0"), 9)!.args, ["", ""]);
  assert.deepEqual(argumentsOf(record("abc\0def\0"), 6), {
    args: ["abc", "de"],
    truncated: true,
    present: true,
  });
  assert.deepEqual(argumentsOf(record("abc\0def\0"), 8)!.truncated, false);
  assert.equal(argumentsOf(record("abc\0".repeat(1024), { length: 100_000 }), 1 << 20)!.truncated, true);
});

test("exe is an absolute path that runs by itself", () => {
  assert.equal(exeOf(record("")), "/bin/x");
  assert.equal(exeOf(record("", { path: "bin/x" })), undefined);
  assert.equal(exeOf(record("", { path: "/dev/fd/3" })), undefined);
  assert.equal(exeOf(record("", { path: "/proc/self/exe" })), undefined);
  assert.equal(exeOf(record("", { path: "//proc/thread-self/exe" })), undefined);
  assert.equal(exeOf(record("", { interpreted: 8n })), undefined);
  assert.equal(exeOf(record("", { ownRoot: ROOT + (1n << 40n) })), undefined);
  assert.equal(exeOf(record("", { ownRoot: undefined })), undefined);
  assert.equal(exeOf(record("", { path: `/${"x".repeat(RECORD_PATH_BYTES)}` })), undefined);
});

test("whatever is in a record, it decodes to bounded values or to undefined", () => {
  assert.equal(decodeExecRecord(new Uint8Array(EXEC_RECORD.SIZE - 1)), undefined);
  assert.equal(decodeExecRecord(new Uint8Array(EXEC_RECORD.SIZE)), undefined);
  assert.equal(decodeExecRecord(new Uint8Array(100).fill(1), 0, 101), undefined);
  const bytes = fc.uint8Array({ minLength: EXEC_RECORD.SIZE, maxLength: MAX_RECORD_BYTES });
  let decodedCount = 0;
  fc.assert(
    fc.property(bytes, fc.nat(600), fc.nat(5000), fc.nat(5000), (bytes, pathBytes, argBytes, limit) => {
      // Most of the time the lengths are plausible.
      if (bytes[0]! % 8 !== 0) {
        const view = viewOf(bytes);
        view.setUint32(EXEC_RECORD.pathBytes, pathBytes % 9, LITTLE);
        view.setBigUint64(EXEC_RECORD.argBytes, BigInt(argBytes % (bytes.length * 2)), LITTLE);
        view.setInt32(EXEC_RECORD.argError, bytes[1]! % 4 === 0 ? -14 : 0, LITTLE);
        view.setUint32(EXEC_RECORD.pidTgid + 4, 77, LITTLE);
      }
      const decoded = decodeExecRecord(bytes);
      if (decoded === undefined) return;
      decodedCount++;
      assert(decoded.pid > 0 && decoded.pid < 2 ** 31);
      assert((decoded.path?.length ?? 0) < RECORD_PATH_BYTES);
      assert(decoded.comm.length < 16);
      assert((decoded.argumentBytes?.length ?? 0) <= RECORD_ARG_BYTES);
      const line = argumentsOf(decoded, limit);
      if (line === undefined) return;
      assert(line.args.join("\0").length <= Math.min(limit, RECORD_ARG_BYTES));
    }),
    { numRuns: 2000 },
  );
  assert(decodedCount > 200, `${decodedCount} records decoded`);
});
