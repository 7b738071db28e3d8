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
  masterIdBytes,
  parseSlaveId,
  slaveIdIsSound,
  W1_REG_NUM_BYTES,
  type W1NetlinkCmd,
  type W1NetlinkMsg,
} from "./message.ts";
import { explainRefusal, NOBODY_PRESENT, whatFailed } from "./explain_refusal.ts";

/** What came of one command. */
export interface W1Result {
  /** The command's name: `"read"`. */
  readonly command: string;
  /** 0, or the kernel's error number; 255 for a reset that nobody answered; undefined where it was not carried out. */
  readonly status: number | undefined;
  /** What was read, or what a search found, eight bytes each. Empty for the others. */
  readonly data: Uint8Array;
}

/**
 * A command that the kernel, or the bus, refused. The commands before it were carried out, and mostly those after it,
 * too: `results` says which.
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
  /** The kernel's status: a positive error number, or 255 for a reset that nobody answered. */
  readonly status: number;
  /** The name of the status: `"ENODEV"`. */
  readonly code: string;
  /** What came of all commands that were sent together. */
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
 * Commands for one bus master, or one slave, that nothing comes between. To a slave's commands the kernel puts a reset
 * and the choice of that slave before the first.
 *
 * Each method adds a command and answers the transaction itself; what it is run by sends them all.
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
   * For a slave that the kernel knows, by the name that sysfs has for it.
   *
   * @throws {TypeError} When the name is not of the form `"28-0000deadbe01"`.
   */
  static forSlave(slave: string): W1Transaction {
    return new W1Transaction(slave, W1_SLAVE_CMD, parseSlaveId(slave));
  }

  /** How many commands it has. */
  get length(): number {
    return this.#commands.length;
  }

  /** Resets the bus: all slaves listen. For masters. */
  reset(): this {
    return this.add(W1_CMD_RESET);
  }

  /** Reads so many bytes. */
  read(bytes: number): this {
    checkU16(bytes, "bytes", `read from ${this.target}`);
    return this.add(W1_CMD_READ, new Uint8Array(bytes));
  }

  /** Writes bytes. */
  write(data: Uint8Array): this {
    return this.add(W1_CMD_WRITE, data);
  }

  /** Writes each bit and reads it in the same time slot: with 0xff it only reads. */
  touch(data: Uint8Array): this {
    return this.add(W1_CMD_TOUCH, data);
  }

  /** Finds all slaves, and lets the kernel know those that are new. For masters. */
  search(): this {
    return this.add(W1_CMD_SEARCH);
  }

  /** Finds the slaves that have an alarm. For masters. */
  alarmSearch(): this {
    return this.add(W1_CMD_ALARM_SEARCH);
  }

  /** The slaves that the kernel knows, without use of the bus. For masters. */
  listSlaves(): this {
    return this.add(W1_CMD_LIST_SLAVES);
  }

  /** Makes the kernel know a slave. For masters. */
  addSlave(slave: string): this {
    return this.add(W1_CMD_SLAVE_ADD, parseSlaveId(slave));
  }

  /** Makes the kernel forget a slave. For masters. */
  removeSlave(slave: string): this {
    return this.add(W1_CMD_SLAVE_REMOVE, parseSlaveId(slave));
  }

  /** Any command, by its number. */
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
   * The message that carries them.
   *
   * @throws {RangeError} When there are none, or more than fit.
   */
  message(): W1NetlinkMsg {
    if (this.#commands.length === 0) throw new RangeError(`Cannot ask ${this.target}: there are no commands`);
    return { type: this.#type, status: 0, id: this.#id, data: encodeW1Commands(this.#commands) };
  }
}

/**
 * The answers to transactions that were sent together in one connector message. The kernel answers a command that reads
 * or searches with data (`ack` is the request's `seq` + 1), in several parts if they are many, and then each command
 * with its status (`ack` is the request's `ack`). That is what its code does; its document says otherwise.
 */
export class W1Answers {
  readonly #parts: readonly Part[];
  readonly #ack: number;

  /** `ack` is what the request is sent with: it must not be `seq` + 1. */
  constructor(transactions: readonly W1Transaction[], ack: number) {
    this.#parts = transactions.map((transaction) => new Part(transaction));
    this.#ack = ack;
  }

  /** Whether nothing more will come. */
  get complete(): boolean {
    return this.#parts.every((part) => part.complete);
  }

  /** What came of each transaction's commands so far. */
  results(): W1Result[][] {
    return this.#parts.map((part) => part.results());
  }

  /**
   * Takes an answer.
   *
   * @throws {DecodeError} When it is not a message of the protocol.
   */
  take(header: CnMsgHeader, data: Uint8Array): void {
    const isStatus = header.ack === this.#ack;
    for (const message of decodeW1Messages(data)) {
      const index = this.#parts.findIndex((part) => part.expects(message));
      if (index < 0) continue;
      const commands = holdsCommands(message) ? decodeW1Commands(message.data) : [];
      if (commands.length === 0) this.#unsupported(index, message.status);
      for (const command of commands) {
        if (isStatus) this.#parts[index]!.takeStatus(command, message.status);
        else this.#parts[index]!.takeData(command);
      }
    }
  }

  /**
   * What each transaction read and found.
   *
   * @throws {W1Error} For the first command that failed.
   */
  finish(): W1Result[][] {
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
      const action = whatFailed(command, target, part.asked(failed));
      throw new W1Error(action, status, explainRefusal(target, status, command), all);
    }
    return results;
  }

  /** A message as a whole was refused: the kernel looks at those behind it only when its target was not found. */
  #unsupported(index: number, status: number): void {
    const last = status === ERRNO.ENODEV! ? index : this.#parts.length - 1;
    for (let i = index; i <= last; i++) this.#parts[i]!.unsupported(status);
  }
}

