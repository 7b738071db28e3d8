import {
  arrayOf,
  checkBoolean,
  checkFunction,
  checkNumber,
  checkSignal,
  checkTimeoutMs,
  checkU16,
  checkU32,
  integer,
  type OptionChecks,
  wrongType,
} from "../errors/arguments.ts";
import { MAX_GROUP } from "../netlink/message.ts";
import type { ReceivedMessage, TrustPolicy } from "./sender.ts";
import { checkGroup } from "./groups.ts";
import type { CnMsgHeader } from "./message.ts";

/** What failed, for `onError`. */
export interface ErrorContext {
  /** What threw or was rejected, as `the callback "thermostat" for 20:1`, `trust`, `until` or `the connector`. */
  readonly operation: string;
  /** The message that was being handled, if there is one. */
  readonly message?: ReceivedMessage | undefined;
}

/** How a connector is opened. */
export interface ConnectorOptions {
  /**
   * Whose messages to accept. Default: for an identifier that the kernel serves, and for those of its drivers (an idx
   * below 11), only the kernel's; for all others anyone's.
   */
  readonly trust?: TrustPolicy | undefined;
  /** Whether senders come with their process and user. Default: false. */
  readonly credentials?: boolean | undefined;
  /**
   * Called with what a callback, or a function among the options, throws or rejects with, and with what closed a
   * connector that nobody waits for. Default: it is written to standard error. Nothing else is affected by such an
   * error.
   */
  readonly onError?: ((error: unknown, context: ErrorContext) => void) | undefined;
  /**
   * Whether to announce callbacks to the programs that ask for it by the documented protocol of notification, as
   * {@linkcode watchIdentifiers} does. Default: false. While there are callbacks the connector is then in group 31, if
   * it may join that.
   */
  readonly announce?: boolean | undefined;
  /** Closes the connector. What waits rejects with the signal's reason. */
  readonly signal?: AbortSignal | undefined;
  /**
   * How long a message may wait under load, in milliseconds, so that one read receives many. Default 0: every wake-up
   * reads at once. If messages are rare they never wait.
   */
  readonly latencyMs?: number | undefined;
  /** The receive buffer to ask for, in bytes. Default 4 MiB, never more than an eighth of the available memory. */
  readonly receiveBufferBytes?: number | undefined;
  /** The first sequence number. Default: random. */
  readonly firstSeq?: number | undefined;
}

/** Where a message goes, and what its header says. */
export interface SendOptions {
  /** To this port alone; 0 is the kernel. Not together with `group`. */
  readonly port?: number | undefined;
  /** To all members of this group. 0, the default of `send`, is the group of the identifier's callback. */
  readonly group?: number | undefined;
  /** Default: the next sequence number. */
  readonly seq?: number | undefined;
  /** Default: random. */
  readonly ack?: number | undefined;
  /** Default: 0. */
  readonly flags?: number | undefined;
}

/** How a request is sent, and how long its reply may take. */
export interface RequestOptions extends SendOptions {
  /**
   * How long to wait in all, in milliseconds. Default 1000. It starts when the message has been sent, and sending to
   * the kernel takes as long as its callback: the kernel runs it inside sendto(2), which nothing can interrupt and
   * during which this thread does nothing else. Split what may take long (1-wire: about a millisecond a byte) into
   * small requests, or send it from a Worker.
   */
  readonly timeoutMs?: number | undefined;
  /**
   * How often to repeat the request with the same numbers, at equal intervals within `timeoutMs`. Default 0: only the
   * protocol knows whether a request may be carried out twice.
   */
  readonly retries?: number | undefined;
  /** Gives up. The signal's reason is thrown. */
  readonly signal?: AbortSignal | undefined;
  /**
   * Which messages with the same identifier and sequence number are replies, for protocols with a rule of their own.
   * Default: the documented rule, the acknowledge number of the request plus one.
   */
  readonly isReply?: ((message: CnMsgHeader) => boolean) | undefined;
}

/** How a request with several replies is sent. */
export interface RequestManyOptions extends RequestOptions {
  /** Ends after this many replies. */
  readonly count?: number | undefined;
  /** Ends after a reply for which this returns true. */
  readonly until?: ((reply: ReceivedMessage) => boolean) | undefined;
}

/** Which messages a stream has. */
export interface MessagesOptions {
  /** Joins these groups while it is open, and has only what is sent to them. Default: all that the connector receives. */
  readonly groups?: readonly number[] | undefined;
  /** Ends the stream. The signal's reason is thrown. */
  readonly signal?: AbortSignal | undefined;
  /**
   * How many messages may wait to be read. Default 1024. Beyond that, and what was received together with the last of
   * them, the kernel's own buffer is the queue.
   */
  readonly limit?: number | undefined;
}

function checkLatencyMs(value: unknown, name: string, action: string): void {
  checkNumber(value, name, action);
  if ((value as number) >= 0 && (value as number) <= 1000) return;
  throw new RangeError(`Cannot ${action}: ${name} must be 0 to 1000, and is ${value}`);
}

function checkTrustPolicy(value: unknown, name: string, action: string): void {
  if (value === "kernel" || value === "anyone" || typeof value === "function") return;
  throw wrongType(value, name, '"kernel", "anyone" or a function', action);
}

/** Checks of {@linkcode ConnectorOptions}. */
export const CONNECTOR_OPTIONS: OptionChecks<ConnectorOptions> = {
  trust: checkTrustPolicy,
  credentials: checkBoolean,
  onError: checkFunction,
  announce: checkBoolean,
  signal: checkSignal,
  latencyMs: checkLatencyMs,
  receiveBufferBytes: checkNumber,
  firstSeq: checkU32,
};

/** Checks of {@linkcode SendOptions}. */
export const SEND_OPTIONS: OptionChecks<SendOptions> = {
  port: checkU32,
  group: integer(0, MAX_GROUP),
  seq: checkU32,
  ack: checkU32,
  flags: checkU16,
};

/** Checks of {@linkcode RequestOptions}. */
export const REQUEST_OPTIONS: OptionChecks<RequestOptions> = {
  ...SEND_OPTIONS,
  timeoutMs: checkTimeoutMs,
  retries: integer(0, 2 ** 32),
  signal: checkSignal,
  isReply: checkFunction,
};

/** Checks of {@linkcode RequestManyOptions}. */
export const REQUEST_MANY_OPTIONS: OptionChecks<RequestManyOptions> = {
  ...REQUEST_OPTIONS,
  count: (value, name, action) => value === Infinity || integer(1, 2 ** 53 - 1)(value, name, action),
  until: checkFunction,
};

/** Checks of {@linkcode MessagesOptions}. */
export const MESSAGES_OPTIONS: OptionChecks<MessagesOptions> = {
  groups: arrayOf(checkGroup),
  signal: checkSignal,
  limit: checkNumber,
};
