import {
  GIVE_CAPABILITY,
  JOINING_WANTS_NET_ADMIN,
  OTHER_USER_NAMESPACE,
  POLICY_FORBIDS_SOCKET,
} from "../errors/advice.ts";
import { ERRNO } from "../errors/errno.ts";
import { SyscallError } from "../errors/syscall_error.ts";
import type { System } from "../../ffi/libc.ts";
import { NetlinkSocket } from "../netlink/socket.ts";
import { inFirstNamespace } from "../processes/explain_refusal.ts";
import { fail, type Finding, ok, unknown, warn } from "./check.ts";
import { isOldKernel } from "./kernel.ts";
import type { ReadableScene } from "./context.ts";
import { OwnStatus } from "./status.ts";

const NO_STATUS = "/proc/self/status cannot be read";

/** What it costs to be without a capability. */
const WITHOUT = {
  CAP_NET_ADMIN:
    "without CAP_NET_ADMIN (the receive buffer is limited, and programs and groups cannot be sent to)",
  CAP_SYS_PTRACE: "without CAP_SYS_PTRACE (the program files of other users' processes stay unknown)",
} as const;

/** Who we are and what we may. */
export function checkCapabilities({ files }: ReadableScene): Finding {
  const status = OwnStatus.read(files);
  const mayAdmin = status?.has("CAP_NET_ADMIN");
  const mayTrace = status?.has("CAP_SYS_PTRACE");
  if (status === undefined || mayAdmin === undefined || mayTrace === undefined) return unknown(NO_STATUS);
  const who = `user ${status.uid ?? "unknown"}`;
  if (inFirstNamespace(files, "user") === false) {
    return warn(
      `${who} of another user namespace: its capabilities count for nothing at the connector`,
      OTHER_USER_NAMESPACE.advice,
    );
  }
  if (!mayAdmin && isOldKernel(files) === true) {
    const { finding, advice } = JOINING_WANTS_NET_ADMIN;
    return fail({ finding: `${who}: ${finding}`, advice });
  }
  if (mayAdmin && mayTrace) return ok(`${who}, with CAP_NET_ADMIN and CAP_SYS_PTRACE`);
  const missing = [...mayAdmin ? [] : [WITHOUT.CAP_NET_ADMIN], ...mayTrace ? [] : [WITHOUT.CAP_SYS_PTRACE]];
  return warn(`${who}, ${missing.join(" and ")}`, `where that matters, ${GIVE_CAPABILITY}`);
}

/** Whether a filter of system calls is on and what it does to us. */
export function checkSeccomp({ files, system }: ReadableScene): Finding {
  const status = OwnStatus.read(files);
  if (status === undefined) return unknown(NO_STATUS);
  const privileges = status.noNewPrivileges
    ? "; no_new_privs is set: setuid programs and file capabilities give nothing"
    : "";
  const { seccomp, seccompFilters } = status;
  if (seccomp === undefined) return ok(`this kernel has no seccomp${privileges}`);
  if (seccomp === 0) return ok(`no filter of system calls${privileges}`);
  const filters = seccompFilters === undefined ? "filters" : `${seccompFilters} of them`;
  const which = `system calls are filtered (${filters})${privileges}`;
  if (system === undefined) {
    return unknown(`${which}; whether the connector is let through shows only by a call`);
  }
  return socketIsForbidden(system)
    ? fail(POLICY_FORBIDS_SOCKET)
    : ok(`${which}; the connector is let through`);
}

function socketIsForbidden({ libc }: System): boolean {
  try {
    NetlinkSocket.open(libc, "diagnose").close();
    return false;
  } catch (error) {
    return error instanceof SyscallError && (error.errno === ERRNO.EPERM || error.errno === ERRNO.EACCES);
  }
}
