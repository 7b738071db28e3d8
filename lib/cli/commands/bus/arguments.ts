import { InvalidArgumentError, Option } from "commander";
import { readFileSync } from "node:fs";
import { type CbId, inspectBus, type SendOptions } from "../../../../mod.ts";
import { unsigned } from "../../arguments/numbers.ts";

/** Options of a message, as commander reads them. */
export interface MessageFlags {
  readonly hex?: Uint8Array;
  readonly file?: string;
  readonly kernel?: boolean;
  readonly port?: number;
  readonly group?: number;
  readonly seq?: number;
  readonly ack?: number;
  readonly flags?: number;
}

/** An identifier as it is written: `20:1`; either half may be hexadecimal. */
export function identifier(text: string): CbId {
  const [idx, val, ...more] = text.split(":");
  if (val === undefined || more.length > 0) throw new InvalidArgumentError("It must be IDX:VAL, as 20:1.");
  return { idx: unsigned(idx!, 2 ** 32 - 1), val: unsigned(val, 2 ** 32 - 1) };
}

/** The number of a group. */
export function groupNumber(text: string): number {
  const number = /^\d+$/.test(text) ? Number(text) : NaN;
  if (!(number >= 1 && number <= 32)) {
    throw new InvalidArgumentError("It must be a whole number from 1 to 32.");
  }
  return number;
}

/** Bytes from pairs of hexadecimal digits; blanks, colons and commas may stand between. */
export function hexBytes(text: string): Uint8Array {
  const digits = text.replace(/[\s:,]/g, "");
  if (!/^([\da-f]{2})*$/i.test(digits)) {
    throw new InvalidArgumentError("It must be pairs of hexadecimal digits.");
  }
  return Uint8Array.from(digits.match(/../g) ?? [], (pair) => parseInt(pair, 16));
}

/** The options that say what a message holds and where it goes. */
export function messageOptions(): readonly Option[] {
  return [
    new Option("-x, --hex <digits>", "the payload in hexadecimal digits").argParser(hexBytes).conflicts(
      "file",
    ),
    new Option("-f, --file <path>", "the payload from a file; - is standard input"),
    new Option("-k, --kernel", "to the kernel").conflicts(["port", "group"]),
    new Option("-p, --port <number>", "to the program that has this port")
      .argParser((text) => unsigned(text, 2 ** 32 - 1)).conflicts("group"),
    new Option("-g, --group <number>", "to everybody in this group").argParser(groupNumber),
    new Option("--seq <number>", "sequence number (default: random)").argParser((text) =>
      unsigned(text, 2 ** 32 - 1)
    ),
    new Option("--ack <number>", "acknowledge number (default: random)")
      .argParser((text) => unsigned(text, 2 ** 32 - 1)),
    new Option("--flags <number>", "flags of the header (default: 0)").argParser((text) =>
      unsigned(text, 2 ** 16 - 1)
    ),
  ];
}

/** Why the payload cannot be told, or undefined: a text besides `--hex` or `--file`. */
export function payloadConflict(text: string | undefined, flags: MessageFlags): string | undefined {
  const other = flags.hex !== undefined ? "--hex" : flags.file !== undefined ? "--file" : undefined;
  return text === undefined || other === undefined
    ? undefined
    : `give the payload as text or by ${other}, not both`;
}

/** The payload that was given: nothing at all is an empty one. */
export function payload(text: string | undefined, flags: MessageFlags): Uint8Array {
  if (flags.hex !== undefined) return flags.hex;
  if (flags.file === undefined) return new TextEncoder().encode(text ?? "");
  try {
    return readFileSync(flags.file === "-" ? 0 : flags.file);
  } catch (error) {
    throw new Error(`Cannot read the payload: ${(error as Error).message}`, { cause: error });
  }
}

/** Where a message goes: as told, or to the kernel if it serves the identifier, or else to the identifier's group. */
export async function sendOptions(id: CbId, flags: MessageFlags): Promise<SendOptions> {
  const { seq, ack, flags: bits } = flags;
  const numbers = { seq, ack, flags: bits };
  if (flags.kernel) return { ...numbers, port: 0 };
  if (flags.port !== undefined) return { ...numbers, port: flags.port };
  if (flags.group !== undefined) return { ...numbers, group: flags.group };
  const { identifiers = [] } = await inspectBus();
  const served = identifiers.some((its) => its.id.idx === id.idx && its.id.val === id.val);
  if (served) return { ...numbers, port: 0 };
  if (id.idx >= 1 && id.idx <= 32) return { ...numbers, group: id.idx };
  throw new Error(
    `Cannot send to ${id.idx}:${id.val}: the kernel does not serve it, and ${id.idx} is no group (1 to 32): ` +
      "say where it goes, by --kernel, --port or --group",
  );
}
