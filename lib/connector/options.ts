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
import { MAX_GROUP } from "../netlink/address.ts";
import type { ReceivedMessage, TrustPolicy } from "./sender.ts";
import type { ReplyOptions } from "./callbacks.ts";
import { checkGroup } from "./writer.ts";
import type { CnMsgHeader } from "./message.ts";

/** How a connector is opened. */
export interface ConnectorOptions {
  /**
   * Whom to believe. Default: of an identifier that the kernel serves, and of the numbers that are its drivers' (an idx
   * below 11), only the kernel; of others anyone.
   */
  readonly trust?: TrustPolicy | undefined;
  /** Whether senders come with their process and user. Default: false. */
  readonly credentials?: boolean | undefined;
  /**
   * Is told what a callback threw or rejected with, and what a function given as an option threw. Default: it is
   * written to the standard error. Nothing else is harmed by such a failure.
   */
  readonly onError?: ((error: unknown, failed: string) => void) | undefined;
  /**
   * Whether others are told of our callbacks, who ask by the documents' protocol of notification (see
   * {@linkcode watchIdentifiers}). Default: true; while there are callbacks the connector is in group 31 for that, if
   * it may be.
   */
  readonly announce?: boolean | undefined;
  /** Closes the connector; what waits rejects with the signal's reason. */
  readonly signal?: AbortSignal | undefined;
  /**
   * How long a message may wait under load, in milliseconds, so that one look fetches many. Default 0: every wake-up
   * looks at once. A quiet connector's messages never wait.
   */
  readonly latencyMs?: number | undefined;
  /** The receive buffer to ask for, in bytes. Default 4 MiB, never more than an eighth of the available memory. */
  readonly receiveBufferBytes?: number | undefined;
  /** The first sequence number. Default: random. */
  readonly firstSeq?: number | undefined;
}

/** Whom a message goes to, and what its header says. */
export interface SendOptions {
  /** To this port alone; 0 is the kernel. Not together with `group`. */
  readonly port?: number | undefined;
  /** To everybody in this group. 0, the default of `send`, is the group of the identifier's callback. */
  readonly group?: number | undefined;
  /** Default: the next sequence number. */
  readonly seq?: number | undefined;
  /** Default: random. */
  readonly ack?: number | undefined;
  /** Default: 0. */
  readonly flags?: number | undefined;
}

/** How a question is asked, and how long its answer may take. */
export interface RequestOptions extends SendOptions {
  /**
   * How long to wait in all, in milliseconds. Default 1000. It begins when the message has been sent, and to the kernel
   * that takes as long as its callback: the kernel runs it inside of our sendto(2), which no time can cut short and
   * during which this thread does nothing else. What may take long (1-wire: about a millisecond a byte) is best asked
   * in small requests, or from a Worker of its own.
   */
  readonly timeoutMs?: number | undefined;
  /**
   * How often to ask again with the same numbers, at equal intervals within `timeoutMs`. Default 0: whether a question
   * may be answered twice, only the protocol knows.
   */
  readonly retries?: number | undefined;
  /** Gives up; the signal's reason is thrown. */
  readonly signal?: AbortSignal | undefined;
  /**
   * What is a reply, among messages of the same identifier and sequence number, in place of the documents' rule (the
   * acknowledge number of the question plus one): some protocols have their own.
   */
  readonly isReply?: ((message: CnMsgHeader) => boolean) | undefined;
}

/** How a question with several answers is asked. */
export interface RequestManyOptions extends RequestOptions {
  /** Ends after so many replies. */
  readonly count?: number | undefined;
  /** Ends after a reply of which this says so. */
  readonly until?: ((reply: ReceivedMessage) => boolean) | undefined;
}

/** Which messages a stream has. */
export interface MessagesOptions {
  /** Joins these groups while it is read, and has only what was sent to them. Default: all that the connector receives. */
  readonly groups?: readonly number[] | undefined;
  /** Ends the stream; the signal's reason is thrown. */
  readonly signal?: AbortSignal | undefined;
  /** So many messages may wait to be read. Default 1024. Beyond that the kernel's own buffer is the queue. */
  readonly limit?: number | undefined;
}

/** The numbers that a message was sent with. */
export interface SentNumbers {
  /** Its sequence number. */
  readonly seq: number;
  /** Its acknowledge number: a reply has one more. */
  readonly ack: number;
}

function checkBelief(value: unknown, name: string, action: string): void {
  if (value === "kernel" || value === "anyone" || typeof value === "function") return;
  throw wrongType(value, name, '"kernel", "anyone" or a function', action);
}

/** Checks of {@linkcode ConnectorOptions}. */
export const CONNECTOR_OPTIONS: OptionChecks<ConnectorOptions> = {
  trust: checkBelief,
  credentials: checkBoolean,
  onError: checkFunction,
  announce: checkBoolean,
  signal: checkSignal,
  latencyMs: checkNumber,
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

/** Checks of {@linkcode ReplyOptions}. */
export const REPLY_OPTIONS: OptionChecks<ReplyOptions> = { seq: checkU32, ack: checkU32, flags: checkU16 };

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
