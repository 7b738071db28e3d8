import { checkBytes, checkOptions, type OptionChecks } from "../errors/arguments.ts";
import { ERRNO } from "../errors/errno.ts";
import { SyscallError } from "../errors/syscall_error.ts";
import { TimeoutError } from "../errors/timeout_error.ts";
import { KERNEL_PORT, MAX_GROUP } from "../netlink/message.ts";
import { type AsyncStream, BufferedStream } from "../stream.ts";
import type { ErrorReporter } from "./dispatcher.ts";
import { type CbId, checkId, type CnMsg, type CnMsgHeader, idText, sameId } from "./message.ts";
import {
  REQUEST_MANY_OPTIONS,
  REQUEST_OPTIONS,
  type RequestManyOptions,
  type RequestOptions,
  type SendOptions,
} from "./options.ts";
import type { Reader } from "./reader.ts";
import type { ReceivedMessage, Sender } from "./sender.ts";
import type { Counters } from "./stats.ts";
import { givenTarget, type Target, type Writer } from "./writer.ts";

const DEFAULT_TIMEOUT_MS = 1000;

/** First and longest pause before a request is sent again for which its receiver had no room. */
const NO_ROOM_MS = { first: 1, longest: 50 } as const;
/** `setTimeout` knows no longer time. */
const MAX_TIMER_MS = 2 ** 31 - 1;

/**
 * How many finished requests are remembered, by the low bits of their sequence numbers, so that late and repeated
 * replies are recognized. Since the numbers count up, these are the last 4096.
 */
const REMEMBERED = 4096;

/** What is compared with a message to find out whether it is a reply. */
interface RequestNumbers {
  readonly id: CbId;
  readonly seq: number;
  readonly ack: number;
  /** The port that the request went to, 0 being the kernel; undefined for a group. */
  readonly port: number | undefined;
  /** In place of the documented rule, `reply.ack === request.ack + 1`. */
  readonly isReply: ((message: CnMsgHeader) => boolean) | undefined;
}

/** A request that waits for replies. */
export interface PendingRequest extends RequestNumbers {
  readonly onReply: (message: ReceivedMessage) => void;
  /** Called when the connector closes, or can receive no more. */
  readonly onEnd: (error: unknown) => void;
}

interface FinishedRequest extends RequestNumbers {
  readonly answered: boolean;
}

/**
 * How a message relates to the requests: a reply that was delivered, one that comes too late or again, one from another
 * sender than the request went to, or none at all.
 */
export type ReplyMatch = "reply" | "late" | "duplicate" | "forged" | "new";

/**
 * The documented rule of sequence and acknowledge numbers. Requests count their sequence numbers up and choose their
 * acknowledge numbers at random; a reply has the same sequence number and the acknowledge number plus one, and comes
 * from where the request went to. Everything else is a new message.
 */
export class PendingRequests {
  readonly #pending = new Map<number, PendingRequest>();
  readonly #finished: (FinishedRequest | undefined)[] = new Array(REMEMBERED).fill(undefined);
  readonly #random = new Uint32Array(64);
  #randomLeft = 0;
  #nextSeq: number;

  /** `firstSeq` is the first sequence number that {@linkcode takeSeq} returns; by default it is random. */
  constructor(firstSeq: number | undefined) {
    this.#nextSeq = firstSeq ?? this.randomAck();
  }

  /** How many requests are pending. */
  get size(): number {
    return this.#pending.size;
  }

  /** A message with the numbers that are given, or the next sequence number and a random acknowledge number. */
  message(id: CbId, data: Uint8Array, { seq, ack, flags = 0 }: SendOptions): CnMsg {
    return { id, seq: seq ?? this.takeSeq(), ack: ack ?? this.randomAck(), flags, data };
  }

