import type { Libc } from "../../ffi/libc.ts";
import { ProcWatch } from "../protocols/proc/watch.ts";
import { fixedBytes } from "../wire/host.ts";
import { fail, type Finding, ok, wordsOf } from "./check.ts";
import { isOldKernel, UPDATE_KERNEL } from "./kernel.ts";
import type { CallableScene } from "./scene.ts";

/** prctl(2), and the size of a name. */
const PR_SET_NAME = 15;
const PR_GET_NAME = 16;
const TASK_COMM_LEN = 16;

/** So long an event of our own may take. */
const LIMIT_MS = 2000;
/** So often it is made again: one may have been lost in a storm. */
const AGAIN_MS = 200;

/** The proof: subscribes as a watch does, makes an event, and sees it arrive. */
export async function checkSubscription(scene: CallableScene, limitMs: number = LIMIT_MS): Promise<Finding> {
  const { libc } = scene.machine;
  let watch: ProcWatch;
  try {
    watch = new ProcWatch(scene.machine, { events: ["comm"], latencyMs: 0, heartbeatMs: 0 });
  } catch (error) {
    return fail(wordsOf(error));
  }
  const limit = setTimeout(() => watch.close(), limitMs);
  const again = setInterval(() => nameOurselves(libc), AGAIN_MS);
  try {
    const began = performance.now();
    nameOurselves(libc);
    const arrived = await seeOurselves(watch, libc.getpid());
    const tookMs = performance.now() - began;
    if (arrived) return ok(`an event of our own arrived after ${tookMs.toFixed(1)} ms`);
    const { foreign, lost } = watch.stats();
    const besides = lost > 0 || foreign > 0 ? ` (${lost} were lost, ${foreign} were forged)` : "";
    return fail({
      finding:
        `the kernel acknowledged the subscription, but no event of our own came within ${limitMs} ms${besides}`,
      advice: isOldKernel(libc) === false
        ? "try again; where it stays so, restart what else listens to process events"
        : `another program may have muted every watcher: restart what else listens, and ${UPDATE_KERNEL}`,
    });
  } catch (error) {
    return fail(wordsOf(error));
  } finally {
    clearTimeout(limit);
    clearInterval(again);
    watch.close();
  }
}

/** Whether a change of our own name is among the events, before the watch is closed. */
async function seeOurselves(watch: ProcWatch, pid: number): Promise<boolean> {
  for await (const batch of watch.batches()) {
    if (batch.some((event) => event.type === "comm" && event.pid === pid)) return true;
  }
  return false;
}

/** Gives this thread the name that it has, which changes nothing and makes an event. */
function nameOurselves(libc: Libc): void {
  const name = fixedBytes(TASK_COMM_LEN);
  if (libc.prctl(PR_GET_NAME, name) >= 0) libc.prctl(PR_SET_NAME, name);
}
