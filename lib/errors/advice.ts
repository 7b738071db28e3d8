/**
 * Why something is refused here and what to do about it: the one place for the words, so that an error and the
 * diagnosis say the same.
 */
import { UnsupportedError, type UnsupportedReason } from "./unsupported_error.ts";

/** What was found, and what to do about it where something can be done. */
export interface Explanation {
  readonly finding: string;
  readonly advice?: string | undefined;
}

/** Words for something that is not supported here. */
export interface Refusal extends Explanation {
  readonly reason: UnsupportedReason;
}

/** Both parts as one sentence. */
export function formatExplanation({ finding, advice }: Explanation): string {
  return advice === undefined ? finding : `${finding}: ${advice}`;
}

/** The error of a refusal. `action` completes "Cannot …". */
export function unsupported(action: string, refusal: Refusal, options?: ErrorOptions): UnsupportedError {
  const { reason, finding, advice } = refusal;
  return new UnsupportedError(action, reason, finding, { ...options, advice });
}

// --- the platform and the runtime

/** Not the system that this is made for. */
export function otherPlatform(platform: string, arch: string): Refusal {
  return {
    reason: "platform",
    finding: `this is ${platform} on ${arch}, and the kernel connector is on Linux, here on x64 and arm64`,
  };
}

/** The first Node with `node:ffi`. */
export const FIRST_NODE = 26;

/** A Node that has no `node:ffi`, or was started without it. `version` begins with a "v". */
export function nodeWithoutFfi(version: string): Refusal {
  if (Number.parseInt(version.slice(1)) >= FIRST_NODE) {
    return {
      reason: "runtime",
      finding: "node:ffi is switched off in this Node",
      advice: "take --no-experimental-ffi out of its command line and out of NODE_OPTIONS",
    };
  }
  return {
    reason: "runtime",
    finding: `this is Node ${version}, and node:ffi needs Node ${FIRST_NODE} or newer`,
    advice: "update it, or use Bun or Deno",
  };
}

/** The runtime's calls into C answer nonsense. */
export function ffiBroken(gotPid: number, pid: number): Refusal {
  return {
    reason: "runtime",
    finding: `calling libc does not work in this version of the runtime: getpid() gave ${gotPid}, not ${pid}`,
  };
}

/** Deno was started without permission for libc, which may be in any of `paths`. */
export function denoForbidsLibc(paths: readonly string[]): Refusal {
  return {
    reason: "permission",
    finding: "Deno was not given access to the C library",
    advice: `add --allow-ffi=${paths[0]} (or where this system keeps it: ${paths.slice(1).join(", ")})`,
  };
}

/** Node was started with `--permission`. */
export const NODE_FORBIDS_FFI: Refusal = {
  reason: "permission",
  finding: "Node's permission model refuses FFI",
  advice: "add --allow-ffi and --allow-worker",
};

/** Node was started with `--permission` and `--allow-ffi` alone. */
export const NODE_FORBIDS_THREADS: Refusal = {
  reason: "permission",
  finding: "Node's permission model refuses the thread that waits for events",
  advice: "add --allow-ffi and --allow-worker",
};

/** The system has no thread for us. */
export function threadNotStarted(cause: string): Explanation {
  return {
    finding: `the thread that waits for events cannot be started (${cause})`,
    advice: "raise the limit of processes (ulimit -u, pids.max of the control group), or end others",
  };
}

/** No library could be opened. */
export function libcNotLoaded(cause: string): Refusal {
  return { reason: "libc", finding: `the C library could not be loaded: ${cause}` };
}

// --- the kernel

/** What to do where something was left out of the kernel. */
const KERNEL_WITH = "boot a kernel that was built with CONFIG_CONNECTOR=y and CONFIG_PROC_EVENTS=y";

/** No NETLINK_CONNECTOR. */
export const NO_CONNECTOR: Refusal = {
  reason: "no-connector",
  finding: "this kernel has no connector (CONFIG_CONNECTOR is off)",
  advice: KERNEL_WITH,
};

