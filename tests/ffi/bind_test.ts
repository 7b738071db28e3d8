import assert from "node:assert/strict";
import { test } from "node:test";
import { type BoundTables, libcFrom } from "../../ffi/bind.ts";
import { ERRNO } from "../../lib/errors/errno.ts";
import { fixedBytes } from "../../lib/wire/bytes.ts";

/** Bound functions of which recvmmsg and recvfrom fail, each time with the next errno, and give 3 after that. */
function failing(...names: string[]): { tables: BoundTables; calls: () => number } {
  let calls = 0;
  let errno = 0;
  const receive = (): number => {
    const name = names[calls++];
    if (name === undefined) return 3;
    errno = ERRNO[name]!;
    return -1;
  };
  const functions = { __errno_location: () => 1, recvmmsg: receive, recvfrom: receive, socket: receive };
  const tables = {
    library: "libc",
    symbols: functions,
    bindLazy: () => functions,
    memcpyAddress: { memcpy: () => 0n },
    memcpyRead: { memcpy: (into: Uint8Array) => new Int32Array(into.buffer).fill(errno) },
  } as unknown as BoundTables;
  return { tables, calls: () => calls };
}

for (const name of ["recvmmsg", "recvfrom"] as const) {
  const receive = (tables: BoundTables): number => {
    const libc = libcFrom(tables, "x64");
    return name === "recvmmsg"
      ? libc.recvmmsg(3, fixedBytes(64), 1, 0)
      : libc.recvfrom(3, fixedBytes(64), 0, fixedBytes(12), fixedBytes(4));
  };

  test(`${name}: an errno that occurs once may be another call's: the call is repeated`, () => {
    const { tables, calls } = failing("EEXIST");
    assert.equal(receive(tables), 3);
    assert.equal(calls(), 2);
    assert.equal(receive(failing("EEXIST", "EINVAL", "ENOTTY").tables), 3, "nor are different ones");
  });

  test(`${name}: an errno that occurs twice is returned, one that means to call again at once`, () => {
    assert.equal(receive(failing("EBADF", "EBADF").tables), -ERRNO.EBADF!);
    for (const again of ["EAGAIN", "EINTR", "ENOBUFS", "ENOMEM"]) {
      const { tables, calls } = failing(again);
      assert.equal(receive(tables), -ERRNO[again]!);
      assert.equal(calls(), 1, again);
    }
    const mad = failing(...Array.from({ length: 100 }, (_, i) => i % 2 === 0 ? "EINVAL" : "EEXIST"));
    assert(receive(mad.tables) < 0, "it ends");
    assert(mad.calls() < 20);
  });
}

test("any other call returns its errno at once", () => {
  const { tables, calls } = failing("EMFILE");
  assert.equal(libcFrom(tables, "x64").socket(16, 3, 11), -ERRNO.EMFILE!);
  assert.equal(calls(), 1);
});
