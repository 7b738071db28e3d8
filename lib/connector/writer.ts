import type { Libc } from "../../ffi/libc.ts";
import {
  formatExplanation,
  GIVE_CAPABILITY,
  OTHER_NETWORK_NAMESPACE,
  unsupported,
} from "../errors/advice.ts";
import { ERRNO } from "../errors/errno.ts";
import { SyscallError } from "../errors/syscall_error.ts";
import { groupMask, KERNEL_PORT } from "../netlink/message.ts";
import type { NetlinkSocket } from "../netlink/socket.ts";
import { fixedBytes } from "../wire/bytes.ts";
import {
  type CbId,
  CN_NETLINK_USERS,
  type CnMsg,
  datagramBytes,
  encodeDatagram,
  encodeDatagramInto,
  idText,
  MAX_DATA_BYTES,
  MAX_DATA_TO_KERNEL,
  sameId,
} from "./message.ts";
import type { SendOptions } from "./options.ts";
import {
  type BusSocket,
  CachedValue,
  type KernelIdentifier,
  readBusSockets,
  readKernelIdentifiers,
} from "./proc_net.ts";

/** How old a list of /proc/net may be that has what is looked for. One that does not have it is read again. */
const MAX_AGE_MS = 100;

/** Datagrams up to this length are encoded into the same memory. */
const SHORT_BYTES = 4096;

/** How often a send may be interrupted by a signal. */
const SEND_TRIES = 16;

/** For an identifier that nobody serves: the kernel accepts and drops it. */
const TO_NOBODY: CnMsg = {
  id: { idx: 0xffff_fffe, val: 0xffff_fffe },
  seq: 0,
  ack: 0,
  flags: 0,
  data: new Uint8Array(),
};

/** Where a message goes: to one port, 0 being the kernel, or to everybody in a group. */
export type Target = { readonly port: number } | { readonly group: number };

/**
 * Where the options say that a message goes; undefined where they leave it open.
 *
 * @param action completes "Cannot …".
 */
export function givenTarget({ port, group = 0 }: SendOptions, action: string): Target | undefined {
  if (port === undefined) return group === 0 ? undefined : { group };
  if (group !== 0) throw new TypeError(`Cannot ${action}: it goes to a port or to a group, not to both`);
  return { port };
}

/** Sends messages, and finds out what sendto(2) does not report: who is in a group, and what the kernel serves. */
export class Writer {
  readonly #socket: NetlinkSocket;
  readonly #served: CachedValue<readonly KernelIdentifier[] | undefined>;
  readonly #sockets: CachedValue<readonly BusSocket[] | undefined>;
  /** Most messages are short, and share this memory. */
  readonly #short: Uint8Array<ArrayBuffer> = fixedBytes(SHORT_BYTES);
  /** How many datagrams were sent. */
  sent = 0;

  constructor(libc: Libc, socket: NetlinkSocket) {
    this.#socket = socket;
    this.#served = new CachedValue(MAX_AGE_MS, () => readKernelIdentifiers(libc));
    this.#sockets = new CachedValue(MAX_AGE_MS, () => readBusSockets(libc));
  }

