import type { CnMsgHeader } from "../../connector/message.ts";
import { checkBytes, checkU16, checkU32, integer } from "../../errors/arguments.ts";
import { ERRNO, errnoName } from "../../errors/errno.ts";
import {
  W1_CMD_ALARM_SEARCH,
  W1_CMD_LIST_SLAVES,
  W1_CMD_READ,
  W1_CMD_RESET,
  W1_CMD_SEARCH,
  W1_CMD_SLAVE_ADD,
  W1_CMD_SLAVE_REMOVE,
  W1_CMD_TOUCH,
  W1_CMD_WRITE,
  W1_COMMAND_NAMES,
  W1_MASTER_CMD,
  W1_SLAVE_CMD,
} from "./constants.ts";
import {
  decodeW1Commands,
  decodeW1Messages,
  encodeW1Commands,
  formatSlaveId,
  holdsCommands,
  isValidSlaveId,
  masterIdBytes,
  parseSlaveId,
  W1_REG_NUM_BYTES,
  type W1NetlinkCmd,
  type W1NetlinkMsg,
} from "./message.ts";
import { describeFailure, explainRefusal, NOBODY_PRESENT } from "./explain_refusal.ts";

/** The result of one command. */
export interface W1Result {
  /** The command's name: `"read"`. */
  readonly command: string;
  /** 0, or an errno; 255 for a reset that no slave answered; undefined if the command was not executed. */
  readonly status: number | undefined;
  /** What was read, or the slaves that a search found, eight bytes each; else empty. */
  readonly data: Uint8Array;
}

/**
 * The kernel or the bus refused a command. The commands before it were executed, and usually those after it, too:
 * see `results`.
 *
 * @example
 * ```ts
 * import assert from "node:assert/strict";
 * import { W1Error } from "kernel-connector/w1";
 *
 * const error = new W1Error("read from 28-0000deadbe01", 19, "it is not there", []);
 * assert.equal(error.message, "Cannot read from 28-0000deadbe01: it is not there (ENODEV)");
 * ```
 */
export class W1Error extends Error {
  /** Always `"W1Error"`. */
  override readonly name = "W1Error";
  /** The kernel's status: a positive errno, or 255 for a reset that no slave answered. */
  readonly status: number;
  /** The name of the status: `"ENODEV"`. */
  readonly code: string;
  /** The results of all commands that were sent together. */
  readonly results: readonly W1Result[];

  /** `action` completes "Cannot …". */
  constructor(action: string, status: number, explanation: string, results: readonly W1Result[]) {
    const code = status === NOBODY_PRESENT ? "nobody present" : errnoName(status);
    super(`Cannot ${action}: ${explanation} (${code})`);
    this.status = status;
    this.code = code;
    this.results = results;
  }
}

/**
 * Commands for one bus master or one slave that run without interruption. Before the commands for a slave the kernel
 * resets the bus and selects the slave.
 *
 * Each method adds a command and returns the transaction; {@linkcode W1.run} sends it.
 */
export class W1Transaction {
  /** `"master 1"` or `"28-0000deadbe01"`. */
  readonly target: string;
  readonly #type: number;
  readonly #id: Uint8Array;
  readonly #commands: W1NetlinkCmd[] = [];

  private constructor(target: string, type: number, id: Uint8Array) {
    this.target = target;
    this.#type = type;
    this.#id = id;
  }

  /** For a bus master, by its number. */
  static forMaster(master: number): W1Transaction {
    checkU32(master, "master", "address a bus master");
    return new W1Transaction(`master ${master}`, W1_MASTER_CMD, masterIdBytes(master));
  }

  /**
   * For a slave that the kernel knows, by its name in sysfs.
   *
   * @throws {TypeError} When the name is not of the form `"28-0000deadbe01"`.
   */
  static forSlave(slave: string): W1Transaction {
    return new W1Transaction(slave, W1_SLAVE_CMD, parseSlaveId(slave));
  }

  /** The number of commands. */
  get length(): number {
    return this.#commands.length;
  }

  /** Resets the bus, so that all slaves listen. For masters. */
  reset(): this {
    return this.add(W1_CMD_RESET);
  }

