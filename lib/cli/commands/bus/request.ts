import { type Command, Option } from "commander";
import { writeSync } from "node:fs";
import { type CbId, openConnector } from "../../../../mod.ts";
import {
  identifier,
  type MessageFlags,
  messageOptions,
  payload,
  payloadConflict,
  sendOptions,
} from "./arguments.ts";
import { messageJson, messageText } from "./message.ts";
import { TimeText } from "../../io/clock.ts";
import { EXIT } from "../../errors.ts";
import { positiveInteger, seconds, unsigned } from "../../arguments/numbers.ts";
import { type Output, standardOutput, writeError } from "../../io/output.ts";

interface RequestFlags extends MessageFlags {
  readonly json?: boolean;
  readonly raw?: boolean;
  readonly timeout: number;
  readonly retries: number;
  readonly all?: boolean;
  readonly count?: number;
}

const DETAILS = `
A reply has the same identifier and sequence number and the acknowledge number
plus one, and comes from whom was asked. Where and what is sent is as with
"cnctl send". With --all every reply is shown that comes before the time is up.

--json writes replies as "cnctl listen" does; --raw writes the bytes of the
payload and nothing else.

The exit status is 0 with a reply, 1 without one, 2 for bad arguments.

Examples:
  cnctl request 20:1 'get'
  cnctl request 3:1 --hex '06 00 0000 00000000 00000000'
  cnctl request 20:1 who --group 20 --all --timeout 0.5`;

/** Adds `cnctl request`. */
export function addRequest(program: Command, finish: (status: number) => void): void {
  const command = program.command("request")
    .description("Send one message and show what is replied.")
    .argument("<IDX:VAL>", "the identifier", identifier)
    .argument("[text]", "the payload");
  for (const option of messageOptions()) command.addOption(option);
  command
    .option("-t, --timeout <seconds>", "how long to wait in all", seconds, 1)
    .option("-r, --retries <times>", "how often to ask again meanwhile", (text) => unsigned(text, 1000), 0)
    .option("-a, --all", "show every reply until the time is up")
    .option("-n, --count <replies>", "end after so many replies (with --all)", positiveInteger)
    .addOption(new Option("-j, --json", "write JSON, an object a line").conflicts("raw"))
    .option("--raw", "write the bytes of the payload only")
    .addHelpText("after", DETAILS)
    .action(async (id: CbId, text: string | undefined, flags: RequestFlags) => {
      const conflict = payloadConflict(text, flags) ??
        (flags.count !== undefined && !flags.all ? "--count is for --all" : undefined);
      if (conflict !== undefined) command.error(`error: ${conflict}`);
      finish(await request(id, payload(text, flags), flags, standardOutput()));
    });
}

async function request(id: CbId, data: Uint8Array, flags: RequestFlags, output: Output): Promise<number> {
  const times = new TimeText();
  await using bus = await openConnector({ credentials: true, announce: false });
  const options = {
    ...await sendOptions(id, flags),
    timeoutMs: flags.timeout * 1000,
    retries: flags.retries,
    count: flags.all ? flags.count : 1,
  };
  let replies = 0;
  for await (const reply of bus.requestMany(id, data, options)) {
    replies++;
    const now = Date.now();
    if (flags.raw) writeRaw(reply.data);
    else if (!(await output.write((flags.json ? messageJson : messageText)(reply, now, times)))) break;
  }
  if (replies > 0) return EXIT.ok;
  writeError(
    `cnctl: Cannot get an answer from ${id.idx}:${id.val}: nothing came within ${flags.timeout} s\n`,
  );
  return EXIT.failed;
}

/** An answer is short: it is written at once, and a reader that has gone does not want it. */
function writeRaw(bytes: Uint8Array): void {
  for (let at = 0; at < bytes.length;) {
    try {
      at += writeSync(1, bytes, at);
    } catch (error) {
      const { code } = error as { code?: string };
      if (code === "EPIPE") return;
      if (code !== "EAGAIN") {
        throw new Error(`Cannot write the output: ${(error as Error).message}`, { cause: error });
      }
    }
  }
}
