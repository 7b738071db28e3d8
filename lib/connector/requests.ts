import { checkBytes, checkOptions, type OptionChecks } from "../errors/arguments.ts";
import { TimeoutError } from "../errors/timeout_error.ts";
import { KERNEL_PORT } from "../netlink/address.ts";
import { messageOf, questionTargetOf } from "./addressing.ts";
import type { ErrorReporter } from "./dispatcher.ts";
import { type CbId, checkId, type CnMsg, type CnMsgHeader, idText, sameId } from "./message.ts";
import { MessageStream } from "./message_stream.ts";
import {
  REQUEST_MANY_OPTIONS,
  REQUEST_OPTIONS,
  type RequestManyOptions,
  type RequestOptions,
} from "./options.ts";
import type { Reader } from "./reader.ts";
import type { ReceivedMessage, Sender } from "./sender.ts";
import type { Counters } from "./stats.ts";
import type { Writer } from "./writer.ts";

/**
 * Ended conversations are remembered by so many low bits of their sequence numbers, so that late and repeated replies
 * are known for what they are: since the numbers count up, the last 4096 are.
 */
const REMEMBERED = 4096;

/** What a message is to the conversations: a reply that was delivered, one that comes too late or again, one from another than was asked, or none. */
export type Verdict = "reply" | "late" | "duplicate" | "forged" | "new";

/** A question, as far as its answers depend on it. */
export interface PendingRequest {
  readonly id: CbId;
  readonly seq: number;
  readonly ack: number;
  /** The port that was asked, 0 the kernel; undefined where a group was asked. */
  readonly port: number | undefined;
  /** In place of the documents' rule, `reply.ack === question.ack + 1`. */
  readonly isReply: ((message: CnMsgHeader) => boolean) | undefined;
}

/** A conversation that goes on. */
export interface Conversation {
  readonly question: PendingRequest;
  readonly onReply: (message: ReceivedMessage) => void;
  /** Called when the connector closes, or can receive no more. */
  readonly onEnd: (error: unknown) => void;
}

interface Ended {
  readonly question: PendingRequest;
  readonly answered: boolean;
}

/**
 * The documents' rule of sequence and acknowledge numbers. Who asks counts its sequence numbers up and draws its
 * acknowledge numbers by lot; a reply has the same sequence number and the acknowledge number plus one, and comes from
 * whom was asked. Everything else is a new message.
 */
export class PendingRequests {
  readonly #going = new Map<number, Conversation>();
  readonly #ended: (Ended | undefined)[] = new Array(REMEMBERED).fill(undefined);
  readonly #random = new Uint32Array(64);
  #randomLeft = 0;
  #nextSeq: number;

  /** `firstSeq` is the first sequence number that {@linkcode takeSeq} gives; by default it is random. */
  constructor(firstSeq: number | undefined) {
    this.#nextSeq = firstSeq ?? this.randomAck();
  }

  /** How many conversations go on. */
  get size(): number {
    return this.#going.size;
  }

