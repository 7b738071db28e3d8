import type { LostMessages, ReceivedMessage } from "../../connector/sender.ts";
import { DecodeError } from "../../errors/decode_error.ts";
import type { AsyncStream } from "../../stream.ts";
import { CN_W1_IDX, CN_W1_VAL } from "./constants.ts";
import { decodeW1Event, decodeW1Messages, type W1Event } from "./message.ts";

/** An item in the stream of bus events. */
export type W1StreamEvent =
  | W1Event
  /** `count` messages were lost here. */
  | { readonly type: "lost"; readonly count: number }
  /** A message that this version cannot decode. */
  | { readonly type: "unknown"; readonly data: Uint8Array };

/** Bus events, decoded from the messages of group 3. Ending it leaves the group, even before the first `next`. */
export class W1Events implements AsyncStream<W1StreamEvent> {
  readonly #messages: AsyncStream<ReceivedMessage | LostMessages>;
  readonly #ready: W1StreamEvent[] = [];
  /** The previous `next`: each waits for it, because one message may hold several events. */
  #previous: Promise<unknown> = Promise.resolve();

  constructor(messages: AsyncStream<ReceivedMessage | LostMessages>) {
    this.#messages = messages;
  }

  next(): Promise<IteratorResult<W1StreamEvent, undefined>> {
    const result = this.#previous.then(() => this.#next());
    this.#previous = result.catch(() => {});
    return result;
  }

  async #next(): Promise<IteratorResult<W1StreamEvent, undefined>> {
    while (this.#ready.length === 0) {
      const { value, done } = await this.#messages.next();
      if (done === true) return { value: undefined, done };
      if (value.type === "lost") this.#ready.push({ type: "lost", count: value.count });
      else if (value.id.idx === CN_W1_IDX && value.id.val === CN_W1_VAL) {
        this.#ready.push(...decodeEvents(value.data));
      }
    }
    return { value: this.#ready.shift()!, done: false };
  }

  async return(): Promise<IteratorResult<W1StreamEvent, undefined>> {
    await this.#messages.return();
    return { value: undefined, done: true };
  }

  [Symbol.asyncIterator](): this {
    return this;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.return();
  }
}

function decodeEvents(data: Uint8Array): W1StreamEvent[] {
  try {
    return decodeW1Messages(data).map((message) => decodeW1Event(message) ?? { type: "unknown", data });
  } catch (error) {
    if (!(error instanceof DecodeError)) throw error;
    return [{ type: "unknown", data }];
  }
}
