import { OTHER_PID_NAMESPACE, OTHER_USER_NAMESPACE } from "../errors/advice.ts";
import { inFirstNamespace } from "../protocols/proc/refusal.ts";
import { fail, type Finding, ok, unknown } from "./check.ts";
import type { ReadableScene } from "./scene.ts";

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