/** Whether a message with the `seq` of a request that was sent with `ack` is an answer to it: its data, or a status. */
export function isAnswer(header: CnMsgHeader, ack: number): boolean {
  return header.ack === ack || header.ack === ((header.seq + 1) >>> 0);
}

/** The answers to one transaction. */
class Part {
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

  /** What a command was sent with. */
  asked(index: number): Uint8Array {
    return this.#commands[index]!.data;
  }

  expects({ type, id }: W1NetlinkMsg): boolean {
    return !this.complete && type === this.#message.type &&
      id.every((byte, i) => byte === this.#message.id[i]);
  }

  takeStatus({ cmd }: W1NetlinkCmd, status: number): void {
    if (this.#commands[this.#statuses.length]?.cmd !== cmd) return;
    // A slave that does not answer is not asked further, and there is one status only.
    if (this.#message.type === W1_SLAVE_CMD && status === ERRNO.ENODEV!) this.refusal = status;
    else this.#statuses.push(status);
  }

  takeData({ cmd, data }: W1NetlinkCmd): void {
    const index = this.#statuses.length;
    if (this.#commands[index]?.cmd === cmd) this.#data[index]!.push(data.slice());
  }

  unsupported(status: number): void {
    this.refusal ??= status;
  }

  results(): W1Result[] {
    return this.#commands.map(({ cmd }, i) => ({
      command: W1_COMMAND_NAMES[cmd] ?? `command ${cmd}`,
      status: this.#statuses[i] ?? this.refusal,
      data: joined(this.#data[i]!),
    }));
  }
}

/**
 * The slaves that a search found, as sysfs prints them.
 *
 * @throws {W1Error} EBADMSG when the CRC of one is wrong, which noise on the bus does: search again.
 */
export function foundSlaves(target: string, result: W1Result): string[] {
  const slaves: string[] = [];
  for (let at = 0; at < result.data.length; at += W1_REG_NUM_BYTES) {
    const id = result.data.subarray(at, at + W1_REG_NUM_BYTES);
    if (!slaveIdIsSound(id)) {
      const explanation = "the CRC of what it found is wrong, there is noise on the bus";
      throw new W1Error(whatFailed(result.command, target, result.data), ERRNO.EBADMSG!, explanation, [
        result,
      ]);
    }
    slaves.push(formatSlaveId(id));
  }
  return slaves;
}

function joined(parts: readonly Uint8Array[]): Uint8Array {
  if (parts.length === 1) return parts[0]!;
  const out = new Uint8Array(parts.reduce((sum, part) => sum + part.length, 0));
  let at = 0;
  for (const part of parts) {
    out.set(part, at);
    at += part.length;
  }
  return out;
}
