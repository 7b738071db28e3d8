import type { System } from "../../ffi/libc.ts";
import { DecodeError } from "../errors/decode_error.ts";
import { SyscallError } from "../errors/syscall_error.ts";
import { MAX_GROUP } from "../netlink/message.ts";
import { fixedBytes, LITTLE, viewOf } from "../wire/bytes.ts";
import type { CallbackRegistry } from "./callbacks.ts";
import type { Groups } from "./groups.ts";
import { type CbId, CN_IDX_CONNECTOR, CN_VAL_CONNECTOR, idText, sameId } from "./message.ts";
import type { ReceivedMessage, Sender } from "./sender.ts";
import type { PendingRequests } from "./requests.ts";
import type { Target, Writer } from "./writer.ts";

/** Offsets in `struct cn_ctl_msg` (include/linux/connector.h until 2.6.33). */
const CN_CTL_MSG = { idx_notify_num: 0, val_notify_num: 4, group: 8, len: 12, SIZE: 16 } as const;

/** Offsets in `struct cn_notify_req`. */
const CN_NOTIFY_REQ = { first: 0, range: 4, SIZE: 8 } as const;

/** A request with more ranges than this is malformed. */
const MAX_RANGES = 256;

/** The identifier to which requests for notification are sent: {-1, -1}. */
export const CONNECTOR_ID: CbId = { idx: CN_IDX_CONNECTOR, val: CN_VAL_CONNECTOR };

/**
 * The group of such requests and of announcements. {-1, -1} itself has none: its group would be 0xffffffff, and there
 * are 32. 31 is what remains of that in 5 bits; it is not among those that the documentation leaves to users (12 to
 * 26), and it is odd, so that kernels from 6.6 on let everybody join it.
 */
export const NOTIFY_GROUP = 31;

/** `ack` of an announcement: an identifier was registered. */
export const CN_REGISTERED = 0;
/** `ack` of an announcement: an identifier was unregistered. */
export const CN_UNREGISTERED = 1;

/** A range of numbers: `struct cn_notify_req`. */
export interface NotifyRange {
  /** The first number. */
  readonly first: number;
  /** How many numbers. */
  readonly range: number;
}

/** A request to announce identifiers when they are registered and unregistered: `struct cn_ctl_msg`. */
export interface NotifyRequest {
  /** The `idx` of the identifiers. */
  readonly idx: readonly NotifyRange[];
  /** Their `val`. */
  readonly val: readonly NotifyRange[];
  /** The group in which to announce them; 0 takes the request back. */
  readonly group: number;
}

/** The payload of a request for notification. */
export function encodeNotifyRequest({ idx, val, group }: NotifyRequest): Uint8Array {
  const ranges = [...idx, ...val];
  const len = ranges.length * CN_NOTIFY_REQ.SIZE;
  const bytes = fixedBytes(CN_CTL_MSG.SIZE + len);
  const view = viewOf(bytes);
  view.setUint32(CN_CTL_MSG.idx_notify_num, idx.length, LITTLE);
  view.setUint32(CN_CTL_MSG.val_notify_num, val.length, LITTLE);
  view.setUint32(CN_CTL_MSG.group, group, LITTLE);
  view.setUint32(CN_CTL_MSG.len, len, LITTLE);
  ranges.forEach(({ first, range }, i) => {
    const at = CN_CTL_MSG.SIZE + i * CN_NOTIFY_REQ.SIZE;
    view.setUint32(at + CN_NOTIFY_REQ.first, first, LITTLE);
    view.setUint32(at + CN_NOTIFY_REQ.range, range, LITTLE);
  });
  return bytes;
}

/**
 * Reads the payload of a request for notification.
 *
 * @throws {DecodeError} When its lengths do not fit each other.
 */
export function decodeNotifyRequest(data: Uint8Array): NotifyRequest {
  if (data.length < CN_CTL_MSG.SIZE) throw new DecodeError("cn_ctl_msg", CN_CTL_MSG.SIZE, data.length);
  const view = viewOf(data);
  const idxCount = view.getUint32(CN_CTL_MSG.idx_notify_num, LITTLE);
  const valCount = view.getUint32(CN_CTL_MSG.val_notify_num, LITTLE);
  const len = view.getUint32(CN_CTL_MSG.len, LITTLE);
  const needed = (idxCount + valCount) * CN_NOTIFY_REQ.SIZE;
  if (idxCount + valCount > MAX_RANGES || len !== needed) {
    throw new DecodeError("cn_ctl_msg.len", needed, len);
  }
  if (data.length < CN_CTL_MSG.SIZE + len) {
    throw new DecodeError("cn_ctl_msg.data", len, data.length - CN_CTL_MSG.SIZE);
  }
  const ranges = Array.from({ length: idxCount + valCount }, (_, i): NotifyRange => {
    const at = CN_CTL_MSG.SIZE + i * CN_NOTIFY_REQ.SIZE;
    return {
      first: view.getUint32(at + CN_NOTIFY_REQ.first, LITTLE),
      range: view.getUint32(at + CN_NOTIFY_REQ.range, LITTLE),
    };
  });
  const group = view.getUint32(CN_CTL_MSG.group, LITTLE);
  return { idx: ranges.slice(0, idxCount), val: ranges.slice(idxCount), group };
}

