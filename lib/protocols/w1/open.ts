import { type Connector, openConnector } from "../../connector/connector.ts";
import type { CnMsgHeader } from "../../connector/message.ts";
import { checkConnector } from "../../connector/server.ts";
import {
  arrayOf,
  checkOptions,
  checkSignal,
  checkTimeoutMs,
  checkU32,
  type OptionChecks,
  wrongType,
} from "../../errors/arguments.ts";
import { TimeoutError } from "../../errors/timeout_error.ts";
import { CN_W1_IDX, CN_W1_VAL, W1_CN_BUNDLE, W1_LIST_MASTERS, W1_MASTER_CMD } from "./constants.ts";
import { w1EventsOf, type W1StreamEvent } from "./events.ts";
import {
  decodeMasterIds,
  decodeW1Messages,
  encodeW1Messages,
  masterIdBytes,
  type W1NetlinkMsg,
} from "./message.ts";
import { NOBODY_PRESENT } from "./explain_refusal.ts";
import { foundSlaves, isAnswer, W1Error, W1Replies, type W1Result, W1Transaction } from "./transaction.ts";
import { type AsyncStream, flatMapStream } from "../../stream.ts";

const ID = { idx: CN_W1_IDX, val: CN_W1_VAL } as const;

/** Options of {@linkcode openW1}. */
export interface W1Options {
  /** The connector to use; it stays open. Default: one of its own. */
  readonly connector?: Connector | undefined;
  /** Time limit in milliseconds for commands that are sent together. Default 5000: a byte takes about 1 ms. */
  readonly timeoutMs?: number | undefined;
  /** The port to send to. Default 0, the kernel; another port is a program that simulates it. */
  readonly port?: number | undefined;
}

/** Options of one request. */
export interface W1RequestOptions {
  /** Stops waiting and throws the signal's reason. The kernel finishes what it has begun. */
  readonly signal?: AbortSignal | undefined;
  /** As {@linkcode W1Options.timeoutMs}, for this request. */
  readonly timeoutMs?: number | undefined;
}

const REQUEST_OPTIONS: OptionChecks<W1RequestOptions> = { signal: checkSignal, timeoutMs: checkTimeoutMs };
const OPEN_OPTIONS: OptionChecks<W1Options> = {
  connector: checkConnector,
  timeoutMs: checkTimeoutMs,
  port: checkU32,
};

// Their constructors are private: users receive these and cannot make them.
let createW1: (connector: Connector, options: W1Options) => W1;
let createMaster: (w1: W1, id: number) => W1Master;
let createSlave: (w1: W1, id: string) => W1Slave;

/**
 * The kernel's 1-wire buses: their masters and slaves, their events, and commands to them. Only events before kernel 6.6
 * require a capability.
 */
export class W1 implements AsyncDisposable {
  readonly #connector: Connector;
  readonly #ours: boolean;
  readonly #port: number;
  readonly #timeoutMs: number;

  static {
    createW1 = (connector, options) => new W1(connector, options);
  }

  private constructor(connector: Connector, options: W1Options) {
    this.#connector = connector;
    this.#ours = options.connector === undefined;
    this.#port = options.port ?? 0;
    this.#timeoutMs = options.timeoutMs ?? 5000;
  }

