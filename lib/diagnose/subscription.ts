import type { Libc } from "../../ffi/libc.ts";
import { emitCommEvent } from "../processes/own_name.ts";
import { openProcessWatch } from "../processes/open.ts";
import type { ProcessWatch } from "../processes/watch.ts";
import { TOO_FEW_DESCRIPTORS } from "../errors/advice.ts";
import { canOpenFiles } from "../procfs/file.ts";
import { explain, fail, type Finding, ok } from "./check.ts";
import { isOldKernel, UPDATE_KERNEL } from "./kernel.ts";
import type { CallableContext } from "./context.ts";

/** What a watch opens besides its subscription: a second socket, a directory in /proc, and a file in it. */
const OPENED_LATER = 3;

/** How long to wait for an event of our own. */
const LIMIT_MS = 2000;
/** The interval at which it is repeated: one may have been lost under load. */
const REPEAT_MS = 200;

/** Subscribes as a watch does, causes an event, and waits for it. */
export async function checkSubscription(
  context: CallableContext,
  limitMs: number = LIMIT_MS,
): Promise<Finding> {
  const { libc } = context.system;
  let watch: ProcessWatch;
  try {
    watch = openProcessWatch(context.system, {
      events: ["comm"],
      threads: true,
      latencyMs: 0,
      heartbeatMs: 0,
    });
  } catch (error) {
    return fail(explain(error));
  }
  const limit = setTimeout(() => watch.close(), limitMs);
  try {
    // The first one includes the start of the waiting thread: only the second shows the latency.
    if (await eventArrives(watch, libc) !== undefined) {
      const tookMs = await eventArrives(watch, libc);
      if (tookMs !== undefined && !canOpenFiles(libc, OPENED_LATER)) return fail(TOO_FEW_DESCRIPTORS);
      if (tookMs !== undefined) return ok(`an event of our own arrived within ${upTo(tookMs)} ms`);
    }
    const { untrusted, lost } = watch.stats();
    const besides = lost > 0 || untrusted > 0 ? ` (${lost} lost, ${untrusted} forged)` : "";
    return fail({
      finding:
        `the kernel acknowledged the subscription, but no event of our own arrived within ${limitMs} ms${besides}`,
      advice: isOldKernel(libc) === false
        ? "try again; if it persists, restart the other programs that listen to process events"
        : `another program may have muted every watcher: restart the other listeners, and ${UPDATE_KERNEL}`,
    });
  } catch (error) {
    return fail(explain(error));
  } finally {
    clearTimeout(limit);
    watch.close();
  }
}

/**
 * Causes an event while the watch waits, so that it has to be woken, and waits for the event.
 *
 * @returns The latency in ms, or undefined when the watch is closed first.
 */
async function eventArrives(watch: ProcessWatch, libc: Libc): Promise<number | undefined> {
  const seen = receiveOwnComm(watch, libc.getpid()); // already waiting when this returns
  const began = performance.now();
  emitCommEvent(libc);
  const again = setInterval(() => emitCommEvent(libc), REPEAT_MS);
  try {
    return await seen ? performance.now() - began : undefined;
  } finally {
    clearInterval(again);
  }
}

/** Whether our own comm event arrives before the watch is closed. */
async function receiveOwnComm(watch: ProcessWatch, pid: number): Promise<boolean> {
  const batches = watch.batches(); // not `for await`: returning from it would close the watch
  for (let next = await batches.next(); !next.done; next = await batches.next()) {
    if (next.value.some((event) => event.type === "comm" && event.pid === pid)) return true;
  }
  return false;
}

/** Rounded up to a tenth of a millisecond: some clocks are no finer. */
function upTo(ms: number): string {
  return Math.max(0.1, Math.ceil(ms * 10) / 10).toFixed(1);
}
