import type { ReadCalls } from "../../ffi/libc.ts";
import { readDirectory, readFolders, readTextFile, realPath } from "../procfs/file.ts";
import { globMatcher, isGlob } from "./glob.ts";
import { withoutDeleted } from "./program_file.ts";

/** How many groups are looked at to find one by its name: a machine has some hundred. */
const MAX_GROUPS = 20_000;

/** A test of paths in the unified hierarchy. */
export interface CgroupTest {
  /** Whether a path is this group, or one in it. */
  readonly matches: (path: string) => boolean;
  /** What a user should know who wonders why nothing matches. */
  readonly note?: string | undefined;
}

/** A hierarchy of control groups in the file system. */
interface Mount {
  readonly type: string;
  readonly point: string;
  /** What of the hierarchy is there. */
  readonly root: string;
}

/** Whether processes have a path in the unified hierarchy at all: also without it being mounted, from 2.6.24 on. */
export function hasUnifiedHierarchy(libc: ReadCalls): boolean {
  const own = readTextFile(libc, "/proc/self/cgroup");
  return own === undefined || /^0::/m.test(own);
}

/**
 * A test for one control group and those in it, by meaning: a path in the hierarchy, with or without its mount point, as
 * /proc/PID/cgroup has it (`0::/…`), or, without a `/`, the name of a group anywhere.
 *
 * @throws {TypeError} For what can never match.
 */
export function cgroupTest(
  libc: ReadCalls,
  pattern: string,
  unsupported: (why: string) => TypeError,
): CgroupTest {
  const text = pattern.replace(/^0::/, "");
  if (text === "") throw unsupported("it is empty");
  if (!text.includes("/")) {
    const isPart = isGlob(text) ? globMatcher(text) : (part: string): boolean => part === text;
    return {
      note: isThereNone(libc, isPart) ? `there is no control group named ${text} now` : undefined,
      matches: (path) => withoutDeleted(path).split("/").some((part) => part !== "" && isPart(part)),
    };
  }
  const given = `/${text}`.replace(/\/{2,}/g, "/").replace(/(.)\/$/, "$1");
  const mounts = cgroupMounts(libc);
  const mount = mounts.find(({ point }) => isWithin(point, given));
  if (mount !== undefined && mount.type !== "cgroup2") {
    throw unsupported(
      `${given} is in the hierarchy of a single controller (${mount.point}, cgroup v1); ` +
        "processes are chosen by their path in the unified one, the line 0:: of /proc/PID/cgroup",
    );
  }
  const groups = [given];
  if (mount !== undefined) {
    groups.push(
      `/${mount.root}/${given.slice(mount.point.length)}`.replace(/\/{2,}/g, "/").replace(/(.)\/$/, "$1"),
    );
  }
  if (isGlob(given)) {
    const tests = groups.flatMap((group) => [globMatcher(group, "/"), globMatcher(`${group}/**`, "/")]);
    return { matches: (path) => tests.some((matches) => matches(withoutDeleted(path))) };
  }
  const unified = mounts.filter(({ type }) => type === "cgroup2");
  const group = groups.at(-1)!;
  const isThere = unified.length === 0 ||
    unified.some(({ point, root }) =>
      isWithin(root, group) &&
      realPath(libc, point + group.slice(root === "/" ? 0 : root.length)) !== undefined
    );
  return {
    note: isThere ? undefined : `there is no control group ${group} now`,
    matches: (path) => groups.some((each) => isWithin(each, withoutDeleted(path))),
  };
}

/** Whether certainly no group has such a name now: nothing is certain where only a part of the hierarchy is mounted, or none. */
function isThereNone(libc: ReadCalls, isName: (name: string) => boolean): boolean {
  const mount = cgroupMounts(libc).find(({ type, root }) => type === "cgroup2" && root === "/");
  if (mount === undefined || !readDirectory(libc, mount.point).includes("cgroup.procs")) return false;
  const folders = [mount.point];
  // Folders are appended meanwhile, so parents come first.
  for (const folder of folders) {
    const names = readFolders(libc, folder);
    if (names.some(isName) || folders.length + names.length > MAX_GROUPS) return false;
    for (const name of names) folders.push(`${folder}/${name}`);
  }
  return true;
}

/** Whether a path is a group or in it. */
function isWithin(group: string, path: string): boolean {
  return group === "/" || path === group || path.startsWith(`${group}/`);
}

/** Every hierarchy that is mounted, the deepest mount point first. */
function cgroupMounts(libc: ReadCalls): Mount[] {
  const mounts: Mount[] = [];
  for (const line of (readTextFile(libc, "/proc/self/mountinfo") ?? "").split("\n")) {
    // 36 35 98:0 /mnt1 /mnt2 rw,noatime master:1 - ext3 /dev/root rw,errors=continue
    const [before, after] = line.split(" - ", 2);
    const [, , , root, point] = before!.split(" ");
    const type = after?.split(" ", 1)[0];
    if (root === undefined || point === undefined || (type !== "cgroup2" && type !== "cgroup")) continue;
    mounts.push({ type, point: unescape(point), root: unescape(root) });
  }
  return mounts.sort((a, b) => b.point.length - a.point.length);
}

/** Spaces and the like stand as octal numbers there. */
function unescape(text: string): string {
  return text.replace(/\\([0-7]{3})/g, (_, octal: string) => String.fromCharCode(parseInt(octal, 8)));
}