/** A kernel in user space, in which containers are shut in. */
export const GVISOR: Refusal = {
  reason: "sandbox",
  finding: "this is a gVisor sandbox, and its kernel has no connector",
  advice: "run it outside of the sandbox, or in a container of another runtime (runc)",
};

/** Windows Subsystem for Linux before it had a kernel. */
export const WSL1: Refusal = {
  reason: "sandbox",
  finding: "this is WSL 1, which has no Linux kernel",
  advice: "convert the distribution to WSL 2: wsl --set-version NAME 2",
};

/** socket() is refused with an error that the kernel does not give. */
export const CONNECTOR_WITHHELD: Refusal = {
  reason: "sandbox",
  finding:
    "an emulator (qemu-user) or a sandbox answers for the kernel, and refuses sockets of the connector",
  advice: "run it outside, with a runtime that was built for this machine's processor",
};

/** The same, where a filter of system calls is on. */
export const FILTER_WITHHOLDS_CONNECTOR: Refusal = {
  reason: "sandbox",
  finding: "a filter of system calls (seccomp, RestrictAddressFamilies=) refuses sockets of the connector",
  advice: "allow socket(AF_NETLINK, SOCK_RAW, NETLINK_CONNECTOR) in it, or run it outside of the sandbox",
};

/** A kernel with a connector that serves no cn_proc. */
export const NO_PROC_EVENTS: Refusal = {
  reason: "no-proc-events",
  finding:
    "this kernel serves no process events (CONFIG_PROC_EVENTS is off): /proc/net/connector does not list cn_proc",
  advice: KERNEL_WITH,
};

/** The connector's kernel socket exists only in the first network namespace. */
export const OTHER_NETWORK_NAMESPACE: Refusal = {
  reason: "network-namespace",
  finding: "this is another network namespace than the kernel's first, and the connector is only there",
  advice: "run it outside of the container, or with the host's network (--net=host)",
};

/** LISTEN is ignored from there. */
export const OTHER_PID_NAMESPACE: Refusal = {
  reason: "pid-namespace",
  finding:
    "this is another pid namespace than the kernel's first, and the kernel takes no subscription from there",
  advice: "run it outside of the container, or with the host's pid namespace (--pid=host)",
};

/** LISTEN is ignored from there. */
export const OTHER_USER_NAMESPACE: Refusal = {
  reason: "user-namespace",
  finding:
    "this is another user namespace than the kernel's first, and the kernel takes no subscription from there",
  advice: "run it outside of the container, or in a container that shares the host's user namespace",
};

/** Nothing that is known to keep a kernel from acknowledging. */
export const NOT_ACKNOWLEDGED: Refusal = {
  reason: "not-acknowledged",
  finding: "the kernel does not acknowledge the subscription",
};

// --- privileges and policies

/** What to do where a capability is missing. */
export const GIVE_CAPABILITY = "run it as root, or give the program that capability";

/** EPERM at joining the group of the process events. */
export const JOINING_WANTS_NET_ADMIN: Explanation = {
  finding: "this kernel (before 6.6) wants CAP_NET_ADMIN",
  advice: GIVE_CAPABILITY,
};

/** EPERM as the answer to LISTEN. */
export const LISTENING_WANTS_NET_ADMIN: Explanation = {
  finding: "this kernel wants CAP_NET_ADMIN in its first user namespace",
  advice: GIVE_CAPABILITY,
};

/** What to do about too few descriptors, also where a call has failed with EMFILE. */
export const RAISE_LIMIT = "raise the limit of open files: ulimit -n 1024";

/** ENFILE. */
export const RAISE_SYSTEM_LIMIT = "raise the system's limit of open files: sysctl fs.file-max";

/** A watch that cannot open what it needs. */
export const TOO_FEW_DESCRIPTORS: Explanation = {
  finding: "an event of our own arrived, but too few descriptors are left to look at processes in /proc",
  advice: RAISE_LIMIT,
};

/** EPERM or EACCES at socket(). */
export const POLICY_FORBIDS_SOCKET: Explanation = {
  finding: "a security policy (seccomp, AppArmor, SELinux) forbids netlink sockets of the connector here",
  advice: "allow socket(AF_NETLINK, SOCK_RAW, NETLINK_CONNECTOR) in it",
};
