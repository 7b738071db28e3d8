import type { Explanation } from "../errors/advice.ts";
import { ERRNO } from "../errors/errno.ts";
import { SyscallError } from "../errors/syscall_error.ts";

/** Why the kernel sends no task statistics, and what to do about it. */
export function explainTaskstatsRefusal(error: unknown): Explanation {
  if (!(error instanceof SyscallError)) {
    return { finding: error instanceof Error ? error.message : String(error) };
  }
  const { errno, call, code } = error;
  if (errno === ERRNO.EPERM) {
    return {
      finding: "task statistics want CAP_NET_ADMIN",
      advice: "run it as root, or give the program this capability",
    };
  }
  if (errno === ERRNO.ENOENT) {
    return {
      finding:
        "there are no task statistics here: CONFIG_TASKSTATS is off, or this is a network namespace of its own",
      advice:
        "boot a kernel with CONFIG_TASKSTATS=y and CONFIG_TASK_XACCT=y, or use the host's network (--net=host)",
    };
  }
  return { finding: `${call} failed with ${code}`, advice: error.advice };
}
