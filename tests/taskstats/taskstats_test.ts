import assert from "node:assert/strict";
import { test } from "node:test";
import { DecodeError } from "../../lib/errors/decode_error.ts";
import { decodeTask } from "../../lib/taskstats/message.ts";
import { decodeTaskstats, TASKSTATS, type Taskstats } from "../../lib/taskstats/taskstats.ts";
import { LITTLE, viewOf } from "../../lib/wire/bytes.ts";
import { compareWithC, whyNoC } from "../protocols/vectors/c_program.ts";
import { taskAttributes } from "./vectors.ts";

const { SIZE: _, ...OFFSETS } = TASKSTATS;

test("the offsets in struct taskstats are those of the C compiler", {
  skip: whyNoC(["linux/taskstats.h"]),
}, () => {
  const count = compareWithC("#include <linux/taskstats.h>", [
    { struct: "struct taskstats", ours: OFFSETS },
    // The fields that are read end where the next one, which is not, begins.
    { struct: "struct taskstats", ours: { end: TASKSTATS.SIZE }, spelled: { end: "ac_utimescaled" } },
  ]);
  assert.equal(count, Object.keys(OFFSETS).length + 1);
});

/** A structure with a few fields set. */
function struct(
  fields: Partial<Record<keyof typeof OFFSETS, bigint>>,
  bytes: number = TASKSTATS.SIZE,
): DataView {
  const view = viewOf(new Uint8Array(bytes));
  for (const [name, value] of Object.entries(fields)) {
    view.setBigUint64(OFFSETS[name as keyof typeof OFFSETS], value!, LITTLE);
  }
  return view;
}

test("decodeTaskstats() reads numbers of 64 bits, and kB as bytes", () => {
  const view = struct({ read_bytes: 2n ** 40n + 3n, hiwater_rss: 5n, nvcsw: 1n, cpu_run_virtual_total: 7n });
  const stats = decodeTaskstats(view, 0, view.byteLength);
  assert.equal(stats.readBytes, 2 ** 40 + 3);
  assert.equal(stats.peakRssBytes, 5120);
  assert.equal(stats.cpuNs, 7);
});

test("a task that never slept ran when it did not wait for a processor", () => {
  const fields = { ac_etime: 900n, cpu_delay_total: 200_000n, cpu_run_virtual_total: 0n };
  const decode = (more: object): number => {
    const view = struct({ ...fields, ...more });
    return decodeTaskstats(view, 0, view.byteLength).cpuNs;
  };
  assert.equal(decode({}), 700_000);
  assert.equal(decode({ nvcsw: 1n }), 0);
  assert.equal(decode({ cpu_run_virtual_total: 800_000n }), 800_000, "never less than the scheduler says");
});

test("a structure that is too short is refused", () => {
  const view = struct({}, TASKSTATS.SIZE - 1);
  assert.throws(() => decodeTaskstats(view, 0, view.byteLength), DecodeError);
});

test("a message has the thread, and for the last one all of the process", () => {
  const seen: [number, Taskstats, Taskstats | undefined][] = [];
  const bytes = taskAttributes(4711, 5n, 9n);
  decodeTask(viewOf(bytes), 0, bytes.length, (tid, task, group) => seen.push([tid, task, group]));
  assert.equal(seen.length, 1);
  const [tid, task, group] = seen[0]!;
  assert.deepEqual([tid, task.scheduledNs, group?.scheduledNs], [4711, 5, 9]);
});

test("a message cut anywhere is refused or has no task, and is never read beyond its end", () => {
  const bytes = taskAttributes(4711, 5n, 9n);
  for (let end = 0; end < bytes.length; end++) {
    try {
      decodeTask(viewOf(bytes.slice(0, end)), 0, end, () => assert(end > TASKSTATS.SIZE));
    } catch (error) {
      assert(error instanceof DecodeError);
    }
  }
});
