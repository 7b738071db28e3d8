import type { Libc } from "../../ffi/libc.ts";
import { ProcWatch } from "../processes/event_watch.ts";
import { TOO_FEW_DESCRIPTORS } from "../errors/advice.ts";
import { ERRNO } from "../errors/errno.ts";
import { fixedBytes } from "../wire/bytes.ts";
import { encodeCString } from "../wire/text.ts";
import { explain, fail, type Finding, ok } from "./check.ts";
import { isOldKernel, UPDATE_KERNEL } from "./kernel.ts";
import type { CallableScene } from "./context.ts";

/** prctl(2), and the size of a name. */
const PR_SET_NAME = 15;
const PR_GET_NAME = 16;
const TASK_COMM_LEN = 16;

const O_RDONLY_CLOEXEC = 0o2000000;
/** What a watch opens beside its subscription: a second socket, a folder of /proc, and a file in it. */
const OPENED_LATER = 3;

/** So long an event of our own may take. */
const LIMIT_MS = 2000;
/** So often it is made again: one may have been lost in a storm. */
const AGAIN_MS = 200;

/** The proof: subscribes as a watch does, makes an event, and sees it arrive. */
export async function checkSubscription(scene: CallableScene, limitMs: number = LIMIT_MS): Promise<Finding> {
  const { libc } = scene.system;
  let watch: ProcWatch;
  try {
    watch = new ProcWatch(scene.system, { events: ["comm"], latencyMs: 0, heartbeatMs: 0 });
  } catch (error) {
    return fail(explain(error));
  }
  const limit = setTimeout(() => watch.close(), limitMs);
  try {
    // The first one also waits for the thread that waits: what an event takes shows at the second.
    if (await eventArrives(watch, libc) !== undefined) {
      const tookMs = await eventArrives(watch, libc);
      if (tookMs !== undefined && !mayOpenMore(libc)) return fail(TOO_FEW_DESCRIPTORS);
      if (tookMs !== undefined) return ok(`an event of our own arrived within ${upTo(tookMs)} ms`);
    }
    const { untrusted, lost } = watch.stats();
    const besides = lost > 0 || untrusted > 0 ? ` (${lost} were lost, ${untrusted} were forged)` : "";
    return fail({
      finding:
        `the kernel acknowledged the subscription, but no event of our own came within ${limitMs} ms${besides}`,
      advice: isOldKernel(libc) === false
        ? "try again; where it stays so, restart what else listens to process events"
        : `another program may have muted every watcher: restart what else listens, and ${UPDATE_KERNEL}`,
    });
  } catch (error) {
    return fail(explain(error));
  } finally {
    clearTimeout(limit);
    watch.close();
  }
}

/**
 * Makes an event while the watch waits, so that it must be woken, and sees it arrive.
 *
 * @returns How long that took, or undefined when the watch is closed before.
 */
async function eventArrives(watch: ProcWatch, libc: Libc): Promise<number | undefined> {
  const seen = seeOurselves(watch, libc.getpid()); // it waits already when this returns
  const began = performance.now();
  nameOurselves(libc);
  const again = setInterval(() => nameOurselves(libc), AGAIN_MS);
  try {
    return await seen ? performance.now() - began : undefined;
  } finally {
    clearInterval(again);
  }
}

/** Whether a change of our own name comes before the watch is closed. */
async function seeOurselves(watch: ProcWatch, pid: number): Promise<boolean> {
  const batches = watch.batches(); // not by `for await`: leaving it would close the watch
  for (let next = await batches.next(); !next.done; next = await batches.next()) {
    if (next.value.some((event) => event.type === "comm" && event.pid === pid)) return true;
  }
  return false;
}

/** Whether there are descriptors for what a watch opens later. */
function mayOpenMore(libc: Libc): boolean {
  const path = encodeCString("/proc/self/stat");
  const results = Array.from({ length: OPENED_LATER }, () => libc.open(path, O_RDONLY_CLOEXEC));
  for (const fd of results) if (fd >= 0) libc.close(fd);
  return !results.some((fd) => fd === -ERRNO.EMFILE! || fd === -ERRNO.ENFILE!);
}

/** A tenth of a millisecond at least: the clock is no finer everywhere. */
function upTo(ms: number): string {
  return Math.max(0.1, Math.ceil(ms * 10) / 10).toFixed(1);
}

/** Gives this thread the name that it has, which changes nothing and makes an event. */
function nameOurselves(libc: Libc): void {
  const name = fixedBytes(TASK_COMM_LEN);
  if (libc.prctl(PR_GET_NAME, name) >= 0) libc.prctl(PR_SET_NAME, name);
}
