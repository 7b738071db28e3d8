import type { Command } from "commander";
import { type BusSnapshot, type CbId, inspectBus } from "../../../../mod.ts";
import { PROTOCOLS } from "../../../protocols/all.ts";
import { RETIRED_PROTOCOLS } from "../../../protocols/retired.ts";
import { OTHER_NETWORK_NAMESPACE } from "../../../errors/advice.ts";
import { sameId } from "../../../connector/message.ts";
import { EXIT } from "../../errors.ts";
import { jsonLine } from "../../../wire/json_text.ts";
import { type Output, standardOutput } from "../../io/output.ts";
import { safeText } from "../../../wire/escape.ts";

const DETAILS = `
Identifiers come from /proc/net/connector, sockets from this network namespace.
Groups are listed by number; group 1 carries process events. Waiting is the
memory taken by messages that a program has not read yet; Drops counts messages
that did not fit into its receive buffer. Only root sees the processes of other
users.

--json prints one object: "identifiers" (null outside the initial network
namespace) and "sockets".`;

/** Adds `cnctl bus`. */
export function addBus(program: Command, finish: (status: number) => void): void {
  program.command("bus")
    .description("List the kernel's identifiers and the sockets on the bus.")
    .option("-j, --json", "print one JSON object")
    .addHelpText("after", DETAILS)
    .action(async (flags: { readonly json?: boolean }) =>
      finish(await listBus(flags.json ?? false, standardOutput()))
    );
}

async function listBus(json: boolean, output: Output): Promise<number> {
  const snapshot = await inspectBus();
  await output.write(json ? busJson(snapshot) : busText(snapshot));
  return EXIT.ok;
}

/** The bus as text. */
export function busText({ identifiers, sockets }: BusSnapshot): string {
  let text = "";
  if (identifiers === undefined) {
    text += `The kernel's identifiers are not visible:\n${OTHER_NETWORK_NAMESPACE.finding}.\n`;
  } else {
    text += "Identifiers that the kernel serves\n";
    for (const { id, name } of identifiers) {
      const has = (its: { readonly id: CbId }): boolean => sameId(its.id, id);
      const title = PROTOCOLS.find(has)?.title ?? RETIRED_PROTOCOLS.find(has)?.history ?? "";
      text += `  ${`${id.idx}:${id.val}`.padEnd(12)} ${safeText(name).padEnd(15)} ${title}`.trimEnd() + "\n";
    }
  }
  text += `\n${"Port".padStart(10)} ${"Waiting".padStart(10)} ${"Drops".padStart(10)} ${
    "Groups".padEnd(12)
  } Process\n`;
  for (const { port, groups, receiveBytes, drops, owners } of sockets) {
    const owner = port === 0
      ? "the kernel"
      : owners.map(({ pid, comm }) => `${pid} ${safeText(comm)}`).join(", ") || "?";
    text +=
      `${String(port).padStart(10)} ${String(receiveBytes).padStart(10)} ${String(drops).padStart(10)} ` +
      `${(groups.join(",") || "-").padEnd(12)} ${owner}\n`;
  }
  return text;
}

/** The bus as one line of JSON. */
export function busJson({ identifiers, sockets }: BusSnapshot): string {
  return jsonLine({
    identifiers: identifiers?.map(({ id, name }) => ({ id: { idx: id.idx, val: id.val }, name })),
    sockets: sockets.map(({ port, groups, receiveBytes, drops, inode, owners }) => ({
      port,
      groups,
      receiveBytes,
      drops,
      inode,
      owners: owners.map(({ pid, comm }) => ({ pid, comm })),
    })),
  });
}