  /** Whether the kernel serves an identifier, as of a moment ago. False where that cannot be known. */
  kernelServes(id: CbId): boolean {
    return serves(this.#served.get(), id);
  }

  /** Whether the kernel serves an identifier: true as of a moment ago, false as of now. */
  kernelServesNow(id: CbId): boolean {
    return serves(this.#served.get(), id) || serves(this.#served.refresh(), id);
  }

  /**
   * Sends.
   *
   * @param action completes "Cannot …".
   * @returns False if the receiver's buffer has no room for it: it was not sent, and can be tried again.
   * @throws What else kept it from being sent.
   */
  trySend(message: CnMsg, target: Target, action: string): boolean {
    checkLength(message, target, action);
    if ("group" in target) this.#checkHasMembers(target.group, action);
    else if (target.port === KERNEL_PORT) this.#checkIsServed(message.id, action);
    const port = "port" in target ? target.port : KERNEL_PORT;
    const length = datagramBytes(message.data.length);
    const datagram = length <= SHORT_BYTES ? this.#short.subarray(0, length) : fixedBytes(length);
    encodeDatagramInto(datagram, message);
    let result = 0;
    for (let tries = 0; tries < SEND_TRIES; tries++) {
      result = this.#socket.send(datagram, port, "group" in target ? groupMask(target.group) : 0);
      if (result !== -ERRNO.EINTR!) break;
    }
    if (result === -ERRNO.EAGAIN!) return false;
    // What goes to a group is sent to the kernel as well, last of all. Outside the initial network namespace the
    // kernel is not there, but the group has received the message.
    if (result === -ERRNO.ECONNREFUSED! && "group" in target) result = 0;
    if (result < 0) throw refusal(-result, port, action);
    this.sent++;
    return true;
  }

  /** As {@linkcode trySend}, but a full receive buffer is an error. */
  send(message: CnMsg, target: Target, action: string): void {
    if (this.trySend(message, target, action)) return;
    const advice =
      "the receiver's buffer is full, because it reads more slowly than it is sent to: try again later";
    throw new SyscallError(action, "sendto", ERRNO.EAGAIN!, advice);
  }

  /** Throws where only the kernel could send what is waited for, and it is not in this network namespace. */
  checkHasKernel(action: string): void {
    if (this.#isOutsideOfKernelsNamespace()) throw unsupported(action, OTHER_NETWORK_NAMESPACE);
  }

  #isOutsideOfKernelsNamespace(): boolean {
    if (this.#served.get() !== undefined) return false;
    return this.#socket.send(encodeDatagram(TO_NOBODY), KERNEL_PORT) === -ERRNO.ECONNREFUSED!;
  }

  /** The kernel accepts messages to a group without members. Its own drivers get ESRCH for that, and so does ours. */
  #checkHasMembers(group: number, action: string): void {
    const mask = groupMask(group);
    const hasMembers = (sockets: readonly BusSocket[] | undefined): boolean =>
      sockets?.some(({ port, groups }) => (groups & mask) !== 0 && port !== this.#socket.port) ?? true;
    if (hasMembers(this.#sockets.get()) || hasMembers(this.#sockets.refresh())) return;
    let advice = `no other program is in group ${group}`;
    if (this.#isOutsideOfKernelsNamespace()) {
      if (group < CN_NETLINK_USERS) throw unsupported(action, OTHER_NETWORK_NAMESPACE);
      advice += ` in this network namespace: ${formatExplanation(OTHER_NETWORK_NAMESPACE)}`;
    }
    throw new SyscallError(action, "cn_netlink_send", ERRNO.ESRCH!, advice);
  }

  /** The kernel accepts and drops messages for identifiers that it does not serve. */
  #checkIsServed(id: CbId, action: string): void {
    const isServed = (list: readonly KernelIdentifier[] | undefined): boolean =>
      list === undefined || serves(list, id);
    if (isServed(this.#served.get()) || isServed(this.#served.refresh())) return;
    const advice = `the kernel does not serve ${idText(id)}: it is not in /proc/net/connector`;
    throw new SyscallError(action, "cn_netlink_send", ERRNO.ENODEV!, advice);
  }
}

function serves(list: readonly KernelIdentifier[] | undefined, id: CbId): boolean {
  return list?.some((served) => sameId(served.id, id)) ?? false;
}

/** The kernel silently drops what is too long for it, and `len` has only 16 bits. */
function checkLength(message: CnMsg, target: Target, action: string): void {
  const toKernel = "port" in target && target.port === KERNEL_PORT;
  const limit = toKernel ? MAX_DATA_TO_KERNEL : MAX_DATA_BYTES;
  const { length } = message.data;
  if (length <= limit) return;
  const whom = toKernel ? "the kernel" : "a program";
  throw new RangeError(`Cannot ${action}: ${whom} takes up to ${limit} bytes, not ${length}`);
}

function refusal(errno: number, port: number, action: string): Error {
  if (errno === ERRNO.ECONNREFUSED!) {
    if (port === KERNEL_PORT) return unsupported(action, OTHER_NETWORK_NAMESPACE);
    return new SyscallError(action, "sendto", errno, `no socket of the connector has port ${port}`);
  }
  return new SyscallError(action, "sendto", errno, ADVICE.get(errno));
}

const ADVICE: ReadonlyMap<number, string> = new Map([
  [
    ERRNO.EPERM!,
    "sending to programs and groups requires CAP_NET_ADMIN in the initial user namespace; without it, messages can go " +
    `to the kernel only: ${GIVE_CAPABILITY}`,
  ],
  [
    ERRNO.EMSGSIZE!,
    "the message is longer than a socket may send on this system: raise net.core.wmem_default",
  ],
]);