/** Whether a request names an identifier: each half is in one of its ranges. */
export function matches(request: Pick<NotifyRequest, "idx" | "val">, id: CbId): boolean {
  return within(request.idx, id.idx) && within(request.val, id.val);
}

function within(ranges: readonly NotifyRange[], value: number): boolean {
  return ranges.some(({ first, range }) => value >= first && value - first < range);
}

/** How many requests are remembered; the oldest makes room. */
const MAX_REQUESTS = 64;

/** What a {@linkcode Notifier} works with. */
export interface NotifierParts {
  readonly callbacks: CallbackRegistry;
  readonly groups: Groups;
  readonly pending: PendingRequests;
  readonly writer: Writer;
  readonly system: System;
}

/**
 * Does for a connector's callbacks what the kernel did for all identifiers until 2.6.33: takes requests for
 * notification, and announces identifiers by an empty message when they are registered and unregistered.
 *
 * One thing is new: the sender of a request gets, at once and alone, the identifiers that are registered already.
 */
export class Notifier {
  readonly #parts: NotifierParts;
  readonly #requests = new Map<string, NotifyRequest>();
  #isStarted = false;
  #removeExitHook: (() => void) | undefined;

  constructor(parts: NotifierParts) {
    this.#parts = parts;
  }

  /** Joins the group of the requests. Callbacks work all the same where that is not permitted. */
  start(): void {
    if (this.#isStarted) return;
    const { callbacks, groups, system } = this.#parts;
    try {
      groups.join(NOTIFY_GROUP);
      this.#isStarted = true;
      this.#removeExitHook = system.onExit({
        leave: () => callbacks.list().forEach(({ id }) => this.announce(id, CN_UNREGISTERED)),
        stay: () => callbacks.list().forEach(({ id }) => this.announce(id, CN_REGISTERED)),
      });
    } catch (error) {
      if (!(error instanceof SyscallError)) throw error;
    }
  }

  /** Takes no more requests. */
  stop(): void {
    if (!this.#isStarted) return;
    this.#isStarted = false;
    this.#removeExitHook?.();
    this.#parts.groups.leave(NOTIFY_GROUP);
  }

  /** Whether a message is an announcement by another program, in the group that was joined for requests only. */
  isBystanderMessage(from: Sender): boolean {
    return this.#isStarted && from.group === NOTIFY_GROUP && this.#parts.groups.joins(NOTIFY_GROUP) === 1;
  }

  /** Handles a message for {-1, -1}; `read` makes it. False where it is no request for notification. */
  handleRequest(id: CbId, read: () => ReceivedMessage): boolean {
    if (!this.#isStarted || !sameId(id, CONNECTOR_ID)) return false;
    const message = read();
    let request: NotifyRequest;
    try {
      request = decodeNotifyRequest(message.data);
    } catch (error) {
      if (error instanceof DecodeError) return false;
      throw error;
    }
    if (request.group > MAX_GROUP) return false;
    const { port } = message.from;
    const key = `${port} ${encodeNotifyRequest({ ...request, group: 0 })}`;
    this.#requests.delete(key);
    if (request.group === 0) return true;
    this.#requests.set(key, request);
    if (this.#requests.size > MAX_REQUESTS) this.#requests.delete(this.#requests.keys().next().value!);
    for (const { id } of this.#parts.callbacks.list()) {
      if (matches(request, id)) this.#trySend(id, { seq: message.seq, ack: CN_REGISTERED }, { port });
    }
    return true;
  }

  /** Announces an identifier: once in each group, however many requests name it. */
  announce(id: CbId, ack: typeof CN_REGISTERED | typeof CN_UNREGISTERED): void {
    const groups = new Set<number>();
    for (const request of this.#requests.values()) if (matches(request, id)) groups.add(request.group);
    for (const group of groups) this.#trySend(id, { ack }, { group });
  }

  /** A receiver that is gone, or a missing right to send, is no concern of the callback's. */
  #trySend(id: CbId, numbers: { readonly seq?: number; readonly ack: number }, target: Target): void {
    const { pending, writer } = this.#parts;
    try {
      writer.send(pending.message(id, new Uint8Array(), numbers), target, `announce ${idText(id)}`);
    } catch {
      // Ignored, as explained above.
    }
  }
}
