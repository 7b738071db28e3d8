import { type Command, InvalidArgumentError, Option } from "commander";
import { type Connector, openConnector, type TrustPolicy, UnsupportedError } from "../../../../mod.ts";
import { groupNumber } from "./arguments.ts";
import { lostJson, lostText, messageJson, messageText } from "./message.ts";
import { EXIT } from "../../errors.ts";
import { unsigned } from "../../arguments/numbers.ts";
import { type LineOutput, standardOutput, writeError } from "../../io/output.ts";
import { addStreamFlags, showStream, type StreamFlags } from "../../io/show_stream.ts";

/** What is listened to: a group, and in it one identifier or all. */
interface Wanted {
  readonly idx: number;
  readonly val: number | undefined;
}

interface ListenFlags extends StreamFlags {
  readonly trust: "auto" | "kernel" | "anyone";
}

const DETAILS = `
IDX is a number from 1 to 32, and the group of that number is joined. With :VAL
only messages of that identifier are shown, else all that are sent to the
group. Several may be given.

Each message is shown with its sender as the kernel tells it, what it says
where its protocol is known (1:1, 3:1, 4:1, 7:1, 9:1, 10:1), and its bytes.
--believe says whose: auto believes the kernel only for what is the kernel's
(identifiers that it serves, and IDX below 11), and everybody for the rest.
What is not believed is counted at the end. Losses are told where they
happened.

--json writes an object a line: "time", "type" (message or lost), "id", "seq",
"ack", "flags", "from", "data" in hexadecimal, "protocol" and "says" (null
where the protocol is not known).

Joining a group wants CAP_NET_ADMIN; kernels from 6.6 on let everybody join the
odd ones. Ctrl-C ends it.

Examples:
  cnctl listen 3
  cnctl listen 20:1 20:2 --json
  cnctl listen 1:1 --count 5`;

/** Adds `cnctl listen`. */
export function addListen(program: Command, finish: (status: number) => void): void {
  const command = program.command("listen")
    .description("Show the messages that are sent to a group of the bus.")
    .argument("<IDX[:VAL]...>", "what to listen to", wanted)
    .addOption(
      new Option("-b, --believe <whom>", "whose messages are shown")
        .choices(["auto", "kernel", "anyone"])
        .default("auto"),
    );
  addStreamFlags(command, "messages")
    .addHelpText("after", DETAILS)
    .action(async (list: readonly Wanted[], flags: ListenFlags) =>
      finish(await listen(list, flags, standardOutput()))
    );
}

function wanted(text: string, before: readonly Wanted[] = []): readonly Wanted[] {
  const [idx, val, ...more] = text.split(":");
  if (more.length > 0) throw new InvalidArgumentError("It must be IDX or IDX:VAL, as 20 or 20:1.");
  return [...before, {
    idx: groupNumber(idx!),
    val: val === undefined ? undefined : unsigned(val, 2 ** 32 - 1),
  }];
}

async function listen(list: readonly Wanted[], flags: ListenFlags, output: LineOutput): Promise<number> {
  const trust: TrustPolicy | undefined = flags.trust === "auto" ? undefined : flags.trust;
  await using bus = await openConnector({ trust, credentials: true, announce: false });
  const messages = bus.messages({ groups: list.map(({ idx }) => idx) });
  await showStream(
    {
      stream: messages,
      close: () => bus.close(),
      ready: `listening as port ${bus.port}${onlyPrograms(bus)}`,
      line(message, now, times) {
        if (message.type === "lost") return (flags.json ? lostJson : lostText)(message, now, times);
        if (!isWanted(list, message.from.group, message.id.val, message.id.idx)) return undefined;
        return (flags.json ? messageJson : messageText)(message, now, times);
      },
    },
    flags,
    output,
  );
  const { untrusted, malformed, lost } = bus.stats();
  if (untrusted + malformed + lost > 0) {
    writeError(`cnctl: ${lost} lost, ${untrusted} not believed, ${malformed} malformed\n`);
  }
  return EXIT.ok;
}

/** A word where the kernel is not heard: in another network namespace only its programs are. */
function onlyPrograms(bus: Connector): string {
  try {
    bus.send({ idx: 0xffff_fffe, val: 0xffff_fffe }, new Uint8Array(), { port: 0 }); // nobody serves it
  } catch (error) {
    if (error instanceof UnsupportedError) return `, to the programs of this namespace: ${error.finding}`;
  }
  return "";
}

function isWanted(list: readonly Wanted[], group: number, val: number, idx: number): boolean {
  return list.some((its) =>
    its.idx === group && (its.val === undefined || (its.val === val && its.idx === idx))
  );
}
