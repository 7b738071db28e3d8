import type { Command } from "commander";
import { type CbId, openConnector } from "../../../../mod.ts";
import {
  identifier,
  type MessageFlags,
  messageOptions,
  payload,
  payloadConflict,
  sendOptions,
} from "./arguments.ts";
import { EXIT } from "../../errors.ts";

const DETAILS = `
Without --kernel, --port or --group it goes to the kernel, if the kernel serves
the identifier, and else to the group whose number is IDX. The payload is text,
--hex or --file; none at all is an empty one. The kernel takes up to 16364
bytes, a program 65535.

The exit status is 0 when it was sent (whether somebody understands it, the bus
does not tell), 1 when it could not be, 2 for bad arguments. Sending to
programs wants CAP_NET_ADMIN.

Examples:
  cnctl send 20:1 'set 21.5'
  cnctl send 20:1 --hex 0a0000ff --port 4711
  generate | cnctl send 20:1 --file - --group 20`;

/** Adds `cnctl send`. */
export function addSend(program: Command, finish: (status: number) => void): void {
  const command = program.command("send")
    .description("Send one message to the kernel, to a program, or to a group.")
    .argument("<IDX:VAL>", "the identifier", identifier)
    .argument("[text]", "the payload");
  for (const option of messageOptions()) command.addOption(option);
  command.addHelpText("after", DETAILS)
    .action(async (id: CbId, text: string | undefined, flags: MessageFlags) => {
      const conflict = payloadConflict(text, flags);
      if (conflict !== undefined) command.error(`error: ${conflict}`);
      await using bus = await openConnector({ announce: false });
      bus.send(id, payload(text, flags), await sendOptions(id, flags));
      finish(EXIT.ok);
    });
}
