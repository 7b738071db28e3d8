import type { Libc } from "../../ffi/libc.ts";
import { openSystem } from "../system.ts";
import { readDirectory } from "../procfs/file.ts";
import { orphanNote } from "../netlink/owner.ts";
import { NetlinkSocket } from "../netlink/socket.ts";
import { takeBackOrphan } from "./subscription.ts";

const ACTION = "close what terminated workers left";

/**
 * Closes the sockets of workers that were terminated, and takes their subscriptions back.
 *
 * Nothing of a worker runs any more after `worker.terminate()`: its watches and connectors stay subscribed, and their
 * queues fill up, until the process ends. So close them in the worker before, or call this after it, in any other thread
 * of the process: when `await worker.terminate()` is over, or a little later where that does not wait.
 *
 * @returns How many sockets were closed. Those of workers that live, and of other libraries, are left alone.
 * @throws {UnsupportedError} Where libc cannot be called.
 * @example
 * ```ts
 * import assert from "node:assert/strict";
 * import { closeTerminatedWorkers } from "kernel-connector";
 *
 * assert.equal(await closeTerminatedWorkers(), 0); // no worker was terminated
 * ```
 */
export async function closeTerminatedWorkers(): Promise<number> {
  const { libc } = await openSystem(ACTION);
  return closeOrphans(libc);
}

/** Without a turn of the event loop between looking and closing: a number may be another file's after it. */
function closeOrphans(libc: Libc): number {
  let closed = 0;
  for (const fd of [...readDirectory(libc, "/proc/self/fd")].map(Number)) {
    const note = orphanNote(libc, fd);
    if (note === undefined) continue;
    const socket = NetlinkSocket.adopt(libc, ACTION, fd);
    takeBackOrphan(socket, note);
    socket.close();
    closed++;
  }
  return closed;
}
