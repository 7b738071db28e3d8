import { hostname } from "node:os";
import { type Command, Option } from "commander";
import { DEFAULT_SITE, subjectOf } from "../../../fleet/subject.ts";
import { safeSentence } from "../../../wire/escape.ts";
import { size } from "../../arguments.ts";
import { EXIT } from "../../errors.ts";
import { makeFolderOf } from "../../io/folder.ts";
import { writeError } from "../../io/output.ts";
import { StopRequest } from "../../io/signals.ts";
import { VERSION } from "../../version.ts";
import { addServerFlags, nameOfHost, SERVER_DETAILS, type ServerFlags, serverUrl } from "./server.ts";

const DEFAULT_SPOOL = "/var/lib/cnctl/spool.db";

interface ShipFlags extends ServerFlags {
  readonly spool: string;
  readonly maxSize: number;
  readonly host?: string;
  readonly site: string;
}

const DETAILS = `
It records what "cnctl record" records, but for a fleet: about once a second,
what happened is sealed as a segment in a spool on disk, and sent to a stream of
a server, from where "cnctl collect" fills a database. A segment is removed from
the spool when the server has it on disk.
${SERVER_DETAILS}

Each machine publishes on a subject of its own, cnctl.SITE.HOST.process. It
needs no other permission than to publish there and to read the last message
of it. A restart goes on after that: each segment is in the stream exactly once.

What cannot be sent waits in the spool. When that is full, the oldest segments
are dropped, and "cnctl history" says when, and how many processes are missing.
A crash, a SIGKILL or a power cut takes at most the last second, which is a gap.

Command lines may hold passwords and tokens: the spool is readable for its owner
and group only (mode 0640); use TLS.

The exit status is 0 after Ctrl-C, SIGTERM or SIGHUP; 1 on failure, as when
another shipper uses the spool; 2 for wrong arguments.

Examples:
  cnctl ship tls://nats.example.com --credentials /etc/cnctl/credentials
  cnctl ship nats://127.0.0.1:4222 --site lab --host web1 --spool spool.db`;

/** Adds `cnctl ship`. */
export function addShip(program: Command, finish: (status: number) => void): void {
  const command = program.command("ship")
    .description("Send every process to a server, for cnctl collect.")
    .argument("<url>", "the server", serverUrl);
  addServerFlags(command)
    .option("--host <name>", "what this machine is called (default: its host name)", nameOfHost)
    .option("--site <name>", "the site that it is at", nameOfHost, DEFAULT_SITE)
    .addOption(new Option("--spool <file>", "what is not sent yet").default(DEFAULT_SPOOL))
    .addOption(
      new Option("--max-size <size>", "drop the oldest segments when the spool is larger, as 500M or 2G")
        .default(2 ** 30, "1G").argParser(size),
    )
    .addHelpText("after", DETAILS)
    .action(async (url: string, flags: ShipFlags) => finish(await ship(url, flags)));
}

async function ship(url: string, flags: ShipFlags): Promise<number> {
  const { spool, maxSize, host = nameOfHost(hostname()), site, stream, credentials, ca, cert, key } = flags;
  using stop = new StopRequest();
  if (spool === DEFAULT_SPOOL) makeFolderOf(spool);
  // Only here: every other command starts without the library for NATS.
  const fleet = await import("../../../fleet/mod.ts");
  const shipper = await fleet.ship({
    server: { url, credentials, ca, cert, key },
    stream,
    site,
    host,
    spool,
    spoolBytes: maxSize,
    version: VERSION,
    onSpoolTrouble: (error) =>
      say(
        error === undefined
          ? "The spool can be written again."
          : `${safeSentence(error.message)}; processes wait in memory`,
      ),
    onState: (error) =>
      say(
        error === undefined
          ? `Shipping to ${safeSentence(url)} on ${subjectOf(site, host)}.`
          : `${safeSentence(error.message)}; segments wait in the spool`,
      ),
  });
  const { usageRefusal } = shipper.stats();
  if (usageRefusal !== undefined) say(`CPU time and memory are not recorded: ${usageRefusal}`);
  say(`Recording into ${safeSentence(spool)}; press Ctrl-C to stop.`);
  stop.onRequest(() => void shipper.close().catch(() => {})); // `closed` rejects with it, too
  await shipper.closed;
  const { sent, lost, segments, droppedSegments, droppedPrograms } = shipper.stats();
  say(`${sent} segments sent, ${segments} wait in the spool, ${lost === 0 ? "no" : lost} events lost`);
  if (droppedSegments > 0) {
    say(`${droppedSegments} segments with ${droppedPrograms} programs were dropped since the spool was made`);
  }
  return EXIT.ok;
}

function say(text: string): void {
  writeError(`cnctl: ${text}\n`);
}
