import assert from "node:assert/strict";
import { test } from "node:test";
import fc from "fast-check";
import {
  argumentsOf,
  decodeExecRecord,
  EXEC_RECORD,
  type ExecRecord,
  exeOf,
  RECORD_ARG_BYTES,
  RECORD_PATH_BYTES,
} from "../../lib/processes/exec_record.ts";
import { LITTLE, viewOf } from "../../lib/wire/bytes.ts";
import { encodeText } from "../../lib/wire/text.ts";

/** A record as the program in the kernel writes it. */
function record(
  args: string,
  options: { length?: number; path?: string; interpreted?: bigint } = {},
): ExecRecord {
  const bytes = new Uint8Array(EXEC_RECORD.SIZE);
  const view = viewOf(bytes);
  const text = encodeText(args);
  const path = encodeText(options.path ?? "/bin/x");
  view.setBigUint64(EXEC_RECORD.pidTgid, 42n << 32n | 43n, LITTLE);
  view.setBigUint64(EXEC_RECORD.uidGid, 7n << 32n | 6n, LITTLE);
  view.setBigUint64(EXEC_RECORD.timestampNs, 5n, LITTLE);
  view.setBigUint64(EXEC_RECORD.argBytes, BigInt(options.length ?? text.length), LITTLE);
  view.setBigUint64(EXEC_RECORD.interpreted, options.interpreted ?? 0n, LITTLE);
  view.setInt32(EXEC_RECORD.pathBytes, path.length + 1, LITTLE);
  bytes.set(encodeText("name"), EXEC_RECORD.comm);
  bytes.set(path.subarray(0, RECORD_PATH_BYTES - 1), EXEC_RECORD.path);
  bytes.set(text.subarray(0, RECORD_ARG_BYTES), EXEC_RECORD.args);
  return decodeExecRecord(bytes)!;
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
  assert.equal(argumentsOf(record("abc\0", { length: 100_000 }), 1 << 20)!.truncated, true);
});

test("exe is an absolute path that runs by itself", () => {
  assert.equal(exeOf(record("")), "/bin/x");
  assert.equal(exeOf(record("", { path: "bin/x" })), undefined);
  assert.equal(exeOf(record("", { path: "/dev/fd/3" })), undefined);
  assert.equal(exeOf(record("", { interpreted: 8n })), undefined);
  assert.equal(exeOf(record("", { path: `/${"x".repeat(RECORD_PATH_BYTES)}` })), undefined);
});

test("whatever is in a record, it decodes to bounded values or to undefined", () => {
  assert.equal(decodeExecRecord(new Uint8Array(EXEC_RECORD.SIZE - 1)), undefined);
  assert.equal(decodeExecRecord(new Uint8Array(EXEC_RECORD.SIZE)), undefined);
  const header = fc.uint8Array({ minLength: EXEC_RECORD.path + 8, maxLength: EXEC_RECORD.path + 8 });
  fc.assert(
    fc.property(
      header,
      fc.uint8Array({ maxLength: 64 }),
      fc.nat(255),
      fc.nat(5000),
      (head, tail, fill, limit) => {
        const bytes = new Uint8Array(EXEC_RECORD.SIZE).fill(fill);
        bytes.set(head);
        bytes.set(tail, EXEC_RECORD.args);
        // Every other time the lengths are plausible.
        if (head[0]! % 2 === 0) {
          viewOf(bytes).setBigUint64(EXEC_RECORD.argBytes, BigInt(head[1]! * 40), LITTLE);
          viewOf(bytes).setInt32(EXEC_RECORD.pathBytes, head[2]! * 3 - 10, LITTLE);
          viewOf(bytes).setInt32(EXEC_RECORD.argError, 0, LITTLE);
        }
        const decoded = decodeExecRecord(bytes);
        if (decoded === undefined) return;
        assert(decoded.pid > 0 && decoded.pid < 2 ** 31);
        assert((decoded.path?.length ?? 0) < RECORD_PATH_BYTES);
        assert(decoded.comm.length < 16);
        assert((decoded.argumentBytes?.length ?? 0) <= RECORD_ARG_BYTES);
        const line = argumentsOf(decoded, limit);
        if (line === undefined) return;
        assert(line.args.join("\0").length <= Math.min(limit, RECORD_ARG_BYTES));
      },
    ),
    { numRuns: 1000 },
  );
});
