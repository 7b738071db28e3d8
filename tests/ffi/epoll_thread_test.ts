import assert from "node:assert/strict";
import { test } from "node:test";
import { attachWorker } from "../../ffi/epoll_thread.ts";

/** A worker handle, and what it reported. */
function recordedThread() {
  const reported: unknown[] = [];
  const thread = attachWorker(
    { ref: () => reported.push("ref"), unref: () => reported.push("unref") },
    (fd) => reported.push(fd),
    (error) => reported.push(error.message),
    () => reported.push("released"),
  );
  return { thread, reported };
}

test("a waiting thread that is stopped ends without an error", { timeout: 60_000 }, async () => {
  const { thread, reported } = recordedThread();
  const stopped = thread.stop();
  thread.onMessage(7);
  thread.onMessage(8);
  thread.onMessage("stopped");
  thread.onEnd(new Error("the waiting thread ended"));
  await stopped;
  assert.deepEqual(reported, [7, 8, "released"]);
});

test("a waiting thread that gives up or ends by itself is reported once", { timeout: 60_000 }, async () => {
  const gaveUp = recordedThread();
  gaveUp.thread.onMessage("dead");
  gaveUp.thread.onEnd(new Error("the waiting thread ended"));
  await gaveUp.thread.stop();
  assert.deepEqual(gaveUp.reported, ["released", "the waiting thread's epoll_wait fails again and again"]);
  const killed = recordedThread();
  killed.thread.onEnd(new Error("killed"));
  killed.thread.onMessage("dead");
  await killed.thread.stop();
  assert.deepEqual(killed.reported, ["released", "killed"]);
});
