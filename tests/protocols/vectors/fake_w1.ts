import type { Connector } from "../../../lib/connector/connector.ts";
import type { ReceivedMessage } from "../../../lib/connector/sender.ts";
import * as c from "../../../lib/protocols/w1/constants.ts";
import {
  decodeW1Commands,
  decodeW1Messages,
  encodeW1Commands,
  encodeW1Messages,
  formatSlaveId,
  masterIdOf,
  parseSlaveId,
  type W1NetlinkCmd,
  type W1NetlinkMsg,
} from "../../../lib/protocols/w1/message.ts";

const ID = { idx: c.CN_W1_IDX, val: c.CN_W1_VAL };
const none = new Uint8Array();

/** Simulates the driver: which messages it sends, with which numbers, according to its code and to captures. */
export class FakeW1Driver {
  readonly #connector: Connector;
  /** Masters and the slaves on each. */
  readonly masters = new Map<number, string[]>([[1, [
    "28-0000deadbe02",
    "28-0000deadbe01",
    "01-000012345678",
  ]]]);
  /** The bytes that reads return, in order. */
  readonly reads: number[] = [];
  /** What was written, byte by byte. */
  readonly written: number[] = [];
  /** Slaves that the kernel knows and that do not answer. */
  readonly silent = new Set<string>();
  /** How many slaves fit in the reply to a search. */
  slavesPerReply = 2;
  /** How many masters fit in a reply. */
  mastersPerReply = 2;
  /** Whether any slave answers a reset. */
  present = true;
  /** Requests that are not answered at all. */
  mute = false;
  requests = 0;

  constructor(connector: Connector) {
    this.#connector = connector;
    connector.addCallback(ID, "w1", (message) => this.#take(message));
  }

  /** Sends events to the group, in one message. */
  event(type: number, ...ids: Uint8Array[]): void {
    const messages = ids.map((id) => ({ type, status: 0, id, data: none }));
    this.#connector.send(ID, encodeW1Messages(messages), { group: ID.idx, seq: 1, ack: 0 });
  }

  #take(message: ReceivedMessage): void {
    this.requests++;
    if (this.mute) return;
    for (const part of decodeW1Messages(message.data)) {
      const errno = this.#carryOut(message, part);
      if (errno === 0) continue;
      this.#send(message, message.ack, { ...part, status: errno, data: none });
      if (errno !== 19) return;
    }
  }

  /** Returns the errno with which the whole message is refused, or 0. */
  #carryOut(message: ReceivedMessage, part: W1NetlinkMsg): number {
    if (part.type === c.W1_LIST_MASTERS) {
      const masters = [...this.masters.keys()];
      do {
        const some = masters.splice(0, this.mastersPerReply);
        const data = new Uint8Array(new Uint32Array(some).buffer);
        this.#send(message, message.seq + 1, { ...part, data });
      } while (masters.length > 0);
      return 0;
    }
    if (part.data.length === 0) return 71;
    let slave: string | undefined;
    let slaves: string[] | undefined;
    if (part.type === c.W1_MASTER_CMD) slaves = this.masters.get(masterIdOf(part));
    else {
      slave = formatSlaveId(part.id);
      slaves = [...this.masters.values()].find((slaves) => slaves.includes(slave!));
    }
    if (slaves === undefined) return 19;
    const commands = decodeW1Commands(part.data);
    if (slave !== undefined && this.silent.has(slave)) {
      this.#reply(message, message.ack, { ...part, status: 19 }, { ...commands[0]!, data: none });
      return 0;
    }
    for (const command of commands) this.#command(message, part, command, slaves);
    return 0;
  }

  #command(message: ReceivedMessage, part: W1NetlinkMsg, command: W1NetlinkCmd, slaves: string[]): void {
    const data = (bytes: Uint8Array) =>
      this.#reply(message, message.seq + 1, part, { ...command, data: bytes });
    let status = 0;
    switch (command.cmd) {
      case c.W1_CMD_READ:
      case c.W1_CMD_TOUCH:
        data(command.data.map(() => this.reads.shift() ?? 0xff));
        break;
      case c.W1_CMD_WRITE:
        this.written.push(...command.data);
        break;
      case c.W1_CMD_SEARCH:
      case c.W1_CMD_ALARM_SEARCH:
      case c.W1_CMD_LIST_SLAVES: {
        const found = command.cmd === c.W1_CMD_ALARM_SEARCH ? slaves.slice(0, 1) : [...slaves];
        do {
          data(
            Uint8Array.from(
              found.splice(0, this.slavesPerReply).flatMap((slave) => [...parseSlaveId(slave)]),
            ),
          );
        } while (found.length > 0);
        break;
      }
      case c.W1_CMD_RESET:
        // What the driver sends by mistake.
        this.#connector.send({ idx: 0, val: 0 }, none, { port: message.from.port, seq: 0, ack: 0 });
        status = this.present ? 0 : 255;
        break;
      case c.W1_CMD_SLAVE_ADD:
      case c.W1_CMD_SLAVE_REMOVE: {
        const slave = formatSlaveId(command.data);
        const known = slaves.indexOf(slave);
        if ((known >= 0) === (command.cmd === c.W1_CMD_SLAVE_ADD)) status = 22;
        else if (known >= 0) slaves.splice(known, 1);
        else slaves.push(slave);
        break;
      }
      default:
        status = 22;
    }
    this.#reply(message, message.ack, { ...part, status }, { ...command, data: none });
  }

  #reply(message: ReceivedMessage, ack: number, part: W1NetlinkMsg, command: W1NetlinkCmd): void {
    this.#send(message, ack, { ...part, data: encodeW1Commands([command]) });
  }

  #send(message: ReceivedMessage, ack: number, part: W1NetlinkMsg): void {
    const { seq, flags } = message;
    this.#connector.send(ID, encodeW1Messages([part]), {
      port: message.from.port,
      seq,
      ack: ack >>> 0,
      flags,
    });
  }
}
