import assert from "node:assert/strict";
import { test } from "node:test";
import { FfiError, type FfiFailure } from "../../ffi/ffi_error.ts";
import { explainFfiFailure } from "../../lib/system.ts";

test("every reason why libc cannot be called has its own words", () => {
  const failures: readonly (readonly [FfiFailure, string, RegExp])[] = [
    [{ reason: "platform", platform: "darwin", arch: "arm64" }, "platform", /this is darwin on arm64/],
    [
      { reason: "node-without-ffi", version: "v20.11.1" },
      "runtime",
      /this is Node v20.11.1, .* needs Node 26/,
    ],
    [{ reason: "node-without-ffi", version: "v26.4.0" }, "runtime", /switched off in this Node/],
    [{ reason: "node-ffi-denied" }, "permission", /permission model refuses FFI/],
    [{ reason: "node-worker-denied" }, "permission", /permission model refuses the thread/],
    [{ reason: "deno-ffi-denied", paths: ["/lib/libc.so.6"] }, "permission", /was not given access/],
    [{ reason: "libc-not-loaded", message: "no such file" }, "libc", /could not be loaded: no such file/],
    [{ reason: "wrong-pid", gotPid: 0, pid: 7 }, "runtime", /getpid\(\) returned 0, not 7/],
  ];
  for (const [failure, reason, finding] of failures) {
    const refusal = explainFfiFailure(failure);
    assert.equal(refusal.reason, reason);
    assert.match(refusal.finding, finding);
    assert.match(new FfiError(failure).message, new RegExp(`^${failure.reason}`));
  }
});
