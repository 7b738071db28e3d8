import type { Libc } from "../../../ffi/libc.ts";
import { UnsupportedError } from "../../errors/unsupported_error.ts";
import { readLink, readTextFile } from "../../wire/file.ts";

/** Inode numbers of the first namespaces (include/linux/proc_ns.h): the kernel listens to these only. */
const PROC_USER_INIT_INO = "user:[4026531837]";
const PROC_PID_INIT_INO = "pid:[4026531836]";

/** Why a LISTEN that could be sent was not acknowledged, or undefined where nothing here tells. */
export function whyNotAcknowledged(libc: Libc, action: string): UnsupportedError | undefined {
  if (readLink(libc, "/proc/self/ns/user") !== PROC_USER_INIT_INO) {
    return new UnsupportedError(
      action,
      "user-namespace",
      "this is another user namespace than the kernel's first, and the kernel takes no subscription from there: " +
        "run it outside of the container, or in a container that shares the host's user namespace",
    );
  }
  if (readLink(libc, "/proc/self/ns/pid") !== PROC_PID_INIT_INO) {
    return new UnsupportedError(
      action,
      "pid-namespace",
      "this is another pid namespace than the kernel's first, and the kernel takes no subscription from there: " +
        "run it outside of the container, or with the host's pid namespace (--pid=host)",
    );
  }
  const served = readTextFile(libc, "/proc/net/connector");
  if (served !== undefined && !/^cn_proc\s/m.test(served)) {
    return new UnsupportedError(
      action,
      "no-proc-events",
      "this kernel serves no process events (CONFIG_PROC_EVENTS is off): /proc/net/connector does not list cn_proc",
    );
  }
  return undefined;
}

/** The connector's kernel socket exists only in the first network namespace. */
export function otherNetworkNamespace(action: string): UnsupportedError {
  return new UnsupportedError(
    action,
    "network-namespace",
    "this is another network namespace than the kernel's first, and the connector is only there: " +
      "run it outside of the container, or with the host's network (--net=host)",
  );
}
