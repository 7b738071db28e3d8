import type { ReadCalls } from "../../ffi/libc.ts";
import {
  CONNECTOR_WITHHELD,
  FILTER_WITHHOLDS_CONNECTOR,
  GVISOR,
  NO_CONNECTOR,
  type Refusal,
  WSL1,
} from "../errors/advice.ts";
import { ERRNO } from "../errors/errno.ts";
import { readTextFile } from "../procfs/file.ts";

/** The errors of socket(2) where a netlink protocol is not served, and those of emulators and filters in place of the kernel. */
const ANSWERS: readonly number[] = [
  ERRNO.EPROTONOSUPPORT!,
  ERRNO.EPFNOSUPPORT!,
  ERRNO.EAFNOSUPPORT!,
  ERRNO.ENOSYS!,
];

/** How gVisor's kernel has itself described in all of its versions. */
const GVISOR_BUILD = "#1 SMP Sun Jan 10 15:06:54 PST 2016";

/** How a runtime's name for a processor reads in the kernel's. */
const KERNEL_ARCH: Readonly<Record<ReadCalls["arch"], string>> = { x64: "x86_64", arm64: "aarch64" };

/**
 * Why there is no connector, where socket(2) failed with an `errno` that means so: the kernel was built
 * without it, or something between this program and the kernel answers in its place.
 */
export function explainNoConnector(libc: ReadCalls, errno: number): Refusal | undefined {
  if (!ANSWERS.includes(errno)) return undefined;
  const version = readTextFile(libc, "/proc/version") ?? "";
  if (/gvisor/i.test(version) || version.includes(GVISOR_BUILD)) return GVISOR;
  if (/-Microsoft\b/.test(version)) return WSL1; // WSL 2 has a real kernel, and writes it small
  // Emulators hand these files through from the real kernel.
  const arch = readTextFile(libc, "/proc/sys/kernel/arch")?.trim();
  const emulated = arch !== undefined && arch !== KERNEL_ARCH[libc.arch];
  const served = readTextFile(libc, "/proc/net/connector") !== undefined;
  if (!emulated && !served && errno === ERRNO.EPROTONOSUPPORT!) return NO_CONNECTOR;
  const filtered = /^Seccomp:\s*[12]$/m.test(readTextFile(libc, "/proc/self/status") ?? "");
  return filtered ? FILTER_WITHHOLDS_CONNECTOR : CONNECTOR_WITHHELD;
}