  /** Reads `bytes` bytes. */
  read(bytes: number): this {
    checkU16(bytes, "bytes", `read from ${this.target}`);
    return this.add(W1_CMD_READ, new Uint8Array(bytes));
  }

  /** Writes bytes. */
  write(data: Uint8Array): this {
    return this.add(W1_CMD_WRITE, data);
  }

  /** Writes each bit and reads it in the same time slot; 0xff only reads. */
  touch(data: Uint8Array): this {
    return this.add(W1_CMD_TOUCH, data);
  }

  /** Searches for all slaves; the kernel adds new ones. For masters. */
  search(): this {
    return this.add(W1_CMD_SEARCH);
  }

  /** Searches for slaves in the alarm state. For masters. */
  alarmSearch(): this {
    return this.add(W1_CMD_ALARM_SEARCH);
  }

  /** Lists the slaves that the kernel knows; does not use the bus. For masters. */
  listSlaves(): this {
    return this.add(W1_CMD_LIST_SLAVES);
  }

  /** Adds a slave to those that the kernel knows. For masters. */
  addSlave(slave: string): this {
    return this.add(W1_CMD_SLAVE_ADD, parseSlaveId(slave));
  }

  /** Removes a slave from those that the kernel knows. For masters. */
  removeSlave(slave: string): this {
    return this.add(W1_CMD_SLAVE_REMOVE, parseSlaveId(slave));
  }

  /** Adds any command, by its number. */
  add(cmd: number, data: Uint8Array = new Uint8Array()): this {
    const action = `ask ${this.target}`;
    integer(0, 255)(cmd, "cmd", action);
    checkBytes(data, "data", action);
    this.#commands.push({ cmd, res: 0, data: data.slice() });
    return this;
  }

  /** The commands so far. */
  commands(): readonly W1NetlinkCmd[] {
    return this.#commands;
  }

  /**
   * The message that carries the commands.
   *
   * @throws {RangeError} When there are none, or too many for one message.
   */
  message(): W1NetlinkMsg {
    if (this.#commands.length === 0) throw new RangeError(`Cannot ask ${this.target}: there are no commands`);
    return { type: this.#type, status: 0, id: this.#id, data: encodeW1Commands(this.#commands) };
  }
}

/**
 * Collects the replies to transactions that were sent together in one connector message. For a command that reads or
 * searches the kernel sends the data (`ack` is the request's `seq` + 1), in several parts if it is long, and then for
 * each command its status (`ack` is the request's `ack`). This follows the kernel's code; its document differs.
 */
export class W1Replies {
  readonly #parts: readonly TransactionReplies[];
  readonly #ack: number;

  /** `ack` is the one that the request is sent with; it must not be `seq` + 1. */
  constructor(transactions: readonly W1Transaction[], ack: number) {
    this.#parts = transactions.map((transaction) => new TransactionReplies(transaction));
    this.#ack = ack;
  }

  /** Whether no more replies will come. */
  get complete(): boolean {
    return this.#parts.every((part) => part.complete);
  }

  /** The results of each transaction's commands so far. */
  results(): W1Result[][] {
    return this.#parts.map((part) => part.results());
  }

  /**
   * Adds a reply.
   *
   * @throws {DecodeError} When it is not a message of the protocol.
   */
  addReply(header: CnMsgHeader, data: Uint8Array): void {
    const isStatus = header.ack === this.#ack;
    for (const message of decodeW1Messages(data)) {
      const index = this.#parts.findIndex((part) => part.expects(message));
      if (index < 0) continue;
      const commands = holdsCommands(message) ? decodeW1Commands(message.data) : [];
      if (commands.length === 0) this.#refuseFrom(index, message.status);
      for (const command of commands) {
        if (isStatus) this.#parts[index]!.addStatus(command, message.status);
        else this.#parts[index]!.addData(command);
      }
    }
  }

  /**
   * The results of each transaction.
   *
   * @throws {W1Error} For the first command that failed.
   */
  resultsOrThrow(): W1Result[][] {
    const results = this.results();
    const all = results.flat();
    for (const [i, part] of this.#parts.entries()) {
      const { target } = part;
      if (part.refusal !== undefined) {
        throw new W1Error(`ask ${target}`, part.refusal, explainRefusal(target, part.refusal), all);
      }
      const failed = results[i]!.findIndex(({ status }) => status !== 0);
      if (failed < 0) continue;
      const { command, status = ERRNO.EIO! } = results[i]![failed]!;
      const action = describeFailure(command, target, part.dataSent(failed));
      throw new W1Error(action, status, explainRefusal(target, status, command), all);
    }
    return results;
  }

  /** A whole message was refused: the kernel continues with the next ones only if the target was not found. */
  #refuseFrom(index: number, status: number): void {
    const last = status === ERRNO.ENODEV! ? index : this.#parts.length - 1;
    for (let i = index; i <= last; i++) this.#parts[i]!.refuse(status);
  }
}

/** Whether a message with the `seq` of a request that was sent with `ack` is a reply to it: data or a status. */
export function isAnswer(header: CnMsgHeader, ack: number): boolean {
  return header.ack === ack || header.ack === ((header.seq + 1) >>> 0);
}

/** The replies to one transaction. */
class TransactionReplies {
  readonly target: string;
  readonly #message: W1NetlinkMsg;
  readonly #commands: readonly W1NetlinkCmd[];
  readonly #statuses: number[] = [];
  readonly #data: Uint8Array[][];
  refusal: number | undefined;

