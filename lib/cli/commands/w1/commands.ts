import { openConnector } from "../../../../mod.ts";
import type { JsonValue } from "../../../connector/protocol.ts";
import { openW1, type W1, type W1StreamEvent, type W1Transaction } from "../../../protocols/w1/mod.ts";
import { EXIT } from "../../errors.ts";
import { jsonLine } from "../../../wire/json_text.ts";
import { hexOf } from "../../../wire/json.ts";
import type { LineOutput } from "../../io/output.ts";
import { showStream, singly, type StreamFlags } from "../../io/show_stream.ts";
import { StopRequest } from "../../io/signals.ts";
import { TimeText } from "../../io/time.ts";

/** The destination of a command: a bus master or a slave. */
export type W1Target = { readonly master: number } | { readonly slave: string };

/** The result of a command. */
export interface W1Answer {
  /** As text: whole lines. */
  readonly text: string;
  /** As JSON: one object per line. */
  readonly objects: readonly JsonValue[];
  /** The exit status. */
  readonly status: number;
}

/** Options of commands that read or write bytes. */
export interface W1ExchangeFlags {
  /** Reset the bus first; only for masters. */
  readonly reset?: boolean | undefined;
}

/** The numbers of the bus masters. */
export async function listMasters(w1: W1): Promise<W1Answer> {
  const masters = await w1.masters();
  return answer(masters.map(String), { masters });
}

/** The registered slaves of one master or of all. */
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

/** Searches a bus for all slaves, or for those in alarm state. */
export async function searchSlaves(w1: W1, master: number, alarm: boolean): Promise<W1Answer> {
  const slaves = alarm ? await w1.master(master).alarmSearch() : await w1.master(master).search();
  return answer(slaves, { master, alarm, slaves });
}

/** Resets a bus. The exit status tells scripts whether a slave is present. */
export async function resetBus(w1: W1, master: number): Promise<W1Answer> {
  const present = await w1.master(master).reset();
  const result = answer([present ? "present" : "nobody present"], { master, present });
  return present ? result : { ...result, status: EXIT.failed };
}

/** Reads bytes, after writing some if given, in one transaction. */
export async function readBytes(
  w1: W1,
  target: W1Target,
  bytes: number,
  flags: W1ExchangeFlags & { readonly write?: Uint8Array | undefined },
): Promise<W1Answer> {
  const transaction = transactionFor(w1, target, flags);
  if (flags.write !== undefined) transaction.write(flags.write);
  return dataAnswer(target, await lastData(w1, transaction.read(bytes)));
}

/** Writes bytes. */
export async function writeBytes(
  w1: W1,
  target: W1Target,
  data: Uint8Array,
  flags: W1ExchangeFlags,
): Promise<W1Answer> {
  await w1.run(transactionFor(w1, target, flags).write(data));
  return answer([], { ...named(target), written: data.length });
}

/** Writes bytes, and reads each bit in the time slot in which it is written. */
export async function touchBytes(
  w1: W1,
  target: W1Target,
  data: Uint8Array,
  flags: W1ExchangeFlags,
): Promise<W1Answer> {
  return dataAnswer(target, await lastData(w1, transactionFor(w1, target, flags).touch(data)));
}

/** Registers a slave with the kernel. */
export async function addSlave(w1: W1, master: number, slave: string): Promise<W1Answer> {
  await w1.master(master).addSlave(slave);
  return answer([], { master, added: slave });
}

/** Removes a slave from the kernel. */
export async function removeSlave(w1: W1, master: number, slave: string): Promise<W1Answer> {
  await w1.master(master).removeSlave(slave);
  return answer([], { master, removed: slave });
}

/** One transaction for all commands, which other programs cannot interrupt. */
function transactionFor(w1: W1, target: W1Target, { reset = false }: W1ExchangeFlags): W1Transaction {
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
    data: hexOf(data),
  });
}

function named(target: W1Target): { readonly master: number | null; readonly slave: string | null } {
  return "slave" in target ? { master: null, slave: target.slave } : { master: target.master, slave: null };
}

function answer(lines: readonly string[], object: JsonValue): W1Answer {
  return { text: lines.map((line) => `${line}\n`).join(""), objects: [object], status: EXIT.ok };
}

/** Shows masters and slaves as they are added and removed. */
export async function watchBuses(flags: StreamFlags, output: LineOutput): Promise<number> {
  using stop = new StopRequest();
  await using bus = await openConnector();
  const w1 = await openW1({ connector: bus });
  const events = w1.events(); // before the query, so that no event is missed
  const masters = await w1.masters(); // fails if the kernel has no 1-wire
  const present = masters.length === 0 ? "no bus masters yet" : `bus masters: ${masters.join(", ")}`;
  const times = new TimeText();
  await showStream(
    {
      batches: singly(events),
      end: () => void bus.drain(),
      ready: `watching, ${present}`,
      line: (event) => (flags.json ? w1EventJson : w1EventText)(event, Date.now(), times),
      counts: ({ type }) => type !== "lost",
    },
    stop,
    flags,
    output,
  );
  return EXIT.ok;
}

/** An event as text, with its newline. */
export function w1EventText(event: W1StreamEvent, wallMs: number, times: TimeText): string {
  return `${times.local(wallMs)} ${describe(event)}\n`;
}

/** An event as one line of JSON, with its newline. */
export function w1EventJson(event: W1StreamEvent, wallMs: number, times: TimeText): string {
  const fields = event.type === "unknown" ? { type: event.type, data: event.data } : event;
  return jsonLine({ time: times.iso(wallMs), ...fields });
}

function describe(event: W1StreamEvent): string {
  switch (event.type) {
    case "slave_add":
      return `slave ${event.slave} added`;
    case "slave_remove":
      return `slave ${event.slave} removed`;
    case "master_add":
      return `master ${event.master} added`;
    case "master_remove":
      return `master ${event.master} removed`;
    case "lost":
      return `LOST ${event.count} message${event.count === 1 ? "" : "s"}`;
    case "unknown":
      return `unknown ${hexOf(event.data)}`;
  }
}
