import { callSafely } from "../errors/callback.ts";
import type { CallbackRegistry, Reply } from "./callbacks.ts";
import { type CbId, type CnMsg, idText, isStray } from "./message.ts";
import type { Notifier } from "./notification.ts";
import type { ErrorContext } from "./options.ts";
import type { PendingRequests } from "./requests.ts";
import { isTrusted, type ReceivedMessage, type Sender, type TrustPolicy } from "./sender.ts";
import type { Counters } from "./stats.ts";
import type { Streams } from "./streams.ts";
import type { UntrustedSenders } from "./untrusted_senders.ts";

/** Reports what the user's own functions throw: callbacks, and functions among the options. */
export class ErrorReporter {
  readonly #counters: Counters;
  readonly #onError: ((error: unknown, context: ErrorContext) => void) | undefined;

  constructor(counters: Counters, onError: ((error: unknown, context: ErrorContext) => void) | undefined) {
    this.#counters = counters;
    this.#onError = onError;
  }

  /** Runs a user's function. What it throws is reported, and gives undefined. */
  runSafely<T>(context: ErrorContext, run: () => T): T | undefined {
    try {
      return run();
    } catch (error) {
      this.report(error, context);
      return undefined;
    }
  }

  /** Reports an error to `onError`, or else on standard error. */
  report(error: unknown, context: ErrorContext): void {
    this.#counters.failures++;
    reportError(error, context, this.#onError);
  }
}

/** Calls `onError`, or writes to standard error if there is none or it throws. Never throws. */
export function reportError<Context extends ErrorContext>(
  error: unknown,
  context: Context,
  onError: ((error: unknown, context: Context) => void) | undefined,
): void {
  if (onError !== undefined && callSafely("onError", () => onError(error, context))) return;
  console.error(`kernel-connector: ${context.operation} failed:`, error);
}

/** Who may receive a message, and what the dispatcher needs to find out. */
export interface DispatcherParts {
  readonly pending: PendingRequests;
  readonly callbacks: CallbackRegistry;
  readonly streams: Streams;
  readonly notifier: Notifier | undefined;
  readonly counters: Counters;
  readonly untrusted: UntrustedSenders;
  readonly errors: ErrorReporter;
  /** The user's policy, if there is one. */
  readonly trust: TrustPolicy | undefined;
  readonly kernelServes: (id: CbId) => boolean;
  readonly replyTo: (message: ReceivedMessage) => Reply;
}

/**
 * Hands each message of a trusted sender to its receivers: a reply to its request, a new message to the callback of its
 * identifier and to every stream.
 */
export class Dispatcher {
  readonly #parts: DispatcherParts;

  constructor(parts: DispatcherParts) {
    this.#parts = parts;
  }

  /** Dispatches one message. Its payload lies in the receive buffer: every receiver gets a copy. */
  dispatch(message: CnMsg, from: Sender): void {
    const { pending, counters, untrusted } = this.#parts;
    if (isStray(message)) {
      counters.stray++;
      return;
    }
    if (!this.#isTrusted(message, from)) {
      counters.untrusted++;
      untrusted.add(from.port, from.credentials?.pid);
      return;
    }
    let copied: ReceivedMessage | undefined;
    const read = (): ReceivedMessage =>
      copied ??= { type: "message", ...message, data: message.data.slice(), from };
    switch (pending.match(message, from, read)) {
      case "reply":
        counters.replies++;
        return;
      case "late":
        counters.late++;
        return;
      case "duplicate":
        counters.duplicates++;
        return;
      case "forged":
        counters.forged++;
        untrusted.add(from.port, from.credentials?.pid);
        return;
      case "new":
        this.#dispatchNew(message.id, from, read);
    }
  }

  #isTrusted({ id }: CnMsg, from: Sender): boolean {
    const { errors, trust, kernelServes } = this.#parts;
    return errors.runSafely({ operation: "trust" }, () => isTrusted(trust, from, id, kernelServes)) === true;
  }

  #dispatchNew(id: CbId, from: Sender, read: () => ReceivedMessage): void {
    const { callbacks, streams, notifier, counters } = this.#parts;
    const registration = callbacks.get(id);
    if (registration === undefined && notifier?.handleRequest(id, read)) return;
    if (notifier?.isBystanderMessage(from)) return;
    let receivers = 0;
    // Each receiver has bytes of its own.
    const copy = (): ReceivedMessage => receivers++ === 0 ? read() : { ...read(), data: read().data.slice() };
    streams.push(from.group, copy);
    if (registration === undefined) {
      if (receivers === 0) counters.unclaimed++;
      return;
    }
    this.#call(registration, copy());
  }

  #call(
    { id, name, callback }: NonNullable<ReturnType<CallbackRegistry["get"]>>,
    message: ReceivedMessage,
  ): void {
    const { errors, replyTo } = this.#parts;
    const context = { operation: `the callback ${JSON.stringify(name)} for ${idText(id)}`, message };
    const result = errors.runSafely(context, () => callback(message, replyTo(message)));
    if (isThenable(result)) result.then(undefined, (error) => errors.report(error, context));
  }
}

function isThenable(value: unknown): value is PromiseLike<unknown> {
  return typeof (value as PromiseLike<unknown> | null | undefined)?.then === "function";
}
