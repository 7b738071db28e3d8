import { type Command, Option } from "commander";
import { recordHistory } from "../../../history/mod.ts";
import { safeSentence } from "../../../wire/escape.ts";
import { days, size } from "../../arguments.ts";
import { EXIT } from "../../errors.ts";
import { makeFolderOf } from "../../io/folder.ts";
import { writeError } from "../../io/output.ts";
import { StopRequest } from "../../io/signals.ts";
import { VERSION } from "../../version.ts";

/** Where history is, unless an option says otherwise. */
export const DEFAULT_DB = "/var/lib/cnctl/history.db";

interface RecordFlags {
  readonly db: string;
  readonly keep: number;
  readonly maxSize: number;
}

const DETAILS = `
Every program that a process runs becomes a row of an SQLite database: command
line, file, working directory, control group, user, login user, parent, start,
end, exit status, and (with CAP_NET_ADMIN) CPU time, memory and storage. "cnctl
history" reads it, also while this command runs. As root everything is recorded;
without, what other users' files and folders are is not.

Rows are written once a second, and each write waits for the disk: a crash, a
SIGKILL or a power cut takes at most the last second. The next start notes since
when nothing was recorded, and what has ended meanwhile. While the disk is full,
up to 200,000 programs wait in memory; what is dropped after that is counted.
Events that the kernel had to drop are noted, too.

Command lines may hold passwords and tokens: the file is readable for its owner
and group only (mode 0640).

The exit status is 0 after Ctrl-C, SIGTERM or SIGHUP; 1 on failure, as when
another recorder writes the file; 2 for wrong arguments.

Examples:
  cnctl record
  cnctl record --db /srv/history.db --keep 90 --max-size 10G`;

/** Adds `cnctl record`. */
export function addRecord(program: Command, finish: (status: number) => void): void {
  program.command("record")
    .description("Record every process in a database, for cnctl history.")
    .addOption(new Option("--db <file>", "the database").default(DEFAULT_DB))
    .addOption(
      new Option("--keep <days>", "how long processes are kept after their start").default(30).argParser(
        days,
      ),
    )
    .addOption(
      new Option(
        "--max-size <size>",
        "remove the oldest processes when the database is larger, as 500M or 2G",
      )
        .default(2 ** 31, "2G").argParser(size),
    )
    .addHelpText("after", DETAILS)
    .action(async (flags: RecordFlags) => finish(await record(flags)));
}

async function record({ db, keep, maxSize }: RecordFlags): Promise<number> {
  using stop = new StopRequest();
  if (db === DEFAULT_DB) makeFolderOf(db);
  await using recorder = await recordHistory(db, {
    keepDays: keep,
    maxBytes: maxSize,
    version: VERSION,
    onTrouble(error) {
      const text = error === undefined
        ? "The database can be written again."
        : `${safeSentence(error.message)}; processes wait in memory`;
      writeError(`cnctl: ${text}\n`);
    },
  });
  const { usageRefusal } = recorder.stats();
  if (usageRefusal !== undefined) {
    writeError(`cnctl: CPU time and memory are not recorded: ${usageRefusal}\n`);
  }
  writeError(`cnctl: Recording into ${safeSentence(db)}; press Ctrl-C to stop.\n`);
  stop.onRequest(() => void recorder.close());
  await recorder.closed;
  const { written, lost } = recorder.stats();
  writeError(`cnctl: ${written} rows written, ${lost === 0 ? "no" : lost} events lost\n`);
  return EXIT.ok;
}
