import type { JsonValue } from "../../../connector/protocol.ts";
import type { W1, W1Transaction } from "../../../protocols/w1/mod.ts";
import { hex } from "../bus/message.ts";
import { EXIT } from "../../errors.ts";
import type { W1Target } from "./arguments.ts";

/** What a command has to say. */
export interface W1Answer {
  /** For people: lines with their ends. */
  readonly text: string;
  /** For programs: an object for each line. */
  readonly objects: readonly JsonValue[];
  /** The exit status. */
  readonly status: number;
}

/** How bytes are exchanged with a target. */
export interface W1ExchangeFlags {
  /** Resets the bus first; for masters. */
  readonly reset?: boolean | undefined;
}

/** The numbers of the bus masters. */
export async function listMasters(w1: W1): Promise<W1Answer> {
  const masters = await w1.masters();
  return answer(masters.map(String), { masters });
}

/** The slaves that the kernel knows: of one master, or of all. */
export async function listSlaves(w1: W1, master: number | undefined): Promise<W1Answer> {
  let text = "";
  const objects: JsonValue[] = [];
  for (const number of master === undefined ? await w1.masters() : [master]) {
    const slaves = await w1.master(number).slaves();
    for (const slave of slaves) text += master === undefined ? `${slave} ${number}\n` : `${slave}\n`;
    objects.push({ master: number, slaves });
  }
  return { text, objects, status: EXIT.ok };
}

/** The slaves that are found now: all of them, or those that have an alarm. */
export async function searchSlaves(w1: W1, master: number, alarm: boolean): Promise<W1Answer> {
  const slaves = alarm ? await w1.master(master).alarmSearch() : await w1.master(master).search();
  return answer(slaves, { master, alarm, slaves });
}

/** Resets a bus. That nobody answers is no error of the bus, but scripts ask for it by the exit status. */
export async function resetBus(w1: W1, master: number): Promise<W1Answer> {
  const present = await w1.master(master).reset();
  const said = answer([present ? "present" : "nobody present"], { master, present });
  return present ? said : { ...said, status: EXIT.failed };
}

/** Reads, behind a write where there is one, with nothing between them. */
export async function readBytes(
  w1: W1,
  target: W1Target,
  bytes: number,
  flags: W1ExchangeFlags & { readonly write?: Uint8Array | undefined },
): Promise<W1Answer> {
  const transaction = begin(w1, target, flags);
  if (flags.write !== undefined) transaction.write(flags.write);
  return dataAnswer(target, await lastData(w1, transaction.read(bytes)));
}

/** Writes. */
export async function writeBytes(
  w1: W1,
  target: W1Target,
  data: Uint8Array,
  flags: W1ExchangeFlags,
): Promise<W1Answer> {
  await w1.run(begin(w1, target, flags).write(data));
  return answer([], { ...named(target), written: data.length });
}

/** Writes each bit and reads it in the same time slot. */
export async function touchBytes(
  w1: W1,
  target: W1Target,
  data: Uint8Array,
  flags: W1ExchangeFlags,
): Promise<W1Answer> {
  return dataAnswer(target, await lastData(w1, begin(w1, target, flags).touch(data)));
}

/** Makes the kernel know a slave. */
export async function addSlave(w1: W1, master: number, slave: string): Promise<W1Answer> {
  await w1.master(master).addSlave(slave);
  return answer([], { master, added: slave });
}

/** Makes the kernel forget a slave. */
export async function removeSlave(w1: W1, master: number, slave: string): Promise<W1Answer> {
  await w1.master(master).removeSlave(slave);
  return answer([], { master, removed: slave });
}

/** One transaction for all commands: another program's do not come between. */
function begin(w1: W1, target: W1Target, { reset = false }: W1ExchangeFlags): W1Transaction {
  if ("slave" in target) return w1.slave(target.slave).transaction();
  const transaction = w1.master(target.master).transaction();
  return reset ? transaction.reset() : transaction;
}

async function lastData(w1: W1, transaction: W1Transaction): Promise<Uint8Array> {
  return (await w1.run(transaction)).at(-1)!.data;
}

function dataAnswer(target: W1Target, data: Uint8Array): W1Answer {
  return answer([Array.from(data, (byte) => byte.toString(16).padStart(2, "0")).join(" ")], {
    ...named(target),
    data: hex(data),
  });
}

function named(target: W1Target): { readonly master: number | null; readonly slave: string | null } {
  return "slave" in target ? { master: null, slave: target.slave } : { master: target.master, slave: null };
}

function answer(lines: readonly string[], object: JsonValue): W1Answer {
  return { text: lines.map((line) => `${line}\n`).join(""), objects: [object], status: EXIT.ok };
}