  constructor(transaction: W1Transaction) {
    this.target = transaction.target;
    this.#message = transaction.message();
    this.#commands = transaction.commands();
    this.#data = this.#commands.map(() => []);
  }

  get complete(): boolean {
    return this.refusal !== undefined || this.#statuses.length === this.#commands.length;
  }

  /** The data that a command was sent with. */
  dataSent(index: number): Uint8Array {
    return this.#commands[index]!.data;
  }

  expects({ type, id }: W1NetlinkMsg): boolean {
    return !this.complete && type === this.#message.type &&
      id.every((byte, i) => byte === this.#message.id[i]);
  }

  addStatus({ cmd }: W1NetlinkCmd, status: number): void {
    if (this.#commands[this.#statuses.length]?.cmd !== cmd) return;
    // After a slave does not answer, the rest is skipped: there is only this status.
    if (this.#message.type === W1_SLAVE_CMD && status === ERRNO.ENODEV!) this.refusal = status;
    else this.#statuses.push(status);
  }

  addData({ cmd, data }: W1NetlinkCmd): void {
    const index = this.#statuses.length;
    if (this.#commands[index]?.cmd === cmd) this.#data[index]!.push(data.slice());
  }

  refuse(status: number): void {
    this.refusal ??= status;
  }

  results(): W1Result[] {
    return this.#commands.map(({ cmd }, i) => ({
      command: W1_COMMAND_NAMES[cmd] ?? `command ${cmd}`,
      status: this.#statuses[i] ?? this.refusal,
      data: concatenate(this.#data[i]!),
    }));
  }
}

/**
 * The slaves that a search found, as names in sysfs.
 *
 * @throws {W1Error} EBADMSG when the CRC of one is wrong because of noise on the bus: search again.
 */
export function foundSlaves(target: string, result: W1Result): string[] {
  const slaves: string[] = [];
  for (let at = 0; at < result.data.length; at += W1_REG_NUM_BYTES) {
    const id = result.data.subarray(at, at + W1_REG_NUM_BYTES);
    if (!isValidSlaveId(id)) {
      const explanation = "the CRC of a slave that it found is wrong: there is noise on the bus";
      throw new W1Error(describeFailure(result.command, target, result.data), ERRNO.EBADMSG!, explanation, [
        result,
      ]);
    }
    slaves.push(formatSlaveId(id));
  }
  return slaves;
}

function concatenate(parts: readonly Uint8Array[]): Uint8Array {
  if (parts.length === 1) return parts[0]!;
  const out = new Uint8Array(parts.reduce((sum, part) => sum + part.length, 0));
  let at = 0;
  for (const part of parts) {
    out.set(part, at);
    at += part.length;
  }
  return out;
}
