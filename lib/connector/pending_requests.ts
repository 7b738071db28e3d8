import { idText, sameId } from "./identifier.ts";
import type { CbId, CnMsgHeader } from "./message.ts";
import type { ReceivedMessage, Sender } from "./received.ts";

/**
 * Ended conversations are remembered by so many low bits of their sequence numbers, so that late and repeated replies
 * are known for what they are: since the numbers count up, the last 4096 are.
 */
const REMEMBERED = 4096;

/** What a message is to the conversations: a reply that was delivered, one that comes too late or again, one from another than was asked, or none. */
export type Verdict = "reply" | "late" | "duplicate" | "forged" | "new";

/** A question, as far as its answers depend on it. */
export interface PendingRequest {
  readonly id: CbId;
  readonly seq: number;
  readonly ack: number;
  /** The port that was asked, 0 the kernel; undefined where a group was asked. */
  readonly port: number | undefined;
  /** In place of the documents' rule, `reply.ack === question.ack + 1`. */
  readonly isReply: ((message: CnMsgHeader) => boolean) | undefined;
}

/** A conversation that goes on. */
export interface Conversation {
  readonly question: PendingRequest;
  readonly onReply: (message: ReceivedMessage) => void;
  /** Called when the connector closes, or can receive no more. */
  readonly onEnd: (error: unknown) => void;
}

interface Ended {
  readonly question: PendingRequest;
  readonly answered: boolean;
}

/**
 * The documents' rule of sequence and acknowledge numbers. Who asks counts its sequence numbers up and draws its
 * acknowledge numbers by lot; a reply has the same sequence number and the acknowledge number plus one, and comes from
 * whom was asked. Everything else is a new message.
 */
export class PendingRequests {
  readonly #going = new Map<number, Conversation>();
  readonly #ended: (Ended | undefined)[] = new Array(REMEMBERED).fill(undefined);
  readonly #random = new Uint32Array(64);
  #randomLeft = 0;
  #nextSeq: number;

  /** `firstSeq` is the first sequence number that {@linkcode takeSeq} gives; by default it is random. */
  constructor(firstSeq: number | undefined) {
    this.#nextSeq = firstSeq ?? this.randomAck();
  }

  /** How many conversations go on. */
  get size(): number {
    return this.#going.size;
  }

  /** The next sequence number: one more than the last, modulo 2^32, and none that is waited for. */
  takeSeq(): number {
    while (this.#going.has(this.#nextSeq)) this.#nextSeq = (this.#nextSeq + 1) >>> 0;
    const seq = this.#nextSeq;
    this.#nextSeq = (seq + 1) >>> 0;
    return seq;
  }

  /** A random acknowledge number, which who does not see the question cannot guess. */
  randomAck(): number {
    if (this.#randomLeft === 0) {
      crypto.getRandomValues(this.#random);
      this.#randomLeft = this.#random.length;
    }
    return this.#random[--this.#randomLeft]!;
  }

  /** Waits for replies from now on. Throws where the sequence number is waited for already. */
  begin(conversation: Conversation): void {
    const { seq, id } = conversation.question;
    if (this.#going.has(seq)) {
      throw new RangeError(`Cannot ask ${idText(id)}: sequence number ${seq} is that of a request in flight`);
    }
    this.#going.set(seq, conversation);
  }

  /** Whether a conversation goes on. */
  going(conversation: Conversation): boolean {
    return this.#going.get(conversation.question.seq) === conversation;
  }

  /** Waits for no more replies. */
  end(conversation: Conversation, answered: boolean): void {
    const { question } = conversation;
    if (!this.going(conversation)) return;
    this.#going.delete(question.seq);
    this.#ended[question.seq % REMEMBERED] = { question, answered };
  }

  /** What the message is. Of a reply `read` makes the message that its conversation gets. */
  take(header: CnMsgHeader, from: Sender, read: () => ReceivedMessage): Verdict {
    const going = this.#going.get(header.seq);
    if (going !== undefined) {
      if (!answers(going.question, header)) return "new";
      if (!isAsked(going.question, from)) return "forged";
      going.onReply(read());
      return "reply";
    }
    const ended = this.#ended[header.seq % REMEMBERED];
    if (ended === undefined || ended.question.seq !== header.seq || !answers(ended.question, header)) {
      return "new";
    }
    if (!isAsked(ended.question, from)) return "forged";
    return ended.answered ? "duplicate" : "late";
  }

  /** Ends every conversation. */
  endAll(error: unknown): void {
    for (const conversation of [...this.#going.values()]) {
      this.end(conversation, false);
      conversation.onEnd(error);
    }
  }
}

function answers(question: PendingRequest, header: CnMsgHeader): boolean {
  if (!sameId(question.id, header.id)) return false;
  return question.isReply?.(header) ?? header.ack === ((question.ack + 1) >>> 0);
}

/** A group's members are programs, or the kernel where it sends to its group: whoever is believed. */
function isAsked(question: PendingRequest, from: Sender): boolean {
  return question.port === undefined || from.port === question.port;
}