  /** The numbers of the bus masters. */
  async masters(options: W1RequestOptions = {}): Promise<number[]> {
    // A long list comes in several messages, and nothing marks the last. An empty command list is sent after it: the
    // kernel refuses that once it has finished the list.
    const end: W1NetlinkMsg = {
      type: W1_MASTER_CMD,
      status: 0,
      id: masterIdBytes(0),
      data: new Uint8Array(),
    };
    const data = encodeW1Messages([{ ...end, type: W1_LIST_MASTERS }, end]);
    const ack = randomAck();
    const masters: number[] = [];
    let complete = false;
    await this.#sendRequest(data, ack, 0, options, "list the bus masters", (message) => {
      for (const { type, status, data } of decodeW1Messages(message)) {
        if (type === W1_LIST_MASTERS) masters.push(...decodeMasterIds(data));
        if (status !== 0) complete = true;
      }
      return complete;
    });
    return masters;
  }

  /** A bus master, by its number. Sends nothing. */
  master(master: number): W1Master {
    return createMaster(this, master);
  }

  /**
   * A slave that the kernel knows, by its name in sysfs. Sends nothing.
   *
   * @throws {TypeError} When the name is not of the form `"28-0000deadbe01"`.
   */
  slave(slave: string): W1Slave {
    return createSlave(this, slave);
  }

  /**
   * Sends a transaction. Its commands run on the bus without interruption.
   *
   * @returns The result of each command.
   * @throws {W1Error} When one failed.
   * @throws {TimeoutError} When the kernel did not answer in time.
   */
  async run(transaction: W1Transaction, options: W1RequestOptions = {}): Promise<W1Result[]> {
    checkTransaction(transaction, "transaction", "ask 1-wire");
    const [results] = await this.#runAll([transaction], 0, options);
    return results!;
  }

  /**
   * Sends several transactions in one message, to one target or several, and receives bundled replies: fewer messages,
   * and several buses work in parallel.
   *
   * @returns The result of each command of each transaction.
   * @throws As {@linkcode run}.
   */
  async runAll(
    transactions: readonly W1Transaction[],
    options: W1RequestOptions = {},
  ): Promise<W1Result[][]> {
    arrayOf(checkTransaction)(transactions, "transactions", "ask 1-wire");
    if (transactions.length === 0) return [];
    return await this.#runAll(transactions, W1_CN_BUNDLE, options);
  }

  /**
   * Masters and slaves that are added and removed, from this call on, even before the first `next`.
   *
   * @throws {SyscallError} EPERM if group 3 may not be joined: before kernel 6.6 that requires CAP_NET_ADMIN.
   */
  events(
    options: { readonly signal?: AbortSignal | undefined } = {},
  ): AsyncStream<W1StreamEvent> {
    checkOptions<typeof options>(options, { signal: checkSignal }, "watch 1-wire");
    const messages = this.#connector.messages({ groups: [CN_W1_IDX], signal: options.signal });
    return flatMapStream(messages, w1EventsOf);
  }

  /** Resolves when its connector is closed. Rejects with what closed that otherwise, as the reason of its signal. */
  get closed(): Promise<void> {
    return this.#connector.closed;
  }

  /** Closes the connector, unless it was passed in. */
  async close(): Promise<void> {
    if (this.#ours) await this.#connector.close();
  }

  /** As {@linkcode close}. */
  async [Symbol.asyncDispose](): Promise<void> {
    await this.close();
  }

  async #runAll(
    transactions: readonly W1Transaction[],
    flags: number,
    options: W1RequestOptions,
  ): Promise<W1Result[][]> {
    const data = encodeW1Messages(transactions.map((transaction) => transaction.message()));
    const ack = randomAck();
    const replies = new W1Replies(transactions, ack);
    const action = `ask ${transactions.map(({ target }) => target).join(", ")}`;
    await this.#sendRequest(data, ack, flags, options, action, (message, header) => {
      replies.addReply(header, message);
      return replies.complete;
    });
    return replies.resultsOrThrow();
  }

  /** Sends a request, and passes on every reply until `onReply` returns true. */
  async #sendRequest(
    data: Uint8Array,
    ack: number,
    flags: number,
    options: W1RequestOptions,
    action: string,
    onReply: (data: Uint8Array, header: CnMsgHeader) => boolean,
  ): Promise<void> {
    checkOptions(options, REQUEST_OPTIONS, action);
    const { timeoutMs = this.#timeoutMs, signal } = options;
    const replies = this.#connector.requestMany(ID, data, {
      port: this.#port,
      ack,
      flags,
      timeoutMs,
      signal,
      isReply: (header) => isAnswer(header, ack),
    });
    for await (const reply of replies) {
      if (onReply(reply.data, reply)) return;
    }
    throw new TimeoutError(action, timeoutMs);
  }
}

/** A bus master. */
export class W1Master {
  /** Its number: 1 is `w1_bus_master1` in sysfs. */
  readonly id: number;
  readonly #w1: W1;

  static {
    createMaster = (w1, id) => new W1Master(w1, id);
  }

  private constructor(w1: W1, id: number) {
    W1Transaction.forMaster(id); // throws
    this.#w1 = w1;
    this.id = id;
  }

  /** A new transaction for it; send it with {@linkcode W1.run}. */
  transaction(): W1Transaction {
    return W1Transaction.forMaster(this.id);
  }

  /** The slaves that the kernel knows; does not use the bus. */
  async slaves(options?: W1RequestOptions): Promise<string[]> {
    return await this.#find(this.transaction().listSlaves(), options);
  }

  /** Searches the bus for all slaves; the kernel adds new ones. The CRC of each is checked. */
  async search(options?: W1RequestOptions): Promise<string[]> {
    return await this.#find(this.transaction().search(), options);
  }

  /** Searches for slaves in the alarm state. */
  async alarmSearch(options?: W1RequestOptions): Promise<string[]> {
    return await this.#find(this.transaction().alarmSearch(), options);
  }

