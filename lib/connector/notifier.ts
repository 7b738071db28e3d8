import type { System } from "../../ffi/libc.ts";
import { DecodeError } from "../errors/decode_error.ts";
import { SyscallError } from "../errors/syscall_error.ts";
import { MAX_GROUP } from "../netlink/address.ts";
import type { CallbackRegistry } from "./callbacks.ts";
import type { Groups } from "./groups.ts";
import { sameId } from "./identifier.ts";
import type { CbId } from "./message.ts";
import {
  CN_REGISTERED,
  CN_UNREGISTERED,
  CONNECTOR_ID,
  decodeNotifyRequest,
  encodeNotifyRequest,
  matches,
  NOTIFY_GROUP,
  type NotifyRequest,
} from "./notification.ts";
import type { ReceivedMessage, Sender } from "./received.ts";
import type { Target } from "./writer.ts";

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
