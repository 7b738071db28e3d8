import type { Libc } from "../../ffi/libc.ts";
import { GIVE_CAPABILITY, OTHER_NETWORK_NAMESPACE, unsupported } from "../errors/advice.ts";
import { type Check, integer } from "../errors/arguments.ts";
import { ERRNO } from "../errors/errno.ts";
import { SyscallError } from "../errors/syscall_error.ts";
import { groupMask, KERNEL_PORT, MAX_GROUP } from "../netlink/address.ts";
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
import {
  type BusSocket,
  CachedValue,
  type KernelIdentifier,
  readBusSockets,
  readKernelIdentifiers,
} from "./proc_net.ts";

/** Memberships of a socket. Several may want the same group: it is left when none of them is left. */
export class Groups {
  readonly #socket: NetlinkSocket;
  readonly #wanted = new Map<number, number>();

  constructor(socket: NetlinkSocket) {
    this.#socket = socket;
  }

  /** Joins a group for one more that wants it. */
  join(group: number): void {
    checkGroup(group, "group", "join a group");
    const wanted = this.#wanted.get(group) ?? 0;
    if (wanted === 0) {
      const advice = (errno: number): string | undefined =>
        errno === ERRNO.EPERM ? whyNotJoined(group) : undefined;
      this.#socket.join(group, advice, `join group ${group}`);
    }
    this.#wanted.set(group, wanted + 1);
  }

  /** Takes one join back. */
  leave(group: number): void {
    const wanted = this.wanted(group);
    this.#wanted.set(group, wanted - 1);
    if (wanted === 1) this.#socket.leave(group);
  }

  /** How many want to be in a group. */
  wanted(group: number): number {
    return this.#wanted.get(group) ?? 0;
  }

  /** The groups that the kernel says the socket is in. */
  list(): number[] {
    const mask = this.#socket.memberships();
    return Array.from({ length: MAX_GROUP }, (_, i) => i + 1).filter((group) => (mask >>> (group - 1)) & 1);
  }
}

/** The joins of the connector's caller: it cannot take back those of a callback or of a stream. */
export class CallerGroups {
  readonly #groups: Groups;
  readonly #joins = new Map<number, number>();

  constructor(groups: Groups) {
    this.#groups = groups;
  }

  /** Joins once more. */
  join(group: number): void {
    this.#groups.join(group);
    this.#joins.set(group, (this.#joins.get(group) ?? 0) + 1);
  }

  /** Takes one join back; false where there is none. */
  leave(group: number): boolean {
    checkGroup(group, "group", "leave a group");
    const joins = this.#joins.get(group) ?? 0;
    if (joins === 0) return false;
    this.#joins.set(group, joins - 1);
    this.#groups.leave(group);
    return true;
  }
}

/** Refuses what is no group's number. A mask is no number: group 12 is 12, not `1 << 11`. */
export const checkGroup: Check = integer(1, MAX_GROUP);

function whyNotJoined(group: number): string {
  const rule = "joining a group wants CAP_NET_ADMIN; kernels from 6.6 on let everybody join the odd groups";
  return group % 2 === 1
    ? `${rule}, and this one (group ${group}) is refused: ${GIVE_CAPABILITY}`
    : `${rule}, and group ${group} is even: ${GIVE_CAPABILITY}`;
}

/** How old an answer of /proc/net may be that says "somebody" or "served". One that says otherwise is asked for anew. */
const MAX_AGE_MS = 100;

/** Datagrams up to this length are put together in the same place. */
const SHORT_BYTES = 4096;

/** A signal may interrupt a send, but not for ever. */
const SEND_TRIES = 16;

/** For an identifier that nobody serves: the kernel takes it and forgets it. */
const TO_NOBODY: CnMsg = {
  id: { idx: 0xffff_fffe, val: 0xffff_fffe },
  seq: 0,
  ack: 0,
  flags: 0,
  data: new Uint8Array(),
};

/** Where a message goes: to one port, 0 being the kernel, or to everybody in a group. */
export type Target = { readonly port: number } | { readonly group: number };

