import { clampReceiveBuffer } from "../netlink/receive_buffer.ts";
import { NetlinkSocket } from "../netlink/socket.ts";
import { DEFAULT_RECEIVE_BUFFER_BYTES } from "../processes/watch_options.ts";
import { readTextFile } from "../procfs/file.ts";
import { type Finding, ok, unknown, warn } from "./check.ts";
import type { CallableScene } from "./context.ts";

/** What one process event takes of a receive buffer, in the kernel's own count. */
const EVENT_BYTES = 832;

/** What the kernel grants of the receive buffer that a watch asks for, and why not more. */
export function checkReceiveBuffer({ system }: CallableScene): Finding {
  const asked = clampReceiveBuffer(system.libc, DEFAULT_RECEIVE_BUFFER_BYTES, "diagnose");
  let granted: number;
  try {
    using socket = NetlinkSocket.open(system.libc, "diagnose");
    granted = socket.setReceiveBuffer(asked);
  } catch {
    return unknown("no socket of the connector can be opened");
  }
  const limit = numberIn(readTextFile(system.libc, "/proc/sys/net/core/rmem_max"));
  const available = numberIn(
    /^MemAvailable:.*$/m.exec(readTextFile(system.libc, "/proc/meminfo") ?? "")?.[0],
  );
  const events = Number((granted / EVENT_BYTES).toPrecision(2));
  // As the library's statistics have it: the kernel's count is twice what was asked for, since it includes its overhead.
  const facts =
    `${size(granted)} of ${
      size(asked * 2)
    } granted, by the kernel's count, room for about ${events} events; ` +
    `net.core.rmem_max is ${limit === undefined ? "not known" : size(limit)}, ` +
    `MemAvailable ${available === undefined ? "not known" : size(available * 1024)}`;
  if (granted >= asked * 2) {
    return ok(limit !== undefined && asked > limit ? `${facts}; beyond that limit by CAP_NET_ADMIN` : facts);
  }
  return warn(facts, `raise the limit (sysctl net.core.rmem_max=${asked}), or run it with CAP_NET_ADMIN`);
}

function numberIn(text: string | undefined): number | undefined {
  const digits = /\d+/.exec(text ?? "")?.[0];
  return digits === undefined ? undefined : Number(digits);
}

/** `208 KiB`, `32 MiB`. */
function size(bytes: number): string {
  if (bytes < 1024) return `${bytes} bytes`;
  const [value, unit] = bytes < 2 ** 20
    ? [bytes / 1024, "KiB"]
    : bytes < 2 ** 30
    ? [bytes / 2 ** 20, "MiB"]
    : [bytes / 2 ** 30, "GiB"];
  return `${Number(value.toFixed(value < 10 ? 1 : 0))} ${unit}`;
}
