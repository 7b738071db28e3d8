import { checkBytes, checkOptions, checkU16, checkU32, type OptionChecks } from "../errors/arguments.ts";
import { ERRNO } from "../errors/errno.ts";
import { SyscallError } from "../errors/syscall_error.ts";
import { MAX_GROUP } from "../netlink/message.ts";
import type { Groups } from "./groups.ts";
import { type CbId, idText } from "./message.ts";
import type { RequestParts } from "./requests.ts";
import type { ReceivedMessage } from "./sender.ts";
import type { Target } from "./writer.ts";

/** Numbers of a reply that differ from the documented ones. */
export interface ReplyOptions {
  /** Default: the sequence number of the message. */
  readonly seq?: number | undefined;
  /** Default: the acknowledge number of the message, plus one. */
  readonly ack?: number | undefined;
  /** Default: 0. */
  readonly flags?: number | undefined;
}

const REPLY_OPTIONS: OptionChecks<ReplyOptions> = { seq: checkU32, ack: checkU32, flags: checkU16 };

/**
 * Replies to the sender of a message, with the same identifier and sequence number and the acknowledge number plus one.
 * It may be called later, and more than once.
 *
 * @throws {SyscallError} If the reply cannot be sent: ECONNREFUSED if the sender is gone, EAGAIN if its receive buffer
 * is full, EPERM without CAP_NET_ADMIN if the sender is a program.
 */
export type Reply = (data: Uint8Array, options?: ReplyOptions) => void;

/** What sends the replies to `message`. */
export function replyTo(message: ReceivedMessage, { checkOpen, pending, writer }: RequestParts): Reply {
  return (data, options = {}) => {
    const action = `answer ${idText(message.id)}`;
    checkBytes(data, "data", action);
    checkOptions(options, REPLY_OPTIONS, action);
    checkOpen(action);
    const { seq = message.seq, ack = (message.ack + 1) >>> 0, flags } = options;
    const reply = pending.message(message.id, data, { seq, ack, flags });
    writer.send(reply, { port: message.from.port }, action);
  };
}

/** Called with each message for an identifier. What it throws or rejects with goes to `onError`. */
export type Callback = (message: ReceivedMessage, reply: Reply) => unknown;

/** A callback as it was registered. */
export interface RegisteredCallback {
  /** The identifier. */
  readonly id: CbId;
  /** Its name, for people. */
  readonly name: string;
}

/** A callback with its function, and the group that was joined for it: 0 for none. */
interface Registration extends RegisteredCallback {
  readonly callback: Callback;
  readonly group: number;
}

/** Callbacks by their identifiers. Each is in the group whose number is the `idx` of its identifier, up to 32. */
export class CallbackRegistry {
  readonly #byId = new Map<string, Registration>();
  readonly #groups: Groups;

  constructor(groups: Groups) {
    this.#groups = groups;
  }

  get size(): number {
    return this.#byId.size;
  }

  /** Throws if the identifier has a callback already, with the error number of the kernel's own registry. */
  add({ idx, val }: CbId, name: string, callback: Callback): void {
    const id = { idx, val };
    const action = `add a callback for ${idText(id)}`;
    const taken = this.#byId.get(idText(id));
    if (taken !== undefined) {
      const advice = `the identifier has a callback already, ${JSON.stringify(taken.name)}`;
      throw new SyscallError(action, "cn_add_callback", ERRNO.EINVAL!, advice);
    }
    const group = idx >= 1 && idx <= MAX_GROUP ? idx : 0;
    if (group !== 0) this.#groups.join(group);
    this.#byId.set(idText(id), { id, name, callback, group });
  }

  get(id: CbId): Registration | undefined {
    return this.#byId.get(idText(id));
  }

  /** Where a message goes that names no receiver: to the group of the identifier's callback. */
  targetOf(id: CbId, action: string): Target {
    const group = this.get(id)?.group ?? 0;
    if (group !== 0) return { group };
    const advice =
      "the identifier has no callback here, so it has no group: choose a receiver by { group } or " +
      "{ port }, which is 0 for the kernel";
    throw new SyscallError(action, "cn_netlink_send", ERRNO.ENODEV!, advice);
  }

  /** Returns false if there is none. */
  delete(id: CbId): boolean {
    const registration = this.get(id);
    if (registration === undefined) return false;
    this.#byId.delete(idText(id));
    if (registration.group !== 0) this.#groups.leave(registration.group);
    return true;
  }

  list(): readonly RegisteredCallback[] {
    return [...this.#byId.values()].map(({ id, name }) => ({ id, name }));
  }
}
