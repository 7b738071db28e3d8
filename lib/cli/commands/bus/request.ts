import { type Command, Option } from "commander";
import { writeSync } from "node:fs";
import { type CbId, openConnector } from "../../../../mod.ts";
import { positiveInteger, seconds, unsigned } from "../../arguments.ts";
import { EXIT } from "../../errors.ts";
import { type Output, standardOutput, writeError } from "../../io/output.ts";
import { TimeText } from "../../io/time.ts";
import { messageJson, messageText } from "./message.ts";
import { addMessageArguments, checkPayload, type MessageFlags, payload, sendOptions } from "./send.ts";

interface RequestFlags extends MessageFlags {
  readonly json?: boolean;
  readonly raw?: boolean;
  readonly timeout: number;
  readonly retries: number;
  readonly all?: boolean;
  readonly count?: number;
}

const DETAILS = `
A reply has the same identifier and sequence number, the acknowledge number
plus one, and comes from the program that was asked. The destination and the
payload are given as for "cnctl send". With --all, every reply that arrives
before the timeout is shown.

--json prints replies as "cnctl listen" does; --raw prints only the bytes of
the payload.

The exit status is 0 with a reply, 1 without one, 2 for wrong arguments.

Examples:
  cnctl request 20:1 'get'
  cnctl request 3:1 --hex '06 00 0000 00000000 00000000'
  cnctl request 20:1 who --group 20 --all --timeout 0.5`;

/** Adds `cnctl request`. */
export function addRequest(program: Command, finish: (status: number) => void): void {
  const command = program.command("request")
    .description("Send one message and show the reply.");
  addMessageArguments(command)
    .option("-t, --timeout <seconds>", "how long to wait in total", seconds, 1)
    .option("-r, --retries <times>", "resend up to this often meanwhile", (text) => unsigned(text, 1000), 0)
    .option("-a, --all", "show every reply until the timeout")
    .option("-n, --count <replies>", "stop after this many replies (with --all)", positiveInteger)
    .addOption(new Option("-j, --json", "print one JSON object per line").conflicts("raw"))
    .option("--raw", "print only the bytes of the payload")
    .addHelpText("after", DETAILS)
    .action(async (id: CbId, text: string | undefined, flags: RequestFlags) => {
      checkPayload(command, text, flags);
      if (flags.count !== undefined && !flags.all) command.error("error: --count requires --all");
      finish(await request(id, payload(text, flags), flags, standardOutput()));
    });
}

async function request(id: CbId, data: Uint8Array, flags: RequestFlags, output: Output): Promise<number> {
  const times = new TimeText();
  await using bus = await openConnector({ credentials: true });
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
    `cnctl: Cannot get a reply from ${id.idx}:${id.val}: none arrived within ${flags.timeout} s: check with ` +
      `"cnctl bus" that someone serves it, or raise --timeout\n`,
  );
  return EXIT.failed;
}

/** A reply is short: it is written synchronously. A closed pipe is not an error. */
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
