import { OTHER_PID_NAMESPACE, OTHER_USER_NAMESPACE } from "../errors/advice.ts";
import { inFirstNamespace } from "../processes/explain_refusal.ts";
import { timeNamespaceOffsetNs } from "../procfs/clock.ts";
import { fail, type Finding, ok, unknown } from "./check.ts";
import type { ReadableScene } from "./context.ts";

/** Whether LISTEN is heard from this pid namespace. */
export function checkPidNamespace({ files }: ReadableScene): Finding {
  const first = inFirstNamespace(files, "pid");
  if (first === undefined) return unknown("/proc/self/ns/pid cannot be read");
  return first ? ok("this is the kernel's first") : fail(OTHER_PID_NAMESPACE);
}

/** Whether LISTEN is heard from this user namespace. */
export function checkUserNamespace({ files }: ReadableScene): Finding {
  const first = inFirstNamespace(files, "user");
  if (first === undefined) return unknown("/proc/self/ns/user cannot be read");
  return first ? ok("this is the kernel's first") : fail(OTHER_USER_NAMESPACE);
}

/** Whether the clock here is that of the events: where it is not, the library takes that into account. */
export function checkTimeNamespace({ files }: ReadableScene): Finding {
  const offsetNs = timeNamespaceOffsetNs(files);
  if (offsetNs === undefined) return unknown("/proc/self/timens_offsets cannot be read");
  if (offsetNs === 0n) return ok("its CLOCK_MONOTONIC is the kernel's own, which stamps the events");
  const [seconds, where] = [Number(offsetNs) / 1e9, offsetNs > 0n ? "ahead of" : "behind"];
  return ok(
    `its CLOCK_MONOTONIC is ${
      Math.abs(seconds)
    } s ${where} the kernel's own, which stamps the events: taken into account`,
  );
}
