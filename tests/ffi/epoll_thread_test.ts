import assert from "node:assert/strict";
import { test } from "node:test";
import { attachWorker } from "../../ffi/epoll_thread.ts";

/** A thread that is heard, and what it came to. */
function heard() {
  const told: unknown[] = [];
  const thread = attachWorker(
    { ref: () => told.push("ref"), unref: () => told.push("unref") },
    (fd) => told.push(fd),
    (error) => told.push(error.message),
    () => told.push("released"),
  );
  return { thread, told };
}

test("a waiting thread that stops as it was told dies of nothing", { timeout: 5000 }, async () => {
  const { thread, told } = heard();
  const stopped = thread.stop();
  thread.onMessage(7);
  thread.onMessage(8);
  thread.onMessage("stopped");
  thread.onEnd(new Error("the waiting thread ended"));
  await stopped;
  assert.deepEqual(told, [7, 8, "released"]);
});

test("a waiting thread that gives up, or ends unasked, is dead once", { timeout: 5000 }, async () => {
  const gaveUp = heard();
  gaveUp.thread.onMessage("dead");
  gaveUp.thread.onEnd(new Error("the waiting thread ended"));
  await gaveUp.thread.stop();
  assert.deepEqual(gaveUp.told, ["released", "the waiting thread's epoll_wait fails again and again"]);
  const killed = heard();
  killed.thread.onEnd(new Error("killed"));
  killed.thread.onMessage("dead");
  await killed.thread.stop();
  assert.deepEqual(killed.told, ["released", "killed"]);
});
