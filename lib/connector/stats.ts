import type { UntrustedSender } from "./untrusted_senders.ts";

/** Counters of a connector. */
export interface ConnectorStats {
  /** Datagrams that were sent. */
  readonly sent: number;
  /** Datagrams that were received, of whatever content. */
  readonly received: number;
  /** Messages in them: a datagram may hold several. */
  readonly messages: number;
  /** Requests that wait for a reply. */
  readonly inFlight: number;
  /** Replies that reached their request. */
  readonly replies: number;
  /** Requests that were repeated for want of a reply. */
  readonly repeats: number;
  /** Replies that came after their request had been given up. */
  readonly late: number;
  /** Further replies to requests that were finished. */
  readonly duplicates: number;
  /** Replies with the right numbers from another port than the request went to. */
  readonly forged: number;
  /** Messages from senders that are not trusted. */
  readonly untrusted: number;
  /** Who sent what was forged or not trusted, an element for each port. */
  readonly untrustedSenders: readonly UntrustedSender[];
  /** New messages for which there is no callback and no stream. */
  readonly unclaimed: number;
  /**
   * Datagrams that were truncated, or whose lengths do not fit; and netlink messages that are not the connector's: of
   * another type from the kernel, beyond the first of a datagram from a program.
   */
  readonly malformed: number;
  /** Messages of which every byte is zero: some drivers send them by mistake. */
  readonly stray: number;
  /** Messages that the kernel dropped because the receive buffer was full. */
  readonly lost: number;
  /** How often a callback, or a function among the options, threw or rejected. */
  readonly failures: number;
  /** How often the connector was woken to receive. */
  readonly wakeUps: number;
  /** The receive buffer that was asked for, and what the kernel granted, in its own count (twice, for its overhead). */
  readonly receiveBufferBytes: { readonly asked: number; readonly granted: number };
}

/** The counters of a connector that are not kept elsewhere. */
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
