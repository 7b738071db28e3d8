import { type Command, Option } from "commander";
import { safeSentence } from "../../../wire/escape.ts";
import { days, size } from "../../arguments.ts";
import { EXIT } from "../../errors.ts";
import { makeFolderOf } from "../../io/folder.ts";
import { writeError } from "../../io/output.ts";
import { StopRequest } from "../../io/signals.ts";
import { addServerFlags, nameOfHost, SERVER_DETAILS, type ServerFlags, serverUrl } from "./server.ts";

const DEFAULT_DB = "/var/lib/cnctl/fleet.db";
const DAY_US = 86_400e6;

interface CollectFlags extends ServerFlags {
  readonly db: string;
  readonly site?: string;
  readonly keep: number;
  readonly maxSize: number;
  readonly streamSize: number;
  readonly streamKeep: number;
}

const DETAILS = `
It fills a database with what "cnctl ship" sends of all machines. "cnctl history
--db FILE" reads it, also while this command runs; --host chooses a machine.
${SERVER_DETAILS}

The stream is made if there is none, by --stream-size and --stream-keep: what is
older or more is removed there, whether it was collected or not.

How far it is in the stream is written together with the rows. So whatever ends
when (this command, a shipper, the server), each row is there once. What has not
arrived, as a spool or the stream was full, is a gap with the number of missing
processes. A message that is no segment is reported, and is a gap as well.

Several collectors, each with a database of its own, may read one stream: all of
it, or with --site a part.

The exit status is 0 after Ctrl-C, SIGTERM or SIGHUP; 1 on failure, as when
another collector fills the database; 2 for wrong arguments.

Examples:
  cnctl collect nats://127.0.0.1:4222
  cnctl collect tls://nats.example.com --credentials /etc/cnctl/collector
  cnctl history --db /var/lib/cnctl/fleet.db --host web1 --since 1h --failed`;

/** Adds `cnctl collect`. */
export function addCollect(program: Command, finish: (status: number) => void): void {
  const command = program.command("collect")
    .description("Fill a database with what machines ship, for cnctl history.")
    .argument("<url>", "the server", serverUrl);
  addServerFlags(command)
    .addOption(new Option("--db <file>", "the database").default(DEFAULT_DB))
    .option("--site <name>", "only machines of this site", nameOfHost)
    .addOption(
      new Option("--keep <days>", "how long processes are kept after their start").default(30).argParser(
        days,
      ),
    )
    .addOption(
      new Option("--max-size <size>", "remove the oldest processes when the database is larger")
        .default(64 * 2 ** 30, "64G").argParser(size),
    )
    .addOption(
      new Option("--stream-size <size>", "the size of the stream, if it is made").default(10 * 2 ** 30, "10G")
        .argParser(size),
    )
    .addOption(
      new Option("--stream-keep <days>", "how long the stream keeps messages, if it is made").default(7)
        .argParser(days),
    )
    .addHelpText("after", DETAILS)
    .action(async (url: string, flags: CollectFlags) => finish(await collect(url, flags)));
}

async function collect(url: string, flags: CollectFlags): Promise<number> {
  const { db, site, keep, maxSize, stream, streamSize, streamKeep, credentials, ca, cert, key } = flags;
  using stop = new StopRequest();
  if (db === DEFAULT_DB) makeFolderOf(db);
  // Only here: every other command starts without the library for NATS.
  const { openCollector } = await import("../../../fleet/mod.ts");
  using collector = openCollector(db, { keepUs: keep * DAY_US, maxBytes: maxSize }, {
    server: { url, credentials, ca, cert, key },
    stream,
    site,
    streamBytes: streamSize,
    streamDays: streamKeep,
    onState: (error) =>
      say(
        error === undefined
          ? `Collecting from ${safeSentence(url)} into ${safeSentence(db)}; press Ctrl-C to stop.`
          : safeSentence(error.message),
      ),
    onRefused: (subject, reason) =>
      say(`A message on ${safeSentence(subject)} is no segment: ${safeSentence(reason)}`),
  });
  stop.onRequest(() => collector.close());
  await collector.run();
  const { segments, rows, repeated, undelivered, refused } = collector.stats();
  say(
    `${segments} segments with ${rows} rows collected, ${repeated} were there already, ` +
      `${refused} were no segments, ${undelivered} processes did not arrive`,
  );
  return EXIT.ok;
}

function say(text: string): void {
  writeError(`cnctl: ${text}\n`);
}
