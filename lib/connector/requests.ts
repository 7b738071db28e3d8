import { checkBytes, checkOptions, type OptionChecks } from "../errors/arguments.ts";
import { TimeoutError } from "../errors/timeout_error.ts";
import { KERNEL_PORT } from "../netlink/address.ts";
import { messageOf, questionTargetOf } from "./addressing.ts";
import { type Outcome, sendRequest } from "./send_request.ts";
import type { PendingRequests } from "./pending_requests.ts";
import type { ErrorReporter } from "./error_reporter.ts";
import { checkId, idText } from "./identifier.ts";
import { MessageStream } from "./message_stream.ts";
import type { CbId, CnMsgHeader } from "./message.ts";
import {
  REQUEST_MANY_OPTIONS,
  REQUEST_OPTIONS,
  type RequestManyOptions,
  type RequestOptions,
} from "./options.ts";
import type { ReceivedMessage } from "./received.ts";
import type { Reader } from "./reader.ts";
import type { Counters } from "./stats.ts";
import type { Writer } from "./writer.ts";

const DEFAULT_TIMEOUT_MS = 1000;

/** What requests are made with. */
export interface RequestParts {
  /** Throws where the connector is closed. */
  readonly wantOpen: (action: string) => void;
  readonly pendingRequests: PendingRequests;
  readonly writer: Writer;
  readonly reader: () => Reader;
  readonly count: Counters;
  readonly failures: ErrorReporter;
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
  many(id: CbId, data: Uint8Array, options: RequestManyOptions): MessageStream<ReceivedMessage> {
    let stop = (_answered: boolean): void => {};
    let got = 0;
    const onClose = (): void => stop(got > 0);
    const inbox = new MessageStream<ReceivedMessage>(
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
          this.#parts.failures.runSafely("until", () => until?.(message)) === true;
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
    const { wantOpen, pendingRequests, writer, reader, count, failures } = this.#parts;
    checkId(id, "id", "ask");
    const action = `ask ${idText(id)}`;
    checkBytes(data, "data", action);
    checkOptions(options, checks, action);
    wantOpen(action);
    const { timeoutMs = DEFAULT_TIMEOUT_MS, retries = 0, signal } = options;
    const isReply = options.isReply &&
      ((header: CnMsgHeader): boolean =>
        failures.runSafely("isReply", () => options.isReply!(header)) === true);
    signal?.throwIfAborted();
    const target = questionTargetOf(id, options, writer, action);
    const message = messageOf(id, data, options, pendingRequests);
    const port = "port" in target ? target.port : undefined;
    const stop = sendRequest(pendingRequests, {
      message,
      port,
      isReply,
      timeoutMs,
      retries,
      signal,
      trySend: (message) => writer.trySend(message, target, action),
      drain: () => reader().drain(),
      onRepeat: () => count.repeats++,
      ...handlers,
    });
    // The kernel answers inside of the send: no need to be woken for that.
    if (port === KERNEL_PORT) reader().lookSoon();
    else reader().pump();
    return stop;
  }
}
