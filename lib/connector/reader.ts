import type { System } from "../../ffi/libc.ts";
import { assemble } from "../netlink/bpf.ts";
import { DatagramBatch, UNKNOWN_PORT } from "../netlink/datagram_batch.ts";
import { Receiver } from "../netlink/receiver.ts";
import type { NetlinkSocket } from "../netlink/socket.ts";
import { type CnMsgVisitor, visitCnMsgs } from "./datagram.ts";
import { type CnMsg, decodeCnMsg, MAX_DATAGRAM_BYTES } from "./message.ts";
import { type Sender, senderOf } from "./sender.ts";
import type { Counters } from "./stats.ts";

/** Each can hold the largest datagram, and takes memory only as far as it was ever filled. */
const SLOTS = 32;

/** Whom messages are received for. */
export interface Consumer {
  /** Whether the socket has to be read now. */
  readonly isWaiting: () => boolean;
  /** Called when a batch was received, before its messages. */
  readonly onBatch: () => void;
  /** Takes a message, whose payload is only valid during the call. */
  readonly onMessage: (message: CnMsg, from: Sender) => void;
  /** Called when the kernel dropped `count` datagrams behind the last message. */
  readonly onLost: (count: number) => void;
  /** Called after {@linkcode Reader.drain}, when everything has been read. */
  readonly onDrained: () => void;
  /** Called when the socket cannot be read any more. */
  readonly onFailure: (error: unknown) => void;
}

/** How messages are received. */
export interface ReaderOptions {
  /** Completes "Cannot …". */
  readonly action: string;
  readonly credentials: boolean;
  readonly latencyMs: number;
}

/** Reads a socket while its consumer waits for messages, and extracts these from their datagrams. */
export class Reader {
  readonly #socket: NetlinkSocket;
  readonly #datagrams: DatagramBatch;
  readonly #receiver: Receiver;
  readonly #counters: Counters;
  readonly #onCnMsg: CnMsgVisitor = (at, end) => {
    if (this.#isClosed) return;
    this.#counters.messages++;
    this.#consumer!.onMessage(decodeCnMsg(this.#datagrams.view, at, end), this.#from!);
  };
  #consumer: Consumer | undefined;
  /** The sender of the datagram that is being decoded. */
  #from: Sender | undefined;
  #drops: number;
  #isPumping = false;
  #isReadDue = false;
  #isDraining = false;
  #isClosed = false;

  constructor(
    system: System,
    socket: NetlinkSocket,
    { action, credentials, latencyMs }: ReaderOptions,
    counters: Counters,
  ) {
    this.#socket = socket;
    this.#datagrams = new DatagramBatch(system.libc, SLOTS, MAX_DATAGRAM_BYTES, credentials);
    const poller = system.replyPoller;
    this.#receiver = new Receiver({ poller }, socket, this.#datagrams, action, () => latencyMs);
    this.#counters = counters;
    this.#drops = socket.drops();
  }

  /** How often it was woken. */
  get wakeUps(): number {
    return this.#receiver.wakeUps;
  }

  /** Receives for this consumer from now on, whenever it waits and {@linkcode pump} was called. */
  receiveFor(consumer: Consumer): void {
    this.#consumer = consumer;
  }

  /** Receives for as long as the consumer waits. */
  pump(): void {
    if (this.#isPumping || !this.#isWanted()) return;
    this.#isPumping = true;
    // Not within the call that needs it: no callback runs inside an `addCallback` or a `request`.
    Promise.resolve().then(() => this.#receiveWhileWanted()).then(
      () => {
        this.#isPumping = false;
        this.pump();
      },
      (error) => {
        this.#isPumping = false;
        this.#consumer!.onFailure(error);
      },
    );
  }

  /** Reads once as soon as the running code has ended, and then as {@linkcode pump}. */
  readSoon(): void {
    if (this.#isReadDue) return;
    this.#isReadDue = true;
    const read = (): void => {
      this.#isReadDue = false;
      this.readNow();
      this.pump();
    };
    // The kernel replies at once: a program that sends request after request must not starve the event loop.
    if (this.#receiver.shouldYield) void this.#receiver.yieldToEventLoop().then(read);
    else queueMicrotask(read);
  }

  /** Reads what is queued, without waiting. */
  readNow(): void {
    try {
      for (let reads = 0; reads < 100 && this.#isWanted(); reads++) if (this.#read() === 0) return;
    } catch (error) {
      this.#consumer!.onFailure(error);
    }
  }

  /** Lets nothing more into the queue, and calls `onDrained` when what is in it has been read. */
  drain(): void {
    if (this.#isDraining) return;
    this.#isDraining = true;
    this.#socket.attachFilter(assemble([{ op: "drop" }]));
    this.#receiver.wake();
    this.pump();
  }

  /** Whether waiting for messages keeps the program alive, as it does at first. */
  keepAlive(alive: boolean): void {
    this.#receiver.keepAlive(alive);
  }

  /** Receives nothing more; the socket stays open. */
  close(): void {
    this.#isClosed = true;
    this.#receiver.close();
  }

  #isWanted(): boolean {
    return !this.#isClosed && this.#consumer!.isWaiting();
  }

  async #receiveWhileWanted(): Promise<void> {
    while (this.#isWanted()) {
      const isDraining = this.#isDraining; // before the read, so that nothing is left behind it
      const count = this.#read();
      if (this.#receiver.shouldYield) await this.#receiver.yieldToEventLoop();
      if (count > 0) continue;
      if (isDraining) return this.#consumer!.onDrained();
      if (!this.#isDraining) await this.#receiver.wait();
    }
  }

  /** Receives one batch of datagrams. Returns how many there were. */
  #read(): number {
    const count = this.#receiver.receive();
    this.#counters.received += count;
    if (count > 0) this.#consumer!.onBatch();
    for (let i = 0; i < count && !this.#isClosed; i++) this.#decode(i);
    // Datagrams that found no room belong behind the last that was queued.
    if (count < SLOTS && !this.#isClosed) this.#countDrops(this.#socket.drops());
    return count;
  }

  #decode(i: number): void {
    this.#from = senderOf(this.#datagrams, i);
    if (this.#from.port === UNKNOWN_PORT) this.#counters.malformed++;
    else this.#counters.malformed += visitCnMsgs(this.#datagrams, i, this.#onCnMsg);
  }

  #countDrops(drops: number): void {
    if (drops === this.#drops) return;
    const lost = (drops - this.#drops) >>> 0;
    this.#drops = drops;
    this.#counters.lost += lost;
    this.#consumer!.onLost(lost);
  }
}
