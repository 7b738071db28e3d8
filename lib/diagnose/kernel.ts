import type { ReadCalls } from "../../ffi/libc.ts";
import { encodeDatagram } from "../connector/message.ts";
import { readKernelIdentifiers } from "../connector/proc_net.ts";
import { NO_PROC_EVENTS, OTHER_NETWORK_NAMESPACE } from "../errors/advice.ts";
import { ERRNO, errnoName } from "../errors/errno.ts";
import { NetlinkSocket } from "../netlink/socket.ts";
import { servesProcEvents } from "../processes/explain_refusal.ts";
import { readTextFile } from "../procfs/file.ts";
import { explain, fail, type Finding, ok, unknown, warn } from "./check.ts";
import type { CallableContext, ReadableContext } from "./context.ts";

/** Major, minor and patch of a release. */
type KernelVersion = readonly [number, number, number];

const ACTION = "diagnose";

/** An identifier that nobody serves: the kernel accepts a message for it and drops it. */
const NOBODY = { idx: 0xffff_fffe, val: 0xffff_fffe };

const NO_LIST = "/proc/net/connector cannot be read; only the initial network namespace has it";

const INITIAL = "this is the kernel's initial one";

/** Advice wherever a kernel before 6.6 is what limits. */
export const UPDATE_KERNEL = "update the kernel to 6.6 or newer";

/** The kernel's release, and its known limits for a watch. */
export function checkKernel({ files }: ReadableContext): Finding {
  const release = kernelRelease(files);
  const version = release === undefined ? undefined : parseVersion(release);
  if (version === undefined) return unknown("/proc/sys/kernel/osrelease does not hold a release");
  if (isBefore(version, [6, 6, 0])) {
    return warn(
      `Linux ${release} (before 6.6): watching needs CAP_NET_ADMIN, the kernel does not filter events, and ` +
        "another program's IGNORE can mute every watcher",
      UPDATE_KERNEL,
    );
  }
  if (mutesItself(version)) {
    return warn(
      `Linux ${release} can mute itself: from 6.6.13 to 6.6.17 and from 6.7.1 to 6.7.5 an event that no filter ` +
        "accepts ends every subscription (your distribution may have backported the fix)",
      "update the kernel to 6.6.18, 6.7.6 or newer",
    );
  }
  return ok(`Linux ${release}: it filters events itself, and any user may watch`);
}

/** CONFIG_CONNECTOR, and whether a security policy allows the socket. */
export function checkConnector({ system }: CallableContext): Finding {
  try {
    NetlinkSocket.open(system.libc, ACTION).close();
    return ok("a netlink socket of the connector can be opened");
  } catch (error) {
    return fail(explain(error));
  }
}

/** Whether the kernel's socket is in this network namespace: elsewhere sending to it fails with ECONNREFUSED. */
export function checkNetworkNamespace({ files, system }: ReadableContext): Finding {
  if (system === undefined) {
    return readKernelIdentifiers(files) === undefined ? unknown(NO_LIST) : ok(INITIAL);
  }
  let socket: NetlinkSocket;
  try {
    socket = NetlinkSocket.open(system.libc, ACTION);
  } catch {
    return unknown("no socket of the connector can be opened");
  }
  const datagram = encodeDatagram({ id: NOBODY, seq: 0, ack: 0, flags: 0, data: new Uint8Array() });
  const result = socket.send(datagram);
  socket.close();
  if (result >= 0) return ok(INITIAL);
  if (result === -ERRNO.ECONNREFUSED!) return fail(OTHER_NETWORK_NAMESPACE);
  return unknown(`sending to the kernel failed with ${errnoName(-result)}`);
}

/** CONFIG_PROC_EVENTS. */
export function checkProcessEvents({ files }: ReadableContext): Finding {
  const served = servesProcEvents(files);
  if (served === undefined) return unknown(NO_LIST);
  return served ? ok("the kernel sends them (CONFIG_PROC_EVENTS is on)") : fail(NO_PROC_EVENTS);
}

/** The identifiers that the kernel serves. */
export function checkIdentifiers({ files }: ReadableContext): Finding {
  const served = readKernelIdentifiers(files);
  if (served === undefined) return unknown(NO_LIST);
  if (served.length === 0) return warn("the kernel serves none");
  return ok(served.map(({ id, name }) => `${name} ${id.idx}:${id.val}`).join(", "));
}

/** Whether this kernel is before 6.6; undefined where the release cannot be read. */
export function isOldKernel(libc: ReadCalls): boolean | undefined {
  const version = parseVersion(kernelRelease(libc) ?? "");
  return version === undefined ? undefined : isBefore(version, [6, 6, 0]);
}

function kernelRelease(libc: ReadCalls): string | undefined {
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

/** Whether the kernel resets its listener count when every filter drops an event. */
function mutesItself([major, minor, patch]: KernelVersion): boolean {
  if (major !== 6) return false;
  return (minor === 6 && patch >= 13 && patch <= 17) || (minor === 7 && patch >= 1 && patch <= 5);
}
