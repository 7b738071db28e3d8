import type { Libc } from "../../ffi/libc.ts";
import { type Explanation, OTHER_USER_NAMESPACE } from "../errors/advice.ts";
import { DecodeError } from "../errors/decode_error.ts";
import { ERRNO } from "../errors/errno.ts";
import { SyscallError } from "../errors/syscall_error.ts";
import { hasCapability } from "../procfs/capabilities.ts";
import { readTextFile } from "../procfs/file.ts";
import { inFirstNamespace } from "./explain_refusal.ts";

/** Why the kernel records no execs for us, and what to do about it. */
export function explainRecordsRefusal(libc: Libc, error: unknown): Explanation {
  if (error instanceof DecodeError) {
    return { finding: `what the kernel says of its structures (BTF) cannot be read: ${error.message}` };
  }
  if (!(error instanceof SyscallError)) return { finding: String(error) };
  const { errno, call, code } = error;
  if (!call.startsWith("BPF_")) {
    return errno === ERRNO.ENOENT
      ? {
        finding: "this kernel does not describe its structures (there is no /sys/kernel/btf/vmlinux)",
        advice: "boot a kernel that was built with CONFIG_DEBUG_INFO_BTF=y, or mount sysfs on /sys",
      }
      : { finding: `${call} failed with ${code}`, advice: error.advice };
  }
  if (errno === ERRNO.ENOSYS) {
    return {
      finding: "bpf(2) is not there: the kernel has none (CONFIG_BPF_SYSCALL), or a sandbox hides it",
    };
  }
  if (readTextFile(libc, "/sys/kernel/security/lockdown")?.includes("[confidentiality]") === true) {
    return {
      finding: "the kernel is locked down (confidentiality): no program may read its memory",
      advice: "boot it with lockdown=integrity or without, where that is acceptable",
    };
  }
  if (errno === ERRNO.EPERM || errno === ERRNO.EACCES) return explainPermission(libc, error);
  if (errno === ERRNO.ENOENT && call === "BPF_RAW_TRACEPOINT_OPEN") {
    return { finding: "this kernel has no tracepoints for programs (CONFIG_BPF_EVENTS is off)" };
  }
  if (errno === ERRNO.EINVAL) {
    return {
      finding: `${call} failed with EINVAL: kernels before 5.8 cannot do it`,
      advice: error.advice ?? "update the kernel",
    };
  }
  return { finding: `${call} failed with ${code}`, advice: error.advice };
}

function explainPermission(libc: Libc, { call, code }: SyscallError): Explanation {
  const status = readTextFile(libc, "/proc/self/status") ?? "";
  const mayRecord = hasCapability(status, "CAP_BPF") === true &&
    hasCapability(status, "CAP_PERFMON") === true;
  if (inFirstNamespace(libc, "user") === false) {
    return {
      finding: "this is not the initial user namespace, and its capabilities do not count",
      advice: OTHER_USER_NAMESPACE.advice,
    };
  }
  if (hasCapability(status, "CAP_SYS_ADMIN") === false && !mayRecord) {
    return {
      finding: "it wants root, or CAP_BPF and CAP_PERFMON (from Linux 5.8 on)",
      advice: "run it as root, or give the program these capabilities",
    };
  }
  if (/^Seccomp:\s*2$/m.test(status)) {
    return {
      finding: "a system call filter (seccomp) refuses bpf(2)",
      advice: "allow bpf in it, or run it outside of the sandbox",
    };
  }
  return {
    finding:
      `${call} failed with ${code}: a security policy forbids it, or (before Linux 5.11) RLIMIT_MEMLOCK`,
    advice: "raise the limit of locked memory (ulimit -l unlimited), or change the policy",
  };
}
