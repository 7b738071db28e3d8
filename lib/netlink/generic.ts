import type { Libc } from "../../ffi/libc.ts";
import { DecodeError } from "../errors/decode_error.ts";
import { ERRNO } from "../errors/errno.ts";
import { SyscallError } from "../errors/syscall_error.ts";
import { fixedBytes, LITTLE, viewOf } from "../wire/bytes.ts";
import { encodeText } from "../wire/text.ts";
import { DatagramBatch } from "./datagram_batch.ts";
import {
  encodeNlmsghdrInto,
  KERNEL_PORT,
  NLM_F_ACK,
  NLM_F_REQUEST,
  NLMSG_ERROR,
  nlmsgAlign,
  NLMSGHDR,
} from "./message.ts";
import type { NetlinkSocket } from "./socket.ts";

/** Byte offsets in `struct genlmsghdr` (include/uapi/linux/genetlink.h); SIZE is where the attributes begin. */
const GENLMSGHDR = { cmd: 0, version: 1, SIZE: 4 } as const;

/** Byte offsets in `struct nlattr` (include/uapi/linux/netlink.h); SIZE is where the value begins. */
const NLATTR = { len: 0, type: 2, SIZE: 4 } as const;
/** NLA_TYPE_MASK: the upper bits say that an attribute is nested or in network order. */
const NLA_TYPE_MASK = 0x3fff;

/** The family that knows the others. */
const GENL_ID_CTRL = 16;
const CTRL_CMD_GETFAMILY = 3;
const CTRL_ATTR_FAMILY_ID = 1;
const CTRL_ATTR_FAMILY_NAME = 2;

/** Where the error number stands in the payload of NLMSG_ERROR. */
const NLMSGERR_ERROR = 0;

/** An answer holds a family's operations and groups: some hundred bytes. */
const ANSWER_BYTES = 8192;

/** An attribute to send: a string with its NUL. */
interface StringAttribute {
  readonly type: number;
  readonly text: string;
}

/** A message of a generic netlink family with one attribute. */
export interface GenericRequest {
  /** The number of the family: `nlmsg_type`. */
  readonly family: number;
  readonly cmd: number;
  readonly version: number;
  readonly attribute: StringAttribute;
}

function encodeRequest({ family, cmd, version, attribute }: GenericRequest, seq: number): Uint8Array {
  const text = encodeText(attribute.text);
  const attributeBytes = NLATTR.SIZE + text.length + 1;
  const payload = NLMSGHDR.SIZE + GENLMSGHDR.SIZE;
  const bytes = fixedBytes(payload + nlmsgAlign(attributeBytes));
  const view = viewOf(bytes);
  const flags = NLM_F_REQUEST | NLM_F_ACK;
  const at = encodeNlmsghdrInto(view, 0, { len: bytes.length, type: family, flags, seq, pid: 0 });
  view.setUint8(at + GENLMSGHDR.cmd, cmd);
  view.setUint8(at + GENLMSGHDR.version, version);
  view.setUint16(payload + NLATTR.len, attributeBytes, LITTLE);
  view.setUint16(payload + NLATTR.type, attribute.type, LITTLE);
  bytes.set(text, payload + NLATTR.SIZE);
  return bytes;
}

/**
 * Calls `visit` for each attribute between two offsets, with its type and where its value begins and ends.
 *
 * @throws {DecodeError} If an attribute does not fit.
 */
export function visitAttributes(
  view: DataView,
  begin: number,
  end: number,
  visit: (type: number, begin: number, end: number) => void,
): void {
  for (let at = begin; at + NLATTR.SIZE <= end;) {
    const length = view.getUint16(at + NLATTR.len, LITTLE);
    if (length < NLATTR.SIZE || at + length > end) {
      throw new DecodeError("struct nlattr", Math.max(length, NLATTR.SIZE), end - at);
    }
    visit(view.getUint16(at + NLATTR.type, LITTLE) & NLA_TYPE_MASK, at + NLATTR.SIZE, at + length);
    at += nlmsgAlign(length);
  }
}

