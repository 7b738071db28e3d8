import { type Command, Option } from "commander";
import { readFileSync } from "node:fs";
import { type CbId, inspectBus, openConnector, type SendOptions } from "../../../../mod.ts";
import { groupNumber, hexBytes, identifier, unsigned, unsigned32 } from "../../arguments.ts";
import { sameId } from "../../../connector/message.ts";
import { EXIT } from "../../errors.ts";

/** Options of a message, as commander parses them. */
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

const DETAILS = `
Without --kernel, --port or --group, the message goes to the kernel if the
kernel serves the identifier, and otherwise to group IDX. The payload is text,
--hex or --file; by default it is empty. The kernel accepts up to 16364 bytes,
a program up to 65535.

The exit status is 0 if the message was sent (the bus does not report whether
anyone understood it), 1 if it could not be sent, 2 for wrong arguments.
Sending to programs requires CAP_NET_ADMIN.

Examples:
  cnctl send 20:1 'set 21.5'
  cnctl send 20:1 --hex 0a0000ff --port 4711
  generate | cnctl send 20:1 --file - --group 20`;

/** Adds `cnctl send`. */
export function addSend(program: Command, finish: (status: number) => void): void {
  const command = program.command("send")
    .description("Send one message to the kernel, a program or a group.");
  addMessageArguments(command)
    .addHelpText("after", DETAILS)
    .action(async (id: CbId, text: string | undefined, flags: MessageFlags) => {
      checkPayload(command, text, flags);
      await using bus = await openConnector();
      bus.send(id, payload(text, flags), await sendOptions(id, flags));
      finish(EXIT.ok);
    });
}

/** Adds the arguments and options that give a message and its destination. */
export function addMessageArguments(command: Command): Command {
  return command
    .argument("<IDX:VAL>", "the identifier", identifier)
    .argument("[text]", "the payload")
    .addOption(
      new Option("-x, --hex <digits>", "the payload in hexadecimal").argParser(hexBytes).conflicts("file"),
    )
    .option("-f, --file <path>", "read the payload from a file; - is standard input")
    .addOption(new Option("-k, --kernel", "send to the kernel").conflicts(["port", "group"]))
    .addOption(
      new Option("-p, --port <number>", "send to the program with this port")
        .argParser(unsigned32).conflicts("group"),
    )
    .option("-g, --group <number>", "send to everyone in this group", groupNumber)
    .option("--seq <number>", "sequence number (default: random)", unsigned32)
    .option("--ack <number>", "acknowledge number (default: random)", unsigned32)
    .option("--flags <number>", "header flags (default: 0)", (text) => unsigned(text, 2 ** 16 - 1));
}

/** Fails with a usage error if the payload was given both as text and by `--hex` or `--file`. */
export function checkPayload(command: Command, text: string | undefined, flags: MessageFlags): void {
  const other = flags.hex !== undefined ? "--hex" : flags.file !== undefined ? "--file" : undefined;
  if (text === undefined || other === undefined) return;
  command.error(`error: give the payload as text or with ${other}, not both`);
}

/** The payload; empty by default. */
export function payload(text: string | undefined, flags: MessageFlags): Uint8Array {
  if (flags.hex !== undefined) return flags.hex;
  if (flags.file === undefined) return new TextEncoder().encode(text ?? "");
  try {
    return readFileSync(flags.file === "-" ? 0 : flags.file);
  } catch (error) {
    throw new Error(`Cannot read the payload: ${(error as Error).message}`, { cause: error });
  }
}

/** The destination: the one given, or the kernel if it serves the identifier, or else the identifier's group. */
export async function sendOptions(id: CbId, flags: MessageFlags): Promise<SendOptions> {
  const { seq, ack, flags: bits } = flags;
  const numbers = { seq, ack, flags: bits };
  if (flags.kernel) return { ...numbers, port: 0 };
  if (flags.port !== undefined) return { ...numbers, port: flags.port };
  if (flags.group !== undefined) return { ...numbers, group: flags.group };
  const { identifiers = [] } = await inspectBus();
  const served = identifiers.some((its) => sameId(its.id, id));
  if (served) return { ...numbers, port: 0 };
  if (id.idx >= 1 && id.idx <= 32) return { ...numbers, group: id.idx };
  throw new Error(
    `Cannot send to ${id.idx}:${id.val}: the kernel does not serve it, and ${id.idx} is not a group (1 to 32): ` +
      "give a destination with --kernel, --port or --group",
  );
}
