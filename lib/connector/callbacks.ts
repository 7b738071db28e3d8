import { ERRNO } from "../errors/errno.ts";
import { SyscallError } from "../errors/syscall_error.ts";
import { type CbId, idText } from "./message.ts";
import type { ReceivedMessage } from "./sender.ts";

/** What a reply may say otherwise than the documents have it. */
export interface ReplyOptions {
  /** Default: the sequence number of the message that is answered. */
  readonly seq?: number | undefined;
  /** Default: the acknowledge number of the message that is answered, plus one. */
  readonly ack?: number | undefined;
  /** Default: 0. */
  readonly flags?: number | undefined;
}

/**
 * Answers a message: to its sender alone, under the same identifier and sequence number, with the acknowledge number
 * plus one. It may be called later, and more than once.
 *
 * @throws {SyscallError} When the answer cannot be sent: ECONNREFUSED where the sender is gone, EAGAIN where its
 * receive buffer is full, EPERM without CAP_NET_ADMIN where the sender is a program.
 */
export type Reply = (data: Uint8Array, options?: ReplyOptions) => void;

/** What is called with each message for an identifier. What it throws, and what it rejects with, is reported. */
export type Callback = (message: ReceivedMessage, reply: Reply) => unknown;

/** A callback as it was registered. */
export interface RegisteredCallback {
  /** The identifier. */
  readonly id: CbId;
  /** Its name, for people. */
  readonly name: string;
}

interface Registration extends RegisteredCallback {
  readonly callback: Callback;
  readonly group: number;
}

/** Callbacks by their identifiers. */
export class CallbackRegistry {
  readonly #byId = new Map<string, Registration>();

  get size(): number {
    return this.#byId.size;
  }

  /** Throws where the identifier is taken, with the error number of the kernel's own registry. */
  add(registration: Registration): void {
    const { id } = registration;
    const action = `add a callback for ${idText(id)}`;
    const taken = this.#byId.get(idText(id));
    if (taken !== undefined) {
      const advice = `the identifier has a callback already, ${JSON.stringify(taken.name)}`;
      throw new SyscallError(action, "cn_add_callback", ERRNO.EINVAL!, advice);
    }
    this.#byId.set(idText(id), registration);
  }

  get(id: CbId): Registration | undefined {
    return this.#byId.get(idText(id));
  }

  delete(id: CbId): void {
    this.#byId.delete(idText(id));
  }

  list(): readonly RegisteredCallback[] {
    return [...this.#byId.values()].map(({ id, name }) => ({ id, name }));
  }
}