/**
 * Calls `visit` for each message of one datagram, with its `nlmsg_type` and where its payload begins and ends.
 *
 * @throws {DecodeError} If a message does not fit.
 */
export function visitNlmsgs(
  view: DataView,
  begin: number,
  end: number,
  visit: (type: number, seq: number, begin: number, end: number) => void,
): void {
  for (let at = begin; at + NLMSGHDR.SIZE <= end;) {
    const length = view.getUint32(at + NLMSGHDR.len, LITTLE);
    if (length < NLMSGHDR.SIZE || at + length > end) {
      throw new DecodeError("struct nlmsghdr", Math.max(length, NLMSGHDR.SIZE), end - at);
    }
    const type = view.getUint16(at + NLMSGHDR.type, LITTLE);
    visit(type, view.getUint32(at + NLMSGHDR.seq, LITTLE), at + NLMSGHDR.SIZE, at + length);
    at += nlmsgAlign(length);
  }
}

/** Where the attributes of a generic netlink message begin, from where its payload does. */
export function attributesAt(payload: number): number {
  return payload + GENLMSGHDR.SIZE;
}

/**
 * Requests on a socket of NETLINK_GENERIC. The kernel answers inside the call that sends: nothing here waits. Whatever
 * else is queued is thrown away, so the requests come before the socket receives anything of its own.
 */
export class GenericRequests {
  readonly #socket: NetlinkSocket;
  readonly #answers: DatagramBatch;
  readonly #action: string;
  #seq = 0;

  /** `action` completes "Cannot …" in the errors. */
  constructor(libc: Libc, socket: NetlinkSocket, action: string) {
    this.#socket = socket;
    this.#answers = new DatagramBatch(libc, 1, ANSWER_BYTES);
    this.#action = action;
  }

  /**
   * The number of a family.
   *
   * @throws {SyscallError} ENOENT if the kernel has no such family, or not in this network namespace.
   */
  family(name: string): number {
    let family: number | undefined;
    this.send(
      {
        family: GENL_ID_CTRL,
        cmd: CTRL_CMD_GETFAMILY,
        version: 1,
        attribute: { type: CTRL_ATTR_FAMILY_NAME, text: name },
      },
      (view, begin, end) =>
        visitAttributes(view, begin, end, (type, at, valueEnd) => {
          if (type === CTRL_ATTR_FAMILY_ID && valueEnd - at >= 2) family = view.getUint16(at, LITTLE);
        }),
    );
    if (family === undefined) {
      throw new SyscallError(this.#action, `CTRL_CMD_GETFAMILY(${name})`, ERRNO.ENOENT!);
    }
    return family;
  }

  /**
   * Sends a request and reads its answers up to the acknowledgement.
   *
   * @param visit Called with the attributes of each answer.
   * @throws {SyscallError} With the kernel's error.
   */
  send(request: GenericRequest, visit?: (view: DataView, begin: number, end: number) => void): void {
    const seq = ++this.#seq;
    const sent = this.#socket.send(encodeRequest(request, seq));
    if (sent < 0) throw new SyscallError(this.#action, "sendto", -sent);
    let answer: number | undefined;
    while (answer === undefined) {
      const received = this.#answers.receiveOne(this.#socket.fd);
      if (received === -ERRNO.EINTR!) continue;
      // EAGAIN: the kernel has answered before sendto returned, so nothing will come.
      if (received < 0) throw new SyscallError(this.#action, "recvfrom", -received);
      if (this.#answers.senderPort(0) !== KERNEL_PORT || this.#answers.truncated(0)) continue;
      const { view } = this.#answers;
      visitNlmsgs(view, this.#answers.at(0), this.#answers.end(0), (type, answered, begin, end) => {
        if (answered !== seq) return;
        if (type === request.family) visit?.(view, attributesAt(begin), end);
        else if (type === NLMSG_ERROR && end - begin >= 4) {
          answer = view.getInt32(begin + NLMSGERR_ERROR, LITTLE);
        }
      });
    }
    if (answer < 0) throw new SyscallError(this.#action, `generic netlink request ${request.cmd}`, -answer);
  }
}