  /** The next sequence number: one more than the last, modulo 2^32, and none of a pending request. */
  takeSeq(): number {
    while (this.#pending.has(this.#nextSeq)) this.#nextSeq = (this.#nextSeq + 1) >>> 0;
    const seq = this.#nextSeq;
    this.#nextSeq = (seq + 1) >>> 0;
    return seq;
  }

  /** A random acknowledge number: whoever does not see the request cannot guess it. */
  randomAck(): number {
    if (this.#randomLeft === 0) {
      crypto.getRandomValues(this.#random);
      this.#randomLeft = this.#random.length;
    }
    return this.#random[--this.#randomLeft]!;
  }

  /** Waits for replies to a request from now on. Throws where its sequence number is in use. */
  add(request: PendingRequest): void {
    const { seq, id } = request;
    if (this.#pending.has(seq)) {
      throw new RangeError(`Cannot ask ${idText(id)}: sequence number ${seq} is that of a request in flight`);
    }
    this.#pending.set(seq, request);
  }

  /** Whether replies to a request are still waited for. */
  isPending(request: PendingRequest): boolean {
    return this.#pending.get(request.seq) === request;
  }

  /** Waits for no more replies. */
  finish(request: PendingRequest, answered: boolean): void {
    if (!this.isPending(request)) return;
    const { id, seq, ack, port, isReply } = request;
    this.#pending.delete(seq);
    this.#finished[seq % REMEMBERED] = { id, seq, ack, port, isReply, answered };
  }

  /** Finds out what a message is, and hands a reply to its request. `read` makes the message that the request gets. */
  match(header: CnMsgHeader, from: Sender, read: () => ReceivedMessage): ReplyMatch {
    const pending = this.#pending.get(header.seq);
    if (pending !== undefined) {
      if (!isReplyTo(pending, header)) return "new";
      if (!isFromTarget(pending, from)) return "forged";
      pending.onReply(read());
      return "reply";
    }
    const finished = this.#finished[header.seq % REMEMBERED];
    if (finished === undefined || finished.seq !== header.seq || !isReplyTo(finished, header)) return "new";
    if (!isFromTarget(finished, from)) return "forged";
    return finished.answered ? "duplicate" : "late";
  }

  /** Ends every request with an error. */
  endAll(error: unknown): void {
    for (const request of [...this.#pending.values()]) {
      this.finish(request, false);
      request.onEnd(error);
    }
  }
}

function isReplyTo(request: RequestNumbers, header: CnMsgHeader): boolean {
  if (!sameId(request.id, header.id)) return false;
  return request.isReply?.(header) ?? header.ack === ((request.ack + 1) >>> 0);
}

/** Every trusted sender may answer for a group: its members are programs, or the kernel where it sends to its group. */
function isFromTarget(request: RequestNumbers, from: Sender): boolean {
  return request.port === undefined || from.port === request.port;
}

/** What sends a request and receives its replies. */
export interface RequestParts {
  /** Throws if the connector is closed. */
  readonly checkOpen: (action: string) => void;
  readonly pending: PendingRequests;
  readonly writer: Writer;
  readonly reader: Reader;
  readonly counters: Counters;
  readonly errors: ErrorReporter;
}

/** What a caller does with the outcome of a request. */
interface RequestHandlers {
  readonly onReply: (message: ReceivedMessage) => void;
  readonly onTimeout: () => void;
  /** It was given up: by its signal, by the end of the connector, or because it cannot be repeated. */
  readonly onEnd: (error: unknown) => void;
}

/** As `Connector.request`. */
export async function request(
  parts: RequestParts,
  id: CbId,
  data: Uint8Array,
  options: RequestOptions,
): Promise<ReceivedMessage> {
  const { promise, resolve, reject } = Promise.withResolvers<ReceivedMessage>();
  const sent = SentRequest.send(parts, id, data, options, REQUEST_OPTIONS, {
    onReply: (message) => {
      sent.stop(true);
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

/** As `Connector.requestMany`. */
export function requestMany(
  parts: RequestParts,
  id: CbId,
  data: Uint8Array,
  options: RequestManyOptions,
): AsyncStream<ReceivedMessage> {
  let received = 0;
  const replies = new BufferedStream<ReceivedMessage>({ onClose: () => sent.stop(received > 0) });
  const sent = SentRequest.send(parts, id, data, options, REQUEST_MANY_OPTIONS, {
    onReply: (message) => {
      const { count = Infinity, until } = options;
      received++;
      replies.push(message);
      const isLast = received >= count ||
        parts.errors.runSafely({ operation: "until" }, () => until?.(message)) === true;
      if (isLast) replies.end();
    },
    onTimeout: () => replies.end(),
    onEnd: (error) => replies.fail(error),
  });
  return replies;
}

/**
 * A request on its way: it is repeated at equal intervals with the same numbers, and sent again soon after its receiver
 * had no room for it.
 */
class SentRequest implements PendingRequest {
  readonly id: CbId;
  readonly seq: number;
  readonly ack: number;
  readonly port: number | undefined;
  readonly isReply: ((message: CnMsgHeader) => boolean) | undefined;
  readonly onReply: (message: ReceivedMessage) => void;
  readonly #parts: RequestParts;
  readonly #target: Target;
  readonly #action: string;
  readonly #handlers: RequestHandlers;
  readonly #timeoutMs: number;
  readonly #intervalMs: number;
  readonly #isRepeated: boolean;
  readonly #signal: AbortSignal | undefined;
  readonly #onAbort = (): void => this.onEnd(this.#signal!.reason);
  readonly #startedAt = performance.now();
  #message: CnMsg;
  #ownsBytes = false;
  #timesSent = 0;
  #noRoomMs: number = NO_ROOM_MS.first;
  #timer: ReturnType<typeof setTimeout> | undefined;

  private constructor(
    parts: RequestParts,
    message: CnMsg,
    target: Target,
    options: RequestOptions,
    handlers: RequestHandlers,
    action: string,
  ) {
    const { timeoutMs = DEFAULT_TIMEOUT_MS, retries = 0, signal, isReply } = options;
    this.id = message.id;
    this.seq = message.seq;
    this.ack = message.ack;
    this.port = "port" in target ? target.port : undefined;
    this.isReply = isReply &&
      ((header) => parts.errors.runSafely({ operation: "isReply" }, () => isReply(header)) === true);
    this.onReply = handlers.onReply;
    this.#parts = parts;
    this.#message = message;
    this.#target = target;
    this.#action = action;
    this.#handlers = handlers;
    this.#timeoutMs = timeoutMs;
    this.#intervalMs = timeoutMs / (retries + 1);
    this.#isRepeated = retries > 0;
    this.#signal = signal;
  }

  /** Sends a request. Its replies, or what ends it, go to `handlers`; what keeps it from being sent is thrown. */
  static send(
    parts: RequestParts,
    id: CbId,
    data: Uint8Array,
    options: RequestOptions,
    checks: OptionChecks<RequestOptions>,
    handlers: RequestHandlers,
  ): SentRequest {
    const { checkOpen, pending, writer, reader } = parts;
    checkId(id, "id", "ask");
    const action = `ask ${idText(id)}`;
    checkBytes(data, "data", action);
    checkOptions(options, checks, action);
    checkOpen(action);
    options.signal?.throwIfAborted();
    const target = requestTarget(id, options, writer, action);
    const message = pending.message(id, data, options);
    const request = new SentRequest(parts, message, target, options, handlers, action);
    pending.add(request);
    try {
      request.#send();
    } catch (error) {
      request.stop(false);
      throw error;
    }
    options.signal?.addEventListener("abort", request.#onAbort, { once: true });
    // The kernel answers within the send: no need to be woken for that.
    if (request.port === KERNEL_PORT) reader.readSoon();
    else reader.pump();
    return request;
  }

  /** Waits for no more replies; `answered` says whether there was one. */
  stop(answered: boolean): void {
    clearTimeout(this.#timer);
    this.#signal?.removeEventListener("abort", this.#onAbort);
    this.#parts.pending.finish(this, answered);
  }

  onEnd(error: unknown): void {
    this.stop(false);
    this.#handlers.onEnd(error);
  }

  #send(): void {
    const sent = this.#parts.writer.trySend(this.#message, this.#target, this.#action);
    if (!this.#ownsBytes && (!sent || this.#isRepeated)) {
      // What is sent later is what was given, whatever the caller does with its bytes meanwhile.
      this.#message = { ...this.#message, data: this.#message.data.slice() };
      this.#ownsBytes = true;
    }
    if (sent) {
      if (this.#timesSent > 0) this.#parts.counters.repeats++;
      this.#timesSent++;
      this.#noRoomMs = NO_ROOM_MS.first;
      this.#waitUntil(this.#intervalMs * this.#timesSent);
    } else {
      // It was not sent at all, so sending it again is no repeat.
      this.#waitUntil(Math.min(performance.now() - this.#startedAt + this.#noRoomMs, this.#timeoutMs));
      this.#noRoomMs = Math.min(this.#noRoomMs * 2, NO_ROOM_MS.longest);
    }
  }

  #waitUntil(elapsedMs: number): void {
    const pauseMs = Math.min(Math.max(this.#startedAt + elapsedMs - performance.now(), 0), MAX_TIMER_MS);
    this.#timer = setTimeout(() => this.#onTimer(), pauseMs);
  }

  #onTimer(): void {
    const elapsedMs = performance.now() - this.#startedAt;
    // What is queued already came in time: a busy event loop is no reason to give up.
    this.#parts.reader.readNow();
    if (!this.#parts.pending.isPending(this)) return;
    if (elapsedMs >= this.#timeoutMs - 0.5) {
      this.stop(false);
      this.#handlers.onTimeout();
      return;
    }
    const nextMs = this.#intervalMs * this.#timesSent;
    if (this.#timesSent > 0 && elapsedMs < nextMs - 0.5) return this.#waitUntil(nextMs);
    try {
      this.#send();
    } catch (error) {
      this.onEnd(error);
    }
  }
}

/** Where a request goes: as given, or to the kernel if it serves the identifier, or else to the identifier's group. */
function requestTarget(id: CbId, options: SendOptions, writer: Writer, action: string): Target {
  const given = givenTarget(options, action);
  if (given !== undefined) return given;
  if (writer.kernelServesNow(id)) return { port: KERNEL_PORT };
  if (id.idx >= 1 && id.idx <= MAX_GROUP) return { group: id.idx };
  const advice =
    "the kernel does not serve the identifier, and it has no group: choose a receiver by { port } or { group }";
  throw new SyscallError(action, "cn_netlink_send", ERRNO.ENODEV!, advice);
}
