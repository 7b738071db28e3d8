import { DecodeError } from "../errors/decode_error.ts";
import { MAX_GROUP } from "../netlink/address.ts";
import type { CbId } from "./message.ts";
import {
  CN_REGISTERED,
  CN_UNREGISTERED,
  decodeNotifyRequest,
  encodeNotifyRequest,
  isMeant,
  type NotifyRequest,
} from "./notification.ts";
import type { ReceivedMessage } from "./received.ts";
import type { Target } from "./transmission.ts";

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
export class Announcer {
  readonly #announce: Announce;
  readonly #registered: () => readonly { readonly id: CbId }[];
  readonly #requests = new Map<string, NotifyRequest>();

  constructor(announce: Announce, registered: () => readonly { readonly id: CbId }[]) {
    this.#announce = announce;
    this.#registered = registered;
  }

  /** Takes a message for {-1, -1}. False where it is no such request. */
  take(message: ReceivedMessage): boolean {
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
    for (const { id } of this.#registered()) {
      if (isMeant(request, id)) this.#try(id, { seq: message.seq, ack: CN_REGISTERED }, { port });
    }
    return true;
  }

  registered(id: CbId): void {
    this.#tell(id, CN_REGISTERED);
  }

  unregistered(id: CbId): void {
    this.#tell(id, CN_UNREGISTERED);
  }

  /** Once for each group, however many asked for it. */
  #tell(id: CbId, ack: number): void {
    const groups = new Set<number>();
    for (const request of this.#requests.values()) if (isMeant(request, id)) groups.add(request.group);
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