  /** The next sequence number: one more than the last, modulo 2^32, and none that is waited for. */
  takeSeq(): number {
    while (this.#going.has(this.#nextSeq)) this.#nextSeq = (this.#nextSeq + 1) >>> 0;
    const seq = this.#nextSeq;
    this.#nextSeq = (seq + 1) >>> 0;
    return seq;
  }

  /** A random acknowledge number, which who does not see the question cannot guess. */
  randomAck(): number {
    if (this.#randomLeft === 0) {
      crypto.getRandomValues(this.#random);
      this.#randomLeft = this.#random.length;
    }
    return this.#random[--this.#randomLeft]!;
  }

  /** Waits for replies from now on. Throws where the sequence number is waited for already. */
  begin(conversation: Conversation): void {
    const { seq, id } = conversation.question;
    if (this.#going.has(seq)) {
      throw new RangeError(`Cannot ask ${idText(id)}: sequence number ${seq} is that of a request in flight`);
    }
    this.#going.set(seq, conversation);
  }

  /** Whether a conversation goes on. */
  going(conversation: Conversation): boolean {
    return this.#going.get(conversation.question.seq) === conversation;
  }

  /** Waits for no more replies. */
  end(conversation: Conversation, answered: boolean): void {
    const { question } = conversation;
    if (!this.going(conversation)) return;
    this.#going.delete(question.seq);
    this.#ended[question.seq % REMEMBERED] = { question, answered };
  }

  /** What the message is. Of a reply `read` makes the message that its conversation gets. */
  take(header: CnMsgHeader, from: Sender, read: () => ReceivedMessage): Verdict {
    const going = this.#going.get(header.seq);
    if (going !== undefined) {
      if (!answers(going.question, header)) return "new";
      if (!isAsked(going.question, from)) return "forged";
      going.onReply(read());
      return "reply";
    }
    const ended = this.#ended[header.seq % REMEMBERED];
    if (ended === undefined || ended.question.seq !== header.seq || !answers(ended.question, header)) {
      return "new";
    }
    if (!isAsked(ended.question, from)) return "forged";
    return ended.answered ? "duplicate" : "late";
  }

  /** Ends every conversation. */
  endAll(error: unknown): void {
    for (const conversation of [...this.#going.values()]) {
      this.end(conversation, false);
      conversation.onEnd(error);
    }
  }
}

function answers(question: PendingRequest, header: CnMsgHeader): boolean {
  if (!sameId(question.id, header.id)) return false;
  return question.isReply?.(header) ?? header.ack === ((question.ack + 1) >>> 0);
}

/** A group's members are programs, or the kernel where it sends to its group: whoever is believed. */
function isAsked(question: PendingRequest, from: Sender): boolean {
  return question.port === undefined || from.port === question.port;
}

/** First and longest pause before a question is sent again for which its receiver had no room. */
const NO_ROOM_MS = { first: 1, longest: 50 } as const;
/** `setTimeout` knows no longer time. */
const MAX_TIMER_MS = 2 ** 31 - 1;

/** What may come of a question. */
export interface Outcome {
  readonly onReply: (message: ReceivedMessage) => void;
  readonly onTimeout: () => void;
  /** It was given up: by its signal, by the end of the connector, or because it cannot be repeated. */
  readonly onEnd: (error: unknown) => void;
}

/** A question, and how long it may take. */
export interface Asking extends Outcome {
  readonly message: CnMsg;
  /** Whom it goes to, undefined for a group. */
  readonly port: number | undefined;
  readonly isReply: ((message: CnMsgHeader) => boolean) | undefined;
  readonly timeoutMs: number;
  readonly retries: number;
  readonly signal: AbortSignal | undefined;
  /** False where the receiver has no room. */
  readonly trySend: (message: CnMsg) => boolean;
  /** Takes what has arrived already. */
  readonly drain: () => void;
  readonly onRepeat: () => void;
}

/**
 * Sends a question and waits for what comes of it: asks again at equal intervals with the same numbers, and at once,
 * more or less, where there was no room for it.
 *
 * @returns What ends the waiting, and is told whether there was an answer.
 */
export function sendRequest(pendingRequests: PendingRequests, asking: Asking): (answered: boolean) => void {
  const { port, isReply, timeoutMs, retries, signal, trySend, drain } = asking;
  let { message } = asking;
  const { id, seq, ack } = message;
  const conversation: Conversation = {
    question: { id, seq, ack, port, isReply },
    onReply: asking.onReply,
    onEnd: (error) => {
      stop(false);
      asking.onEnd(error);
    },
  };
  const startedAt = performance.now();
  const intervalMs = timeoutMs / (retries + 1);
  let asked = 0;
  let noRoomMs: number = NO_ROOM_MS.first;
  let timer: ReturnType<typeof setTimeout> | undefined;
  const onAbort = (): void => conversation.onEnd(signal!.reason);
  const stop = (answered: boolean): void => {
    clearTimeout(timer);
    signal?.removeEventListener("abort", onAbort);
    pendingRequests.end(conversation, answered);
  };
  const waitUntil = (elapsedMs: number): void => {
    const pause = Math.min(Math.max(startedAt + elapsedMs - performance.now(), 0), MAX_TIMER_MS);
    timer = setTimeout(onTime, pause);
  };
  const ask = (): void => {
    const sent = trySend(message);
    // What is sent later is what was given, whatever the caller does with its bytes meanwhile.
    if (message === asking.message && (!sent || retries > 0)) {
      message = { ...message, data: message.data.slice() };
    }
    if (sent) {
      if (asked > 0) asking.onRepeat();
      asked++;
      noRoomMs = NO_ROOM_MS.first;
      waitUntil(intervalMs * asked);
    } else {
      // It was not sent at all, so this is no repeat.
      waitUntil(Math.min(performance.now() - startedAt + noRoomMs, timeoutMs));
      noRoomMs = Math.min(noRoomMs * 2, NO_ROOM_MS.longest);
    }
  };
  const onTime = (): void => {
    const elapsedMs = performance.now() - startedAt;
    // What is queued already came in time: a busy event loop is no reason to give up.
    drain();
    if (!pendingRequests.going(conversation)) return;
    if (elapsedMs >= timeoutMs - 0.5) {
      stop(false);
      asking.onTimeout();
      return;
    }
    try {
      if (asked > 0 && elapsedMs < intervalMs * asked - 0.5) waitUntil(intervalMs * asked);
      else ask();
    } catch (error) {
      conversation.onEnd(error);
    }
  };
  pendingRequests.begin(conversation);
  try {
    ask();
  } catch (error) {
    stop(false);
    throw error;
  }
  signal?.addEventListener("abort", onAbort, { once: true });
  return stop;
}

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
