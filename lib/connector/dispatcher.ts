import type { CallbackRegistry, Reply } from "./callbacks.ts";
import { type CbId, type CnMsg, idText, isStray } from "./message.ts";
import type { Notifier } from "./notification.ts";
import type { PendingRequests } from "./requests.ts";
import { isTrusted, type ReceivedMessage, type Sender, type TrustPolicy } from "./sender.ts";
import type { Counters } from "./stats.ts";
import type { Streams } from "./streams.ts";
import type { UntrustedSenders } from "./untrusted_senders.ts";

/** What code that is not ours throws, callbacks and functions given as options: it is told, and harms nobody else. */
export class ErrorReporter {
  readonly #count: Counters;
  readonly #onError: ((error: unknown, failed: string) => void) | undefined;

  constructor(count: Counters, onError: ((error: unknown, failed: string) => void) | undefined) {
    this.#count = count;
    this.#onError = onError;
  }

  /** Runs what is not ours: what it throws is reported and gives undefined. */
  runSafely<T>(failed: string, run: () => T): T | undefined {
    try {
      return run();
    } catch (error) {
      this.report(error, failed);
      return undefined;
    }
  }

  /** Tells whoever wants to know, else standard error. */
  report(error: unknown, failed: string): void {
    this.#count.failures++;
    const onError = this.#onError;
    reportError(error, failed, onError && (() => onError(error, failed)));
  }
}

/** Calls `onError`, and writes to standard error where there is none, or where it throws. Never throws. */
export function reportError(error: unknown, failed: string, onError: (() => void) | undefined): void {
  try {
    if (onError !== undefined) return onError();
  } catch (second) {
    console.error("kernel-connector: onError failed:", second);
  }
  console.error(`kernel-connector: ${failed} failed:`, error);
}

/** Whom messages may be for, and what else a delivery needs. */
export interface DispatcherParts {
  readonly pendingRequests: PendingRequests;
  readonly callbacks: CallbackRegistry;
  readonly streams: Streams;
  readonly notifier: Notifier;
  readonly count: Counters;
  readonly untrusted: UntrustedSenders;
  readonly failures: ErrorReporter;
  /** The caller's policy, if there is one. */
  readonly trust: TrustPolicy | undefined;
  readonly kernelServes: (id: CbId) => boolean;
  readonly replyTo: (message: ReceivedMessage) => Reply;
}

/**
 * Hands each message to whom it is for, if its sender is believed: a reply to its conversation, a new message to the
 * callback of its identifier and to every stream.
 */
export class Dispatcher {
  readonly #parts: DispatcherParts;

  constructor(parts: DispatcherParts) {
    this.#parts = parts;
  }

  /** `message` lies in the ring: whoever keeps it gets a copy. */
  take(message: CnMsg, from: Sender): void {
    const { pendingRequests, count, untrusted, failures, trust, kernelServes } = this.#parts;
    if (isStray(message)) {
      count.stray++;
      return;
    }
    if (failures.runSafely("trust", () => isTrusted(trust, from, message.id, kernelServes)) !== true) {
      count.untrusted++;
      untrusted.add(from.port, from.credentials?.pid);
      return;
    }
    let copy: ReceivedMessage | undefined;
    const read = (): ReceivedMessage =>
      copy ??= { type: "message", ...message, data: message.data.slice(), from };
    switch (pendingRequests.take(message, from, read)) {
      case "reply":
        count.replies++;
        return;
      case "late":
        count.late++;
        return;
      case "duplicate":
        count.duplicates++;
        return;
      case "forged":
        count.forged++;
        untrusted.add(from.port, from.credentials?.pid);
        return;
      case "new":
        this.#handOut(message.id, from, read);
    }
  }

  #handOut(id: CbId, from: Sender, read: () => ReceivedMessage): void {
    const { callbacks, streams, notifier, count, failures, replyTo } = this.#parts;
    const registration = callbacks.get(id);
    if (registration === undefined && notifier.take(id, read)) return;
    if (notifier.isBystanderMessage(from)) return;
    let takers = 0;
    // Each has bytes of its own.
    const copy = (): ReceivedMessage => takers === 0 ? read() : { ...read(), data: read().data.slice() };
    for (const stream of streams) if (stream.offer(copy())) takers++;
    const message = registration === undefined ? undefined : copy();
    if (message === undefined && takers === 0) count.unclaimed++;
    if (message === undefined || registration === undefined) return;
    const failed = `the callback ${JSON.stringify(registration.name)} for ${idText(id)}`;
    const result = failures.runSafely(failed, () => registration.callback(message, replyTo(message)));
    if (isThenable(result)) result.then(undefined, (error) => failures.report(error, failed));
  }
}

function isThenable(value: unknown): value is PromiseLike<unknown> {
  return typeof (value as PromiseLike<unknown> | null | undefined)?.then === "function";
}
