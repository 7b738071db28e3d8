import { ERRNO } from "../errors/errno.ts";
import { SyscallError } from "../errors/syscall_error.ts";
import { KERNEL_PORT } from "../netlink/address.ts";
import type { CallbackRegistry } from "./callbacks.ts";
import type { PendingRequests } from "./requests.ts";
import type { CbId, CnMsg } from "./message.ts";
import type { SendOptions } from "./options.ts";
import type { Target, Writer } from "./writer.ts";

/** Whom a message goes to: as told, or to the group of its identifier's callback. `action` completes "Cannot …". */
export function targetOf(
  id: CbId,
  options: SendOptions,
  callbacks: CallbackRegistry,
  action: string,
): Target {
  const told = toldTarget(options, action);
  if (told !== undefined) return told;
  const registration = callbacks.get(id);
  if (registration === undefined || registration.group === 0) {
    const advice =
      "the identifier has no callback here, so it has no group: say whom it is for, { port: 0 } being " +
      "the kernel and { group } everybody in a group";
    throw new SyscallError(action, "cn_netlink_send", ERRNO.ENODEV!, advice);
  }
  return { group: registration.group };
}

/** Whom a question goes to: as told, or to the kernel if it serves the identifier, or else to the identifier's group. */
export function questionTargetOf(
  id: CbId,
  options: SendOptions,
  writer: Writer,
  action: string,
): Target {
  const told = toldTarget(options, action);
  if (told !== undefined) return told;
  if (writer.kernelServesNow(id)) return { port: KERNEL_PORT };
  if (id.idx >= 1 && id.idx <= 32) return { group: id.idx };
  const advice =
    "the kernel does not serve the identifier, and it has no group: say whom to ask, { port } or { group }";
  throw new SyscallError(action, "cn_netlink_send", ERRNO.ENODEV!, advice);
}

/** The message with its numbers: as told, or the next sequence number and an acknowledge number by lot. */
export function messageOf(
  id: CbId,
  data: Uint8Array,
  { seq, ack, flags = 0 }: SendOptions,
  pendingRequests: PendingRequests,
): CnMsg {
  return { id, seq: seq ?? pendingRequests.takeSeq(), ack: ack ?? pendingRequests.randomAck(), flags, data };
}

function toldTarget({ port, group = 0 }: SendOptions, action: string): Target | undefined {
  if (port !== undefined) {
    if (group !== 0) throw new TypeError(`Cannot ${action}: it goes to a port or to a group, not to both`);
    return { port };
  }
  return group === 0 ? undefined : { group };
}
