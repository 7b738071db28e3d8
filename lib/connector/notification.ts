import type { System } from "../../ffi/libc.ts";
import { DecodeError } from "../errors/decode_error.ts";
import { SyscallError } from "../errors/syscall_error.ts";
import { MAX_GROUP } from "../netlink/address.ts";
import { fixedBytes, LITTLE, viewOf } from "../wire/bytes.ts";
import type { CallbackRegistry } from "./callbacks.ts";
import { type CbId, CN_IDX_CONNECTOR, CN_VAL_CONNECTOR, sameId } from "./message.ts";
import type { ReceivedMessage, Sender } from "./sender.ts";
import type { Groups, Target } from "./writer.ts";

/** Offsets in `struct cn_ctl_msg` (include/linux/connector.h until 2.6.33). */
const CN_CTL_MSG = { idx_notify_num: 0, val_notify_num: 4, group: 8, len: 12, SIZE: 16 } as const;

/** Offsets in `struct cn_notify_req`. */
const CN_NOTIFY_REQ = { first: 0, range: 4, SIZE: 8 } as const;

/** More ranges than this in one request are not taken seriously. */
const MAX_RANGES = 256;

/** The identifier to which requests for notification are sent: {-1, -1}. */
export const CONNECTOR_ID: CbId = { idx: CN_IDX_CONNECTOR, val: CN_VAL_CONNECTOR };

/**
 * The group in which agents hear such requests and announce. {-1, -1} has none: its group would be 0xffffffff, and
 * there are 32. 31 is what is left of it in 5 bits; it is none of those that the documents leave to users (12 to 26),
 * and it is odd, so that kernels from 6.6 on let everybody listen.
 */
export const NOTIFY_GROUP = 31;

/** `ack` of an announcement: an identifier was registered. */
export const CN_REGISTERED = 0;
/** `ack` of an announcement: an identifier was unregistered. */
export const CN_UNREGISTERED = 1;

/** Numbers from `first` on, so many as `range` says: `struct cn_notify_req`. */
export interface NotifyRange {
  /** The first number. */
  readonly first: number;
  /** How many. */
  readonly range: number;
}

/** A request to be told of identifiers as they come and go: `struct cn_ctl_msg`. */
export interface NotifyRequest {
  /** The first halves of the identifiers that are meant. */
  readonly idx: readonly NotifyRange[];
  /** The second halves. */
  readonly val: readonly NotifyRange[];
  /** Where to announce; 0 takes the request back. */
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

/** Whether an identifier is meant: each half lies in one of its ranges. */
export function matches(request: Pick<NotifyRequest, "idx" | "val">, id: CbId): boolean {
  return within(request.idx, id.idx) && within(request.val, id.val);
}

function within(ranges: readonly NotifyRange[], value: number): boolean {
  return ranges.some(({ first, range }) => value >= first && value - first < range);
}

/** So many requests stand at a time; the oldest makes room. */
const MAX_REQUESTS = 64;

/** How an announcement is sent: an empty message for `id`, with these numbers. Throws where it cannot. */
export type Announce = (
  id: CbId,
  numbers: { readonly seq?: number; readonly ack: number },
  to: Target,
) => void;

/**
 * What the connector in the kernel did until 2.6.33, done by an agent for its own callbacks: it takes requests for
 * notification and announces identifiers, as they are registered and unregistered, by an empty message.
 *
 * One thing is new: who asks is told at once, and alone, which identifiers are registered already.
 */
export class Notifier {
  readonly #announce: Announce;
  readonly #callbacks: CallbackRegistry;
  readonly #groups: Groups;
  readonly #onExit: System["onExit"];
  readonly #requests = new Map<string, NotifyRequest>();
  #announcing = false;
  #removeExitHook: (() => void) | undefined;

  /** Announces those `callbacks`, at `onExit` too, and hears requests in the group that it joins in `groups`. */
  constructor(
    announce: Announce,
    callbacks: CallbackRegistry,
    groups: Groups,
    onExit: System["onExit"],
  ) {
    this.#announce = announce;
    this.#callbacks = callbacks;
    this.#groups = groups;
    this.#onExit = onExit;
  }

  /** Hears requests from now on, where the group may be joined: who may not has callbacks all the same. */
  start(): void {
    if (this.#announcing) return;
    try {
      this.#groups.join(NOTIFY_GROUP);
      this.#announcing = true;
      this.#removeExitHook = this.#onExit({
        leave: () => this.#callbacks.list().forEach(({ id }) => this.unregistered(id)),
        stay: () => this.#callbacks.list().forEach(({ id }) => this.registered(id)),
      });
    } catch (error) {
      if (!(error instanceof SyscallError)) throw error;
    }
  }

  /** Hears no more requests. */
  stop(): void {
    if (!this.#announcing) return;
    this.#announcing = false;
    this.#removeExitHook?.();
    this.#groups.leave(NOTIFY_GROUP);
  }

  /** Whether a message was only overheard: what others announce, in a group that was joined for requests alone. */
  isBystanderMessage(from: Sender): boolean {
    return this.#announcing && from.group === NOTIFY_GROUP && this.#groups.wanted(NOTIFY_GROUP) === 1;
  }

  /** Takes a message for {-1, -1}; `read` gives it. False where it is no request for notification. */
  take(id: CbId, read: () => ReceivedMessage): boolean {
    if (!this.#announcing || !sameId(id, CONNECTOR_ID)) return false;
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
    for (const { id } of this.#callbacks.list()) {
      if (matches(request, id)) this.#try(id, { seq: message.seq, ack: CN_REGISTERED }, { port });
    }
    return true;
  }

  /** Announces a callback that is new. */
  registered(id: CbId): void {
    this.#tell(id, CN_REGISTERED);
  }

  /** Announces a callback that is gone. */
  unregistered(id: CbId): void {
    this.#tell(id, CN_UNREGISTERED);
  }

  /** Once for each group, however many asked for it. */
  #tell(id: CbId, ack: number): void {
    const groups = new Set<number>();
    for (const request of this.#requests.values()) if (matches(request, id)) groups.add(request.group);
    for (const group of groups) this.#try(id, { ack }, { group });
  }

  /** Who asked may be gone, and who may not send to programs cannot announce: neither is the callback's concern. */
  #try(...args: Parameters<Announce>): void {
    try {
      this.#announce(...args);
    } catch {
      // as said
    }
  }
}