/** Sends messages, and knows what the kernel does not tell a program: who listens, and what the kernel serves. */
export class Writer {
  readonly #socket: NetlinkSocket;
  readonly #served: CachedValue<readonly KernelIdentifier[] | undefined>;
  readonly #sockets: CachedValue<readonly BusSocket[] | undefined>;
  /** Most messages are short: their memory is used again and again. */
  readonly #short: Uint8Array<ArrayBuffer> = fixedBytes(SHORT_BYTES);
  /** Datagrams that were sent. */
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

  /** Whether an identifier is served: that it is, as of a moment ago; that it is not, as of now. */
  kernelServesNow(id: CbId): boolean {
    return serves(this.#served.get(), id) || serves(this.#served.fresh(), id);
  }

  /**
   * Sends.
   *
   * @param action completes "Cannot …".
   * @returns False where a program's receive buffer has no room for it: it was not sent, and may be later.
   * @throws Whatever else kept it from being sent.
   */
  trySend(message: CnMsg, target: Target, action: string): boolean {
    checkLength(message, target, action);
    if ("group" in target) this.#wantListeners(target.group, action);
    else if (target.port === KERNEL_PORT) this.#wantServed(message.id, action);
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
    // After a group the kernel is written to as well. In other network namespaces than its first it is not there, but
    // the group has got the message.
    if (result === -ERRNO.ECONNREFUSED! && "group" in target) result = 0;
    if (result < 0) throw refusal(-result, port, action);
    this.sent++;
    return true;
  }

  /** As {@linkcode trySend}; a full receive buffer is an error as well. */
  send(message: CnMsg, target: Target, action: string): void {
    if (this.trySend(message, target, action)) return;
    const advice =
      "the receiver's buffer is full: it does not read as fast as it is written to; try again later";
    throw new SyscallError(action, "sendto", ERRNO.EAGAIN!, advice);
  }

  /** Refuses what only the kernel could say, where its side of the connector is not: in other network namespaces. */
  wantKernel(action: string): void {
    if (this.#served.get() !== undefined) return;
    const result = this.#socket.send(encodeDatagram(TO_NOBODY), KERNEL_PORT);
    if (result === -ERRNO.ECONNREFUSED!) throw unsupported(action, OTHER_NETWORK_NAMESPACE);
  }

  /** A group without listeners takes everything: as the kernel's own senders are told, so is ours. */
  #wantListeners(group: number, action: string): void {
    const mask = groupMask(group);
    const heard = (sockets: readonly BusSocket[] | undefined): boolean =>
      sockets?.some(({ port, groups }) => (groups & mask) !== 0 && port !== this.#socket.port) ?? true;
    if (heard(this.#sockets.get()) || heard(this.#sockets.fresh())) return;
    if (group < CN_NETLINK_USERS) this.wantKernel(action);
    throw new SyscallError(
      action,
      "cn_netlink_send",
      ERRNO.ESRCH!,
      `nobody but us listens to group ${group}`,
    );
  }

  /** The kernel takes a message for an identifier that it does not know, and loses it. */
  #wantServed(id: CbId, action: string): void {
    const known = (list: readonly KernelIdentifier[] | undefined): boolean =>
      list === undefined || serves(list, id);
    if (known(this.#served.get()) || known(this.#served.fresh())) return;
    const advice = `the kernel serves no ${idText(id)}: /proc/net/connector does not list it`;
    throw new SyscallError(action, "cn_netlink_send", ERRNO.ENODEV!, advice);
  }
}

function serves(list: readonly KernelIdentifier[] | undefined, id: CbId): boolean {
  return list?.some((served) => sameId(served.id, id)) ?? false;
}

/** What is too long for the kernel is lost in silence there, and what is longer than `len` can say is no message. */
function checkLength(message: CnMsg, target: Target, action: string): void {
  const toKernel = "port" in target && target.port === KERNEL_PORT;
  const limit = toKernel ? MAX_DATA_TO_KERNEL : MAX_DATA_BYTES;
  const { length } = message.data;
  if (length <= limit) return;
  const whom = toKernel ? "the kernel" : "a program";
  throw new RangeError(`Cannot ${action}: ${whom} takes up to ${limit} bytes, and these are ${length}`);
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
    "sending to programs and groups wants CAP_NET_ADMIN in the first user namespace; without it only the kernel can " +
    `be written to: ${GIVE_CAPABILITY}`,
  ],
  [
    ERRNO.EMSGSIZE!,
    "the message is longer than this system lets a socket send: raise net.core.wmem_default",
  ],
]);
