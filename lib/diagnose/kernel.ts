import type { Libc } from "../../ffi/libc.ts";
import { readTextFile } from "../procfs/file.ts";
import { type Finding, ok, unknown, warn } from "./check.ts";
import type { ReadableScene } from "./context.ts";

/** Major, minor and patch of a release. */
type KernelVersion = readonly [number, number, number];

/** Advice wherever a kernel before 6.6 is what limits. */
export const UPDATE_KERNEL = "update the kernel to 6.6 or newer";

/** The kernel's release and what it means for a watch. */
export function checkKernel({ files }: ReadableScene): Finding {
  const release = kernelRelease(files);
  const version = release === undefined ? undefined : parseVersion(release);
  if (version === undefined) return unknown("/proc/sys/kernel/osrelease does not tell the release");
  if (isBefore(version, [6, 6, 0])) {
    return warn(
      `Linux ${release} (before 6.6): a watcher needs CAP_NET_ADMIN, the kernel filters nothing itself, and ` +
        "another program's IGNORE can mute every watcher",
      UPDATE_KERNEL,
    );
  }
  if (mutesItself(version)) {
    return warn(
      `Linux ${release} can mute itself: from 6.6.13 to 6.6.17 and from 6.7.1 to 6.7.5 an event that no filter ` +
        "lets through ends every subscription (a distribution may have repaired its own)",
      "update the kernel to 6.6.18, 6.7.6 or newer",
    );
  }
  return ok(`Linux ${release}: the kernel filters events itself, and everybody may watch`);
}

/** Whether this kernel is before 6.6; undefined where that cannot be known. */
export function isOldKernel(libc: Libc): boolean | undefined {
  const version = parseVersion(kernelRelease(libc) ?? "");
  return version === undefined ? undefined : isBefore(version, [6, 6, 0]);
}

function kernelRelease(libc: Libc): string | undefined {
  return readTextFile(libc, "/proc/sys/kernel/osrelease")?.trim();
}

function parseVersion(release: string): KernelVersion | undefined {
  const match = /^(\d+)\.(\d+)(?:\.(\d+))?/.exec(release);
  return match === null ? undefined : [Number(match[1]), Number(match[2]), Number(match[3] ?? 0)];
}

function isBefore(version: KernelVersion, than: KernelVersion): boolean {
  for (const [i, number] of version.entries()) if (number !== than[i]) return number < than[i]!;
  return false;
}

/** Whether it resets its count of listeners when every filter drops an event. */
function mutesItself([major, minor, patch]: KernelVersion): boolean {
  if (major !== 6) return false;
  return (minor === 6 && patch >= 13 && patch <= 17) || (minor === 7 && patch >= 1 && patch <= 5);
}
