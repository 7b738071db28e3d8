import type { CbId, CnMsg } from "./message.ts";

/** What `JSON.stringify` writes without loss: no `bigint` (write it as text), no bytes (write them as hex). */
export type JsonValue =
  | string
  | number
  | boolean
  | null
  | readonly JsonValue[]
  | { readonly [name: string]: JsonValue };

/**
 * A protocol that is spoken on the connector, described once: what lists identifiers and shows messages learns it from
 * here. Each folder of `lib/protocols` exports one or more.
 */
export interface Protocol {
  /** A short name, as the folder: `"w1"`. */
  readonly name: string;
  /** One line for people. */
  readonly title: string;
  /** The identifier. Its netlink group is `id.idx`. */
  readonly id: CbId;
  /**
   * What a message says, for people and for `JSON.stringify`. `from` tells requests from answers where they share a
   * layout.
   *
   * @throws {DecodeError} When the message is not one of this protocol's, and nothing else.
   */
  describe(message: CnMsg, from: "kernel" | "user"): JsonValue;
}
