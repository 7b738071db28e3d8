import type { Conversation, PendingRequests } from "./pending_requests.ts";
import type { CnMsg, CnMsgHeader } from "./message.ts";
import type { ReceivedMessage } from "./received.ts";

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
