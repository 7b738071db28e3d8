import assert from "node:assert/strict";
import { test } from "node:test";
import type { Libc } from "../../ffi/libc.ts";
import { shortenTimeSlice } from "../../lib/cli/io/time_slice.ts";
import { ERRNO } from "../../lib/errors/errno.ts";
import { openSystem } from "../../lib/system.ts";

test("the kernel takes the shorter time slice, and the nice value stays", (context) => {
  const { libc } = openSystem("test time slices");
  const nice = libc.nice();
  const results: number[] = [];
  const sched_setattr: Libc["sched_setattr"] = (attributes) => {
    const result = libc.sched_setattr(attributes);
    results.push(result);
    return result;
  };
  shortenTimeSlice({ ...libc, sched_setattr });
  if (results[0] === -ERRNO.EPERM!) return context.skip("a policy forbids sched_setattr(2)");
  assert.deepEqual(results, [0]);
  assert.equal(libc.nice(), nice);
});
