import type { System } from "../../ffi/libc.ts";
import { Receiver } from "../netlink/receiver.ts";
import { DatagramBatch, UNKNOWN_PORT } from "../netlink/datagram_batch.ts";
import type { NetlinkSocket } from "../netlink/socket.ts";
import { type CnMsgVisitor, visitCnMsgs } from "./datagram.ts";
import { type CnMsg, decodeCnMsg, MAX_DATAGRAM_BYTES } from "./message.ts";
import { type Sender, senderOf } from "./sender.ts";
import type { Counters } from "./stats.ts";

/** Each can hold the largest datagram, and takes memory only as far as it was ever filled. */
const SLOTS = 32;

/** For whom is received, and what it is told. */
export interface ReceptionHooks {
  /** Whether somebody needs the socket to be read now. */
  readonly needed: () => boolean;
  /** A message, which lies in the ring: whoever keeps it makes a copy. */
  readonly onMessage: (message: CnMsg, from: Sender) => void;
  /** So many datagrams found no room behind those that were told. */
  readonly onLost: (count: number) => void;
  /** The socket cannot be read any more. */
  readonly onFailure: (error: unknown) => void;
}

/** How it is received. */
export interface ReceptionOptions {
  /** Completes "Cannot …". */
  readonly action: string;
  readonly credentials: boolean;
  readonly latencyMs: number;
}

/** Reads a socket for as long as somebody needs it, and takes the messages out of its datagrams. */
export class Reader {
  readonly #socket: NetlinkSocket;
  readonly #datagrams: DatagramBatch;
  readonly #receiver: Receiver;
  readonly #count: Counters;
  readonly #hooks: ReceptionHooks;
  readonly #onCnMsg: CnMsgVisitor = (at, end) => {
    if (this.#closed) return;
    this.#count.messages++;
    this.#hooks.onMessage(decodeCnMsg(this.#datagrams.view, at, end), this.#from!);
  };
  /** The sender of the datagram that is being decoded. */
  #from: Sender | undefined;
  #drops: number;
  #pumping = false;
  #lookDue = false;
  #closed = false;

  constructor(
    system: System,
    socket: NetlinkSocket,
    { action, credentials, latencyMs }: ReceptionOptions,
    count: Counters,
    hooks: ReceptionHooks,
  ) {
    this.#socket = socket;
    this.#datagrams = new DatagramBatch(system.libc, SLOTS, MAX_DATAGRAM_BYTES, credentials);
    this.#receiver = new Receiver(system, socket, this.#datagrams, action, () => latencyMs);
    this.#count = count;
    this.#hooks = hooks;
    this.#drops = socket.drops();
  }

  /** How often the poller woke us. */
  get wakeUps(): number {
    return this.#receiver.wakeUps;
  }

  /** Receives from now on, until nobody needs it any more. */
  pump(): void {
    if (this.#pumping || !this.#needed()) return;
    this.#pumping = true;
    // Not within the call that asks for it: nobody's callback runs inside of an `addCallback` or a `request`.
    Promise.resolve().then(() => this.#receiveWhileNeeded()).then(
      () => {
        this.#pumping = false;
        this.pump();
      },
      (error) => {
        this.#pumping = false;
        this.#hooks.onFailure(error);
      },
    );
  }

  /** Looks once, after what runs now; then waits as long as it takes. */
  lookSoon(): void {
    if (this.#lookDue) return;
    this.#lookDue = true;
    const look = (): void => {
      this.#lookDue = false;
      this.drain();
      this.pump();
    };
    // Questions to the kernel are answered at once: who asks on and on would leave the event loop no turn.
    if (this.#receiver.shouldYield) void this.#receiver.yieldToEventLoop().then(look);
    else queueMicrotask(look);
  }

  /** Takes what is queued, without waiting. */
  drain(): void {
    try {
      for (let looks = 0; looks < 100 && this.#needed(); looks++) if (this.#take() === 0) return;
    } catch (error) {
      this.#hooks.onFailure(error);
    }
  }

  /** Whether waiting for messages keeps the program alive, as it does at first. */
  keepAlive(alive: boolean): void {
    this.#receiver.keepAlive(alive);
  }

  /** Receives nothing any more; the socket stays open. */
  close(): void {
    this.#closed = true;
    this.#receiver.close();
  }

  #needed(): boolean {
    return !this.#closed && this.#hooks.needed();
  }

  async #receiveWhileNeeded(): Promise<void> {
    while (this.#needed()) {
      const count = this.#take();
      if (this.#receiver.shouldYield) await this.#receiver.yieldToEventLoop();
      if (count === 0) await this.#receiver.wait();
    }
  }

  /** One look into the socket. Answers how many datagrams there were. */
  #take(): number {
    const count = this.#receiver.receive();
    this.#count.received += count;
    for (let i = 0; i < count && !this.#closed; i++) this.#decode(i);
    // Behind the last queued datagram stand those that found no room.
    if (count < SLOTS && !this.#closed) this.#settle(this.#socket.drops());
    return count;
  }

  #settle(drops: number): void {
    if (drops === this.#drops) return;
    const lost = (drops - this.#drops) >>> 0;
    this.#drops = drops;
    this.#count.lost += lost;
    this.#hooks.onLost(lost);
  }

  #decode(i: number): void {
    this.#from = senderOf(this.#datagrams, i);
    if (this.#from.port === UNKNOWN_PORT) this.#count.malformed++;
    else this.#count.malformed += visitCnMsgs(this.#datagrams, i, this.#onCnMsg);
  }
}
