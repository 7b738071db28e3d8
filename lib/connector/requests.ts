import { checkBytes, checkOptions, type OptionChecks } from "../errors/arguments.ts";
import { TimeoutError } from "../errors/timeout_error.ts";
import { KERNEL_PORT } from "../netlink/address.ts";
import { messageOf, questionTargetOf } from "./addressing.ts";
import { holdConversation, type Outcome } from "./asking.ts";
import type { Conversations } from "./conversations.ts";
import type { Failures } from "./failures.ts";
import { checkId, idText } from "./identifier.ts";
import { Inbox } from "./inbox.ts";
import type { CbId, CnMsgHeader } from "./message.ts";
import {
  REQUEST_MANY_OPTIONS,
  REQUEST_OPTIONS,
  type RequestManyOptions,
  type RequestOptions,
} from "./options.ts";
import type { ReceivedMessage } from "./received.ts";
import type { Reception } from "./reception.ts";
import type { Counters } from "./stats.ts";
import type { Transmission } from "./transmission.ts";

const DEFAULT_TIMEOUT_MS = 1000;

/** What requests are made with. */
export interface RequestParts {
  /** Throws where the connector is closed. */
  readonly wantOpen: (action: string) => void;
  readonly conversations: Conversations;
  readonly transmission: Transmission;
  readonly reception: () => Reception;
  readonly count: Counters;
  readonly failures: Failures;
}

/** Requests to the kernel, to a program or to a group, and their replies. */
export class Requests {
  readonly #parts: RequestParts;

  constructor(parts: RequestParts) {
    this.#parts = parts;
  }

  /** Waits for one reply. */
  async one(id: CbId, data: Uint8Array, options: RequestOptions): Promise<ReceivedMessage> {
    const { promise, resolve, reject } = Promise.withResolvers<ReceivedMessage>();
    const stop = this.#send(id, data, options, REQUEST_OPTIONS, {
      onReply: (message) => {
        stop(true);
        resolve(message);
      },
      onTimeout: () => {
        const { timeoutMs = DEFAULT_TIMEOUT_MS } = options;
        reject(new TimeoutError(`get an answer from ${idText(id)}`, timeoutMs));
      },
      onEnd: reject,
    });
    return await promise;
  }

  /** Waits for all replies. */
  many(id: CbId, data: Uint8Array, options: RequestManyOptions): Inbox<ReceivedMessage> {
    let stop = (_answered: boolean): void => {};
    let got = 0;
    const onClose = (): void => stop(got > 0);
    const inbox = new Inbox<ReceivedMessage>(
      Infinity,
      () => true,
      { onDemand: () => {}, onClose },
      undefined,
    );
    stop = this.#send(id, data, options, REQUEST_MANY_OPTIONS, {
      onReply: (message) => {
        const { count = Infinity, until } = options;
        got++;
        inbox.offer(message);
        const isLast = got >= count ||
          this.#parts.failures.guard("until", () => until?.(message)) === true;
        if (isLast) inbox.close();
      },
      onTimeout: () => inbox.close(),
      onEnd: (error) => inbox.fail(error),
    });
    return inbox;
  }

  /** Sends a request and waits for what comes of it. Answers what ends the waiting. */
  #send(
    id: CbId,
    data: Uint8Array,
    options: RequestOptions,
    checks: OptionChecks<RequestOptions>,
    handlers: Outcome,
  ): (answered: boolean) => void {
    const { wantOpen, conversations, transmission, reception, count, failures } = this.#parts;
    checkId(id, "id", "ask");
    const action = `ask ${idText(id)}`;
    checkBytes(data, "data", action);
    checkOptions(options, checks, action);
    wantOpen(action);
    const { timeoutMs = DEFAULT_TIMEOUT_MS, retries = 0, signal } = options;
    const isReply = options.isReply &&
      ((header: CnMsgHeader): boolean => failures.guard("isReply", () => options.isReply!(header)) === true);
    signal?.throwIfAborted();
    const target = questionTargetOf(id, options, transmission, action);
    const message = messageOf(id, data, options, conversations);
    const port = "port" in target ? target.port : undefined;
    const stop = holdConversation(conversations, {
      message,
      port,
      isReply,
      timeoutMs,
      retries,
      signal,
      trySend: (message) => transmission.trySend(message, target, action),
      drain: () => reception().drain(),
      onRepeat: () => count.repeats++,
      ...handlers,
    });
    // The kernel answers inside of the send: no need to be woken for that.
    if (port === KERNEL_PORT) reception().lookSoon();
    else reception().pump();
    return stop;
  }
}
