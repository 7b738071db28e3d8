import type { UntrustedSender } from "./untrusted_senders.ts";

/** What a connector has seen and how it stands. */
export interface ConnectorStats {
  /** Datagrams that were sent. */
  readonly sent: number;
  /** Datagrams that were received, whatever they were. */
  readonly received: number;
  /** Messages in them: a datagram may hold several. */
  readonly messages: number;
  /** Conversations that wait for an answer. */
  readonly inFlight: number;
  /** Replies that reached the conversation they belong to. */
  readonly replies: number;
  /** Questions that were asked again for want of an answer. */
  readonly repeats: number;
  /** Replies that came when nobody waited any more. */
  readonly late: number;
  /** Replies to what had been answered already. */
  readonly duplicates: number;
  /** Replies with the right numbers from another port than was asked. */
  readonly forged: number;
  /** Messages whose sender is not to be believed. */
  readonly untrusted: number;
  /** Who sent what was forged or not trusted, an element for each port. */
  readonly untrustedSenders: readonly UntrustedSender[];
  /** New messages that no callback and no stream wanted. */
  readonly unclaimed: number;
  /**
   * Datagrams that were cut, or whose lengths do not fit; and netlink messages that are not the connector's: of another
   * type from the kernel, beyond the first of a datagram from a program.
   */
  readonly malformed: number;
  /** Messages of which every byte is zero: some drivers send them by mistake. */
  readonly stray: number;
  /** Messages that were lost because the kernel had no room for them in our receive buffer. */
  readonly lost: number;
  /** Times that a callback, or a function given as an option, threw or rejected. */
  readonly failures: number;
  /** How often the poller woke us. */
  readonly wakeUps: number;
  /** The receive buffer that was asked for, and what the kernel granted, in its own count (twice, for its overhead). */
  readonly receiveBufferBytes: { readonly asked: number; readonly granted: number };
}

/** Those counters that the connector itself counts. */
export class Counters {
  received = 0;
  messages = 0;
  replies = 0;
  repeats = 0;
  late = 0;
  duplicates = 0;
  forged = 0;
  untrusted = 0;
  unclaimed = 0;
  malformed = 0;
  stray = 0;
  lost = 0;
  failures = 0;
}
