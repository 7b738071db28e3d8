import { existsSync, readFileSync, statSync } from "node:fs";
import { resolve } from "node:path";
import type { BusSnapshot } from "../../../../mod.ts";
import { mayRead } from "../../runtime.ts";
import { safeText } from "../../io/safe_text.ts";

/** The group of the dirty logs. */
const GROUP = 7;

/** Bit of the capability in the masks of /proc. */
const CAP_SYS_ADMIN = 21n;

/** An absolute path of a folder that is there: else the first mirror would hear of it, and not who typed it. */
export function existingFolder(folder: string): string {
  const path = resolve(folder);
  if (!mayRead(path)) return path; // Deno's permission; libc will tell
  let found: ReturnType<typeof statSync> | undefined;
  try {
    found = statSync(path);
  } catch (error) {
    throw new Error(`Cannot keep dirty logs in ${path}: ${(error as Error).message}`, { cause: error });
  }
  if (!found.isDirectory()) throw new Error(`Cannot keep dirty logs in ${path}: it is no folder`);
  return path;
}

/** The kernel throws away the answers of others without a word, and its mirrors would wait for ever. */
export function assertCanReply(status: string | undefined): void {
  const mask = /^CapEff:\s*([\da-f]+)$/m.exec(status ?? "")?.[1];
  if (mask === undefined || (BigInt(`0x${mask}`) >> CAP_SYS_ADMIN & 1n) === 1n) return;
  throw new Error(
    "Cannot serve dirty logs: the kernel takes answers from programs with CAP_SYS_ADMIN only: run it as root, or " +
      "give the program that capability",
  );
}

/** What the kernel says of this process, or undefined where it may not be read. */
export function ownStatus(): string | undefined {
  const path = "/proc/self/status";
  if (!mayRead(path)) return undefined;
  try {
    return readFileSync(path, "utf8");
  } catch {
    return undefined;
  }
}

/**
 * Whether the kernel has the module that asks. Without it a server may wait for the first mirror, whose making loads
 * it; but not where nothing can be loaded, or where its requests do not arrive.
 */
export function askerLoaded({ identifiers }: BusSnapshot, loadsModules: boolean): boolean {
  if (identifiers === undefined) {
    throw new Error(
      "Cannot serve dirty logs: this is another network namespace than the kernel's first, and the connector is only " +
        "there: run it outside of the container, or with the host's network (--net=host)",
    );
  }
  if (identifiers.some(({ id }) => id.idx === GROUP && id.val === 1)) return true;
  if (loadsModules) return false;
  throw new Error(
    "Cannot serve dirty logs: this kernel has no dm-log-userspace (/proc/net/connector does not list 7:1), and it loads " +
      "no modules: boot one that was built with CONFIG_DM_LOG_USERSPACE",
  );
}

/** Whether this kernel can load modules; taken for granted where that may not be looked up. */
export function kernelLoadsModules(): boolean {
  return !mayRead("/proc/modules") || existsSync("/proc/modules");
}

/** Two servers answer the same questions, each with a log of its own in mind; only files are locked. */
export function assertSoleServer({ sockets }: BusSnapshot): void {
  const other = sockets.find(({ port, groups }) => port !== 0 && groups.includes(GROUP));
  if (other === undefined) return;
  const whose = other.owners.map(({ pid, comm }) => `${pid} ${safeText(comm)}`).join(", ") || "unknown";
  throw new Error(
    `Cannot serve dirty logs: group ${GROUP} has a listener already, port ${other.port} (process ${whose}), and two ` +
      "servers would spoil each other's logs: end it, or use --force if it only listens",
  );
}