  /** Resets the bus; returns whether any slave is present. */
  async reset(options?: W1RequestOptions): Promise<boolean> {
    try {
      await this.#w1.run(this.transaction().reset(), options);
      return true;
    } catch (error) {
      if (error instanceof W1Error && error.status === NOBODY_PRESENT) return false;
      throw error;
    }
  }

  /** Reads `bytes` bytes from the bus without selecting a slave; mostly useful in a transaction, after a reset and a write. */
  async read(bytes: number, options?: W1RequestOptions): Promise<Uint8Array> {
    return await readOne(this.#w1, this.transaction().read(bytes), options);
  }

  /** Writes bytes to the bus without selecting a slave. */
  async write(data: Uint8Array, options?: W1RequestOptions): Promise<void> {
    await this.#w1.run(this.transaction().write(data), options);
  }

  /** Writes each bit and reads it in the same time slot; returns what was read. */
  async touch(data: Uint8Array, options?: W1RequestOptions): Promise<Uint8Array> {
    return await readOne(this.#w1, this.transaction().touch(data), options);
  }

  /** Adds a slave to those that the kernel knows. */
  async addSlave(slave: string, options?: W1RequestOptions): Promise<void> {
    await this.#w1.run(this.transaction().addSlave(slave), options);
  }

  /** Removes a slave from those that the kernel knows. */
  async removeSlave(slave: string, options?: W1RequestOptions): Promise<void> {
    await this.#w1.run(this.transaction().removeSlave(slave), options);
  }

  async #find(transaction: W1Transaction, options: W1RequestOptions | undefined): Promise<string[]> {
    const [result] = await this.#w1.run(transaction, options);
    return foundSlaves(transaction.target, result!);
  }
}

/** A slave that the kernel knows. Each request first selects it on the bus. */
export class W1Slave {
  /** Its name in sysfs: `"28-0000deadbe01"`. */
  readonly id: string;
  readonly #w1: W1;

  static {
    createSlave = (w1, id) => new W1Slave(w1, id);
  }

  private constructor(w1: W1, id: string) {
    W1Transaction.forSlave(id); // throws
    this.#w1 = w1;
    this.id = id;
  }

  /** A new transaction for it; send it with {@linkcode W1.run}. */
  transaction(): W1Transaction {
    return W1Transaction.forSlave(this.id);
  }

  /** Selects the slave and reads. */
  async read(bytes: number, options?: W1RequestOptions): Promise<Uint8Array> {
    return await readOne(this.#w1, this.transaction().read(bytes), options);
  }

  /** Selects the slave and writes. */
  async write(data: Uint8Array, options?: W1RequestOptions): Promise<void> {
    await this.#w1.run(this.transaction().write(data), options);
  }

  /** Selects the slave, writes a command to it and reads the reply. */
  async query(command: Uint8Array, bytes: number, options?: W1RequestOptions): Promise<Uint8Array> {
    return await readOne(this.#w1, this.transaction().write(command).read(bytes), options);
  }

  /** Selects the slave, writes each bit and reads it in the same time slot. */
  async touch(data: Uint8Array, options?: W1RequestOptions): Promise<Uint8Array> {
    return await readOne(this.#w1, this.transaction().touch(data), options);
  }
}

/**
 * Opens the kernel's 1-wire buses.
 *
 * @throws {UnsupportedError} When the kernel has no connector, or libc cannot be called. Without 1-wire in the kernel the
 * first request fails with a SyscallError, ENODEV.
 * @example
 * ```ts ignore
 * import { openW1 } from "kernel-connector/w1";
 *
 * await using w1 = await openW1();
 * for (const number of await w1.masters()) {
 *   for (const slave of await w1.master(number).search()) console.log(number, slave);
 * }
 * ```
 */
export async function openW1(options: W1Options = {}): Promise<W1> {
  checkOptions(options, OPEN_OPTIONS, "open 1-wire");
  return createW1(options.connector ?? await openConnector(), options);
}

function checkTransaction(value: unknown, name: string, action: string): void {
  if (!(value instanceof W1Transaction)) throw wrongType(value, name, "a W1Transaction", action);
}

/** The data of the last command. */
async function readOne(
  w1: W1,
  transaction: W1Transaction,
  options: W1RequestOptions | undefined,
): Promise<Uint8Array> {
  const results = await w1.run(transaction, options);
  return results.at(-1)!.data;
}

/** Statuses repeat it. With a chance of 1 in 2^32 it equals the sequence number plus one, which marks data. */
function randomAck(): number {
  return crypto.getRandomValues(new Uint32Array(1))[0]!;
}
