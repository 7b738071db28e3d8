/**
 * Why something does not work here and what to do about it. Errors and diagnose() use the same texts.
 */
import { UnsupportedError, type UnsupportedReason } from "./unsupported_error.ts";

/** What was found and, if there is a remedy, what to do about it. */
export interface Explanation {
  readonly finding: string;
  readonly advice?: string | undefined;
}

/** Explains why something is not supported here. */
export interface Refusal extends Explanation {
  readonly reason: UnsupportedReason;
}

/** Both parts in one sentence. */
export function formatExplanation({ finding, advice }: Explanation): string {
  return advice === undefined ? finding : `${finding}: ${advice}`;
}

/** The error of a refusal. `action` completes "Cannot …". */
export function unsupported(action: string, refusal: Refusal, options?: ErrorOptions): UnsupportedError {
  const { reason, finding, advice } = refusal;
  return new UnsupportedError(action, reason, finding, { ...options, advice });
}

// --- the platform and the runtime

/** Another operating system or processor. */
export function otherPlatform(platform: string, arch: string): Refusal {
  return {
    reason: "platform",
    finding: `this is ${platform} on ${arch}; this library needs Linux on x64 or arm64`,
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
      advice: "remove --no-experimental-ffi from its command line and from NODE_OPTIONS",
    };
  }
  return {
    reason: "runtime",
    finding: `this is Node ${version}, and node:ffi needs Node ${FIRST_NODE} or newer`,
    advice: "update it, or use Bun or Deno",
  };
}

/** Calls into C return wrong values. */
export function ffiBroken(gotPid: number, pid: number): Refusal {
  return {
    reason: "runtime",
    finding:
      `calls into libc do not work in this version of the runtime: getpid() returned ${gotPid}, not ${pid}`,
  };
}

/** Deno was started without permission for libc, which may be at any of `paths`. */
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

/** The system starts no further thread. */
export function threadNotStarted(cause: string): Explanation {
  return {
    finding: `the thread that waits for events cannot be started (${cause})`,
    advice: "raise the limit of processes (ulimit -u, pids.max of the control group), or end others",
  };
}

/** libc could not be opened under any of its names. */
export function libcNotLoaded(cause: string): Refusal {
  return { reason: "libc", finding: `the C library could not be loaded: ${cause}` };
}

// --- the kernel

/** What to do about a kernel without connector or process events. */
const KERNEL_WITH = "boot a kernel that was built with CONFIG_CONNECTOR=y and CONFIG_PROC_EVENTS=y";

/** No NETLINK_CONNECTOR. */
export const NO_CONNECTOR: Refusal = {
  reason: "no-connector",
  finding: "this kernel has no connector (CONFIG_CONNECTOR is off)",
  advice: KERNEL_WITH,
};

/** A kernel in user space that isolates containers. */
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

/** socket(2) fails with an error that the kernel never returns. */
export const CONNECTOR_WITHHELD: Refusal = {
  reason: "sandbox",
  finding: "an emulator (qemu-user) or a sandbox stands in for the kernel and refuses connector sockets",
  advice: "run it outside, with a runtime that is built for this machine's processor",
};

/** As above, under a system call filter. */
export const FILTER_WITHHOLDS_CONNECTOR: Refusal = {
  reason: "sandbox",
  finding: "a system call filter (seccomp, RestrictAddressFamilies=) refuses connector sockets",
  advice: "allow socket(AF_NETLINK, SOCK_RAW, NETLINK_CONNECTOR) in it, or run it outside of the sandbox",
};

/** A kernel with a connector that serves no cn_proc. */
export const NO_PROC_EVENTS: Refusal = {
  reason: "no-proc-events",
  finding:
    "this kernel serves no process events (CONFIG_PROC_EVENTS is off): /proc/net/connector does not list cn_proc",
  advice: KERNEL_WITH,
};

/** The kernel's socket exists only in the initial network namespace. */
export const OTHER_NETWORK_NAMESPACE: Refusal = {
  reason: "network-namespace",
  finding: "this is not the initial network namespace, and the connector exists only there",
  advice: "run it outside of the container, or with the host's network (--net=host)",
};

/** LISTEN is ignored from there. */
export const OTHER_PID_NAMESPACE: Refusal = {
  reason: "pid-namespace",
  finding: "this is not the initial pid namespace, and the kernel accepts subscriptions only from there",
  advice: "run it outside of the container, or with the host's pid namespace (--pid=host)",
};

/** LISTEN is ignored from there. */
export const OTHER_USER_NAMESPACE: Refusal = {
  reason: "user-namespace",
  finding: "this is not the initial user namespace, and the kernel accepts subscriptions only from there",
  advice: "run it outside of the container, or in a container that shares the host's user namespace",
};

/** None of the known reasons applies. */
export const NOT_ACKNOWLEDGED: Refusal = {
  reason: "not-acknowledged",
  finding: "the kernel does not acknowledge the subscription",
};

// --- privileges and policies

/** What to do about a missing capability. */
export const GIVE_CAPABILITY = "run it as root, or give the program that capability";

/** EPERM at joining the group of the process events. */
export const JOINING_WANTS_NET_ADMIN: Explanation = {
  finding: "this kernel (before 6.6) requires CAP_NET_ADMIN",
  advice: GIVE_CAPABILITY,
};

/** EPERM as the answer to LISTEN. */
export const LISTENING_WANTS_NET_ADMIN: Explanation = {
  finding: "this kernel requires CAP_NET_ADMIN in the initial user namespace",
  advice: GIVE_CAPABILITY,
};

/** What to do about too few descriptors, also where a call has failed with EMFILE. */
export const RAISE_LIMIT = "raise the limit of open files: ulimit -n 1024";

/** ENFILE. */
export const RAISE_SYSTEM_LIMIT = "raise the system's limit of open files: sysctl fs.file-max";

/** A watch that cannot open what it needs. */
export const TOO_FEW_DESCRIPTORS: Explanation = {
  finding: "an event of our own arrived, but too few descriptors are left to read /proc",
  advice: RAISE_LIMIT,
};

/** EPERM or EACCES at socket(). */
export const POLICY_FORBIDS_SOCKET: Explanation = {
  finding: "a security policy (seccomp, AppArmor, SELinux) forbids connector sockets",
  advice: "allow socket(AF_NETLINK, SOCK_RAW, NETLINK_CONNECTOR) in it",
};
