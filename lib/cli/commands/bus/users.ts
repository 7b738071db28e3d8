import type { Command } from "commander";
import { type BusSnapshot, type CbId, inspectBus } from "../../../../mod.ts";
import { PROTOCOLS } from "../../../protocols/all.ts";
import { RETIRED_PROTOCOLS } from "../../../protocols/retired.ts";
import { jsonText } from "./message.ts";
import { EXIT } from "../../errors.ts";
import { type Output, standardOutput } from "../../io/output.ts";
import { safeText } from "../../io/safe_text.ts";

const DETAILS = `
The kernel's list is that of /proc/net/connector; the sockets are those of this
network namespace. Groups are numbers; group 1 has the process events. Waiting
is memory of messages that a program has not read yet, Drops counts those for
which its receive buffer had no room. Processes of other users are seen by
root.

--json writes one object: "identifiers" (null in another network namespace than
the kernel's first) and "sockets".`;

/** Adds `cnctl users`. */
export function addUsers(program: Command, finish: (status: number) => void): void {
  program.command("users")
    .description("List who is on the bus: the kernel's identifiers, and sockets with their processes.")
    .option("-j, --json", "write JSON, one object")
    .addHelpText("after", DETAILS)
    .action(async (flags: { readonly json?: boolean }) =>
      finish(await users(flags.json ?? false, standardOutput()))
    );
}

async function users(json: boolean, output: Output): Promise<number> {
  const found = await inspectBus();
  await output.write(json ? usersJson(found) : usersText(found));
  return EXIT.ok;
}

/** The list for people. */
export function usersText({ identifiers, sockets }: BusSnapshot): string {
  let text = "";
  if (identifiers === undefined) {
    text +=
      "The kernel's identifiers are not seen: this is another network namespace than the kernel's first, and the\n" +
      "connector is only there.\n";
  } else {
    text += "Identifiers that the kernel serves\n";
    for (const { id, name } of identifiers) {
      const has = (its: { readonly id: CbId }): boolean => its.id.idx === id.idx && its.id.val === id.val;
      const title = PROTOCOLS.find(has)?.title ?? RETIRED_PROTOCOLS.find(has)?.history ?? "";
      text += `  ${`${id.idx}:${id.val}`.padEnd(12)} ${safeText(name).padEnd(15)} ${title}`.trimEnd() + "\n";
    }
  }
  text += `\n${"Port".padStart(10)} ${"Waiting".padStart(10)} ${"Drops".padStart(10)} ${
    "Groups".padEnd(12)
  } Process\n`;
  for (const { port, groups, receiveBytes, drops, owners } of sockets) {
    const whose = port === 0
      ? "the kernel"
      : owners.map(({ pid, comm }) => `${pid} ${safeText(comm)}`).join(", ") || "?";
    text +=
      `${String(port).padStart(10)} ${String(receiveBytes).padStart(10)} ${String(drops).padStart(10)} ` +
      `${(groups.join(",") || "-").padEnd(12)} ${whose}\n`;
  }
  return text;
}

/** The list as one line of JSON. */
export function usersJson({ identifiers, sockets }: BusSnapshot): string {
  return `${
    jsonText({
      identifiers: identifiers?.map(({ id, name }) => ({ id: { idx: id.idx, val: id.val }, name })) ?? null,
      sockets: sockets.map(({ port, groups, receiveBytes, drops, inode, owners }) => ({
        port,
        groups,
        receiveBytes,
        drops,
        inode,
        owners: owners.map(({ pid, comm }) => ({ pid, comm })),
      })),
    })
  }\n`;
}
