import type { ReadCalls, System } from "../../ffi/libc.ts";
import {
  GIVE_CAPABILITY,
  JOINING_WANTS_NET_ADMIN,
  OTHER_PID_NAMESPACE,
  OTHER_USER_NAMESPACE,
  POLICY_FORBIDS_SOCKET,
} from "../errors/advice.ts";
import { ERRNO } from "../errors/errno.ts";
import { SyscallError } from "../errors/syscall_error.ts";
import { NetlinkSocket } from "../netlink/socket.ts";
import { inFirstNamespace } from "../processes/explain_refusal.ts";
import { hasCapability } from "../procfs/capabilities.ts";
import { timeNamespaceOffsetNs } from "../procfs/clock.ts";
import { readTextFile } from "../procfs/file.ts";
import { fail, type Finding, ok, unknown, warn } from "./check.ts";
import type { ReadableContext } from "./context.ts";
import { isOldKernel } from "./kernel.ts";

const NO_STATUS = "/proc/self/status cannot be read";

/** What a missing capability costs. */
const WITHOUT = {
  CAP_NET_ADMIN:
    "without CAP_NET_ADMIN (the receive buffer is limited, and messages to programs and groups are refused)",
  CAP_SYS_PTRACE: "without CAP_SYS_PTRACE (the executables of other users' processes stay unknown)",
} as const;

/** Whether the kernel accepts LISTEN from this pid namespace. */
export function checkPidNamespace({ files }: ReadableContext): Finding {
  const first = inFirstNamespace(files, "pid");
  if (first === undefined) return unknown("/proc/self/ns/pid cannot be read");
  return first ? ok("this is the kernel's initial one") : fail(OTHER_PID_NAMESPACE);
}

/** Whether the kernel accepts LISTEN from this user namespace. */
export function checkUserNamespace({ files }: ReadableContext): Finding {
  const first = inFirstNamespace(files, "user");
  if (first === undefined) return unknown("/proc/self/ns/user cannot be read");
  return first ? ok("this is the kernel's initial one") : fail(OTHER_USER_NAMESPACE);
}

/** How far CLOCK_MONOTONIC is from the clock of the events; the library corrects for the difference. */
export function checkTimeNamespace({ files }: ReadableContext): Finding {
  const offsetNs = timeNamespaceOffsetNs(files);
  if (offsetNs === undefined) return unknown("/proc/self/timens_offsets cannot be read");
  if (offsetNs === 0n) return ok("its CLOCK_MONOTONIC is the one in the events' timestamps");
  const [seconds, where] = [Number(offsetNs) / 1e9, offsetNs > 0n ? "ahead of" : "behind"];
  return ok(
    `its CLOCK_MONOTONIC is ${
      Math.abs(seconds)
    } s ${where} the one in the events' timestamps: times are corrected`,
  );
}

/** The effective user and its capabilities. */
export function checkCapabilities({ files }: ReadableContext): Finding {
  const status = OwnStatus.read(files);
  const mayAdmin = status?.has("CAP_NET_ADMIN");
  const mayTrace = status?.has("CAP_SYS_PTRACE");
  if (status === undefined || mayAdmin === undefined || mayTrace === undefined) return unknown(NO_STATUS);
  const who = `user ${status.uid ?? "unknown"}`;
  if (inFirstNamespace(files, "user") === false) {
    return warn(
      `${who} in another user namespace: its capabilities have no effect on the connector`,
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

/** Whether a seccomp filter is on, and whether it forbids the socket. */
export function checkSeccomp({ files, system }: ReadableContext): Finding {
  const status = OwnStatus.read(files);
  if (status === undefined) return unknown(NO_STATUS);
  const privileges = status.noNewPrivileges
    ? "; no_new_privs is set: setuid programs and file capabilities have no effect"
    : "";
  const { seccomp, seccompFilters } = status;
  if (seccomp === undefined) return ok(`this kernel has no seccomp${privileges}`);
  if (seccomp === 0) return ok(`no seccomp filter${privileges}`);
  const count = seccompFilters === undefined ? "" : ` (${seccompFilters} filters)`;
  const which = `seccomp filters system calls${count}${privileges}`;
  if (system === undefined) {
    return unknown(`${which}; whether they allow the connector cannot be tested without calling C`);
  }
  return socketIsForbidden(system) ? fail(POLICY_FORBIDS_SOCKET) : ok(`${which}; the connector is allowed`);
}

function socketIsForbidden({ libc }: System): boolean {
  try {
    NetlinkSocket.open(libc, "diagnose").close();
    return false;
  } catch (error) {
    return error instanceof SyscallError && (error.errno === ERRNO.EPERM || error.errno === ERRNO.EACCES);
  }
}

/** Our own /proc/self/status. */
export class OwnStatus {
  readonly #text: string;

  private constructor(text: string) {
    this.#text = text;
  }

  /** Reads it; undefined where that is not possible. */
  static read(libc: ReadCalls): OwnStatus | undefined {
    const text = readTextFile(libc, "/proc/self/status");
    return text === undefined ? undefined : new OwnStatus(text);
  }

  /** The effective user. */
  get uid(): number | undefined {
    return number(this.#words("Uid")?.[1]);
  }

  /** The effective group and the supplementary ones. */
  get groups(): readonly number[] {
    return [this.#words("Gid")?.[1], ...this.#words("Groups") ?? []]
      .map(number)
      .filter((gid) => gid !== undefined);
  }

  /** Whether a capability is in effect; undefined where the file does not say. */
  has(capability: "CAP_NET_ADMIN" | "CAP_SYS_PTRACE"): boolean | undefined {
    return hasCapability(this.#text, capability);
  }

  /** The mode: 0 none, 1 strict, 2 filters; undefined where the kernel has no seccomp. */
  get seccomp(): number | undefined {
    return number(this.#words("Seccomp")?.[0]);
  }

  /** The number of filters; undefined before kernel 5.9. */
  get seccompFilters(): number | undefined {
    return number(this.#words("Seccomp_filters")?.[0]);
  }

  /** Whether no_new_privs is set. */
  get noNewPrivileges(): boolean {
    return this.#words("NoNewPrivs")?.[0] === "1";
  }

  #words(name: string): readonly string[] | undefined {
    return new RegExp(`^${name}:[ \\t]*(.*)$`, "m").exec(this.#text)?.[1]?.split(/\s+/).filter(Boolean);
  }
}

function number(text: string | undefined): number | undefined {
  return text !== undefined && /^\d+$/.test(text) ? Number(text) : undefined;
}
