import type { ReadCalls } from "../../ffi/libc.ts";
import {
  NO_PROC_EVENTS,
  OTHER_NETWORK_NAMESPACE,
  OTHER_PID_NAMESPACE,
  OTHER_USER_NAMESPACE,
  type Refusal,
  unsupported,
} from "../errors/advice.ts";
import type { UnsupportedError } from "../errors/unsupported_error.ts";
import { readLink, readTextFile } from "../procfs/file.ts";

/** What the links of the first namespaces hold (include/linux/proc_ns.h): the kernel listens to these only. */
const FIRST_NAMESPACES = { user: "user:[4026531837]", pid: "pid:[4026531836]" } as const;

/** Whether this is the initial namespace of a kind; undefined if that cannot be read. */
export function inFirstNamespace(libc: ReadCalls, kind: keyof typeof FIRST_NAMESPACES): boolean | undefined {
  const link = readLink(libc, `/proc/self/ns/${kind}`);
  return link === undefined ? undefined : link === FIRST_NAMESPACES[kind];
}

/** Whether the kernel serves process events; undefined where its list cannot be read. */
export function servesProcEvents(libc: ReadCalls): boolean | undefined {
  const served = readTextFile(libc, "/proc/net/connector");
  return served === undefined ? undefined : /^cn_proc\s/m.test(served);
}

/** Why a LISTEN that could be sent was not acknowledged, or undefined if the reason is unknown. */
export function explainRefusal(libc: ReadCalls, action: string): UnsupportedError | undefined {
  const why = refusalOf(libc);
  return why === undefined ? undefined : unsupported(action, why);
}

function refusalOf(libc: ReadCalls): Refusal | undefined {
  if (inFirstNamespace(libc, "user") === false) return OTHER_USER_NAMESPACE;
  if (inFirstNamespace(libc, "pid") === false) return OTHER_PID_NAMESPACE;
  if (servesProcEvents(libc) === false) return NO_PROC_EVENTS;
  return undefined;
}

/** The connector's kernel socket exists only in the initial network namespace. */
export function otherNetworkNamespace(action: string): UnsupportedError {
  return unsupported(action, OTHER_NETWORK_NAMESPACE);
}
