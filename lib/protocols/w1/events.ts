import type { LostEvent } from "../../lost_event.ts";
import type { ReceivedMessage } from "../../connector/sender.ts";
import { DecodeError } from "../../errors/decode_error.ts";
import { CN_W1_IDX, CN_W1_VAL } from "./constants.ts";
import { decodeW1Event, decodeW1Messages, type W1Event } from "./message.ts";

/** An item in the stream of bus events. */
export type W1StreamEvent =
  | W1Event
  | LostEvent
  /** A message that this version cannot decode. */
  | { readonly type: "unknown"; readonly data: Uint8Array };

/** The bus events in a message of group 3, or a loss of messages. */
export function w1EventsOf(item: ReceivedMessage | LostEvent): readonly W1StreamEvent[] {
  if (item.type === "lost") return [item];
  const { id, data } = item;
  if (id.idx !== CN_W1_IDX || id.val !== CN_W1_VAL) return [];
  try {
    return decodeW1Messages(data).map((message) => decodeW1Event(message) ?? { type: "unknown", data });
  } catch (error) {
    if (!(error instanceof DecodeError)) throw error;
    return [{ type: "unknown", data }];
  }
}
