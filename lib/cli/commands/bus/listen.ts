import { type Command, InvalidArgumentError, Option } from "commander";
import {
  type Connector,
  type LostEvent,
  openConnector,
  type ReceivedMessage,
  type TrustPolicy,
  UnsupportedError,
} from "../../../../mod.ts";
import { groupNumber, unsigned32 } from "../../arguments.ts";
import { EXIT } from "../../errors.ts";
import { type LineOutput, standardOutput, writeError } from "../../io/output.ts";
import { addStreamFlags, showStream, singly, type StreamFlags } from "../../io/show_stream.ts";
import { StopRequest } from "../../io/signals.ts";
import { TimeText } from "../../io/time.ts";
import { lostJson, lostText, messageJson, messageText } from "./message.ts";

/** A group, and one identifier in it or, if `val` is undefined, all of them. */
interface Selected {
  readonly idx: number;
  readonly val: number | undefined;
}

interface ListenFlags extends StreamFlags {
  readonly trust: "auto" | "kernel" | "anyone";
}

const DETAILS = `
IDX is a number from 1 to 32: the group to join. With :VAL, only messages of
that identifier are shown, otherwise all messages sent to the group. Several
can be given.

Each message is shown with its sender as reported by the kernel, its decoded
content if the protocol is known (1:1, 3:1, 4:1, 7:1, 9:1, 10:1), and its bytes.
--trust selects the senders: with auto, only the kernel for the kernel's own
identifiers (those that it serves, and any IDX below 11), and anyone for all
others. Messages from other senders are counted at the end. Losses are shown
where they occurred.

--json prints one object per line: "time", "type" (message or lost), "id",
"seq", "ack", "flags", "from", "data" in hexadecimal, "protocol" and "content"
(null if the protocol is not known).

Joining a group requires CAP_NET_ADMIN; since kernel 6.6 anyone may join groups
with odd numbers. Press Ctrl-C to stop.

Examples:
  cnctl listen 3
  cnctl listen 20:1 20:2 --json
  cnctl listen 1:1 --count 5`;

/** Adds `cnctl listen`. */
export function addListen(program: Command, finish: (status: number) => void): void {
  const command = program.command("listen")
    .description("Show messages sent to a group of the bus.")
    .argument("<IDX[:VAL]...>", "what to listen to", selected)
    .addOption(
      new Option("-t, --trust <senders>", "whose messages to show")
        .choices(["auto", "kernel", "anyone"])
        .default("auto"),
    );
  addStreamFlags(command, "messages")
    .addHelpText("after", DETAILS)
    .action(async (list: readonly Selected[], flags: ListenFlags) =>
      finish(await listen(list, flags, standardOutput()))
    );
}

function selected(text: string, before: readonly Selected[] = []): readonly Selected[] {
  const [idx, val, ...more] = text.split(":");
  if (more.length > 0) throw new InvalidArgumentError("It must be IDX or IDX:VAL, such as 20 or 20:1.");
  return [...before, { idx: groupNumber(idx!), val: val === undefined ? undefined : unsigned32(val) }];
}

async function listen(list: readonly Selected[], flags: ListenFlags, output: LineOutput): Promise<number> {
  using stop = new StopRequest();
  const trust: TrustPolicy | undefined = flags.trust === "auto" ? undefined : flags.trust;
  await using bus = await openConnector({ trust, credentials: true });
  const messages = bus.messages({ groups: list.map(({ idx }) => idx) });
  const times = new TimeText();
  const line = (message: ReceivedMessage | LostEvent): string | undefined => {
    if (message.type === "lost") return (flags.json ? lostJson : lostText)(message, Date.now(), times);
    if (!isSelected(list, message)) return undefined;
    return (flags.json ? messageJson : messageText)(message, Date.now(), times);
  };
  await showStream(
    {
      batches: singly(messages),
      end: () => void bus.drain(),
      ready: `listening as port ${bus.port}${namespaceNote(bus)}`,
      line,
      counts: ({ type }) => type !== "lost",
    },
    stop,
    flags,
    output,
  );
  const { untrusted, malformed, lost } = bus.stats();
  if (untrusted + malformed + lost > 0) {
    writeError(`cnctl: ${lost} lost, ${untrusted} from untrusted senders, ${malformed} malformed\n`);
  }
  return EXIT.ok;
}

/** A note if the kernel cannot be heard: in another network namespace only its programs can. */
function namespaceNote(bus: Connector): string {
  try {
    bus.send({ idx: 0xffff_fffe, val: 0xffff_fffe }, new Uint8Array(), { port: 0 }); // nobody serves it
  } catch (error) {
    if (error instanceof UnsupportedError) return `, only to programs in this namespace: ${error.finding}`;
  }
  return "";
}

function isSelected(list: readonly Selected[], { id, from }: ReceivedMessage): boolean {
  return list.some(({ idx, val }) =>
    idx === from.group && (val === undefined || (val === id.val && idx === id.idx))
  );
}
