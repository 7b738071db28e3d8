import { type Command, Option } from "commander";
import {
  type History,
  HISTORY_COUNT_BY,
  type HistoryCountBy,
  type HistoryImage,
  type HistoryQuery,
  openHistory,
} from "../../../history/mod.ts";
import { list, positiveInteger, processId, text } from "../../arguments.ts";
import { EXIT } from "../../errors.ts";
import { jsonLine } from "../../../wire/json_text.ts";
import { type Output, standardOutput, writeError } from "../../io/output.ts";
import { TimeText } from "../../io/time.ts";
import { DEFAULT_DB } from "./record.ts";
import { countLines, gapText, HistoryLines, tableLines } from "./table.ts";
import { parseWhen } from "./when.ts";

interface HistoryFlags {
  readonly db: string;
  readonly since?: number;
  readonly until?: number;
  readonly failed?: boolean;
  readonly pid?: readonly number[];
  readonly user?: readonly string[];
  readonly name?: readonly string[];
  readonly exe?: readonly string[];
  readonly under?: string;
  readonly host?: string;
  readonly tree?: boolean;
  readonly longest?: boolean;
  readonly slowest?: boolean;
  readonly countBy?: HistoryCountBy;
  readonly limit?: number;
  readonly json?: boolean;
  readonly sql?: string;
}

/** Lines of a table, unless an option says otherwise. */
const LIMIT = 100;
/** How far behind a recorder that runs may be. */
const LATE_MS = 30_000;
/** Lines that are written together. */
const LINES = 500;

const DETAILS = `
A line is a program that a process ran: from its exec to its exit or its next
exec. It shows the latest 100, or those of --since and --until: what ran at some
time between the two. A time is 2h or "10 min ago", yesterday, 3am, 02:55,
"2026-11-25 03:00" or ISO 8601.

Columns:
  Started   local time; ~ if it was there before the recorder
  Duration  from start to end; empty if not both were seen
  End       exit code or signal; exec: the process ran another program then;
            running: it runs, or ran when recording stopped; unknown: it ended
            while nothing was recorded
  Command   the names of its parents as they were, the nearest last, and the
            command line, quoted for a shell; (name) if it is not known

Lines with --- say when something is missing: when the recorder did not run, or
events were lost.

--name takes the name that the kernel keeps or that of the program's file; --exe
a path. In both * is any text and ? any character. --under takes a process or a
name, and shows what descends from it. Options that can be repeated match any of
their values. --longest sorts by duration, --slowest by CPU time.

--sql runs one statement of SQL; it cannot change anything. The view "process"
has names instead of numbers; times are microseconds since 1970.

--json prints one object per line: those of the library, with "time"; gaps have
"type": "gap". There is no limit then unless --limit is given.

The exit status is 0; 1 if the database cannot be read; 2 for wrong arguments.

Examples:
  cnctl history --since 02:55 --until 03:10
  cnctl history --since yesterday --until 3am --failed --user www-data
  cnctl history --since 1h --under cron --tree
  cnctl history --longest --limit 10
  cnctl history --since today --count-by program
  cnctl history --sql "SELECT comm, count(*) FROM process GROUP BY comm"`;

/** Adds `cnctl history`. */
export function addHistory(program: Command, finish: (status: number) => void): void {
  program.command("history")
    .description("Show what cnctl record has recorded.")
    .addOption(new Option("--db <file>", "the database").default(DEFAULT_DB))
    .addOption(
      new Option("--since <time>", "what ran at this time or later").argParser((at) => parseWhen(at)),
    )
    .addOption(new Option("--until <time>", "what began before this time").argParser((at) => parseWhen(at)))
    .option("--failed", "only what ended with a code other than 0 or by a signal")
    .option(
      "-p, --pid <pid>",
      "only these processes (repeatable, as those below)",
      list((pid) => [processId(pid)]),
    )
    .option("-u, --user <user>", "only processes of this user", list(text))
    .option("--name <name>", "only programs of this name", list(text))
    .option("--exe <file>", "only programs of this file", list(text))
    .option("--under <pid|name>", "only what descends from this process, or from any of this name")
    .option("--host <name>", "only this machine")
    .option("--tree", "show what descends from what")
    .addOption(new Option("--longest", "those that ran longest").conflicts("tree"))
    .addOption(new Option("--slowest", "those that took most CPU time").conflicts(["tree", "longest"]))
    .addOption(new Option("--count-by <what>", "count programs instead").choices(HISTORY_COUNT_BY))
    .option(
      "-n, --limit <lines>",
      `show at most so many (default: ${LIMIT}; all with --json)`,
      positiveInteger,
    )
    .option("-j, --json", "print one JSON object per line")
    .addOption(
      new Option("--sql <statement>", "run a statement instead").conflicts([
        "since",
        "until",
        "failed",
        "pid",
        "user",
        "name",
        "exe",
        "under",
        "host",
        "tree",
        "longest",
        "slowest",
        "countBy",
      ]),
    )
    .addHelpText("after", DETAILS)
    .action(async (flags: HistoryFlags) => {
      using history = openHistory(flags.db);
      await show(history, flags, standardOutput());
      finish(EXIT.ok);
    });
}

async function show(history: History, flags: HistoryFlags, output: Output): Promise<void> {
  const { sql, countBy, json, limit = json ? undefined : LIMIT } = flags;
  if (sql !== undefined) {
    const { columns, rows } = history.sql(sql);
    return await write(
      output,
      json
        ? rows.map((row) => jsonLine(Object.fromEntries(columns.map((column, i) => [column, row[i]]))))
        : tableLines(columns, rows).map(withNewline),
    );
  }
  const query = queryOf(flags);
  if (countBy !== undefined) {
    const counts = history.count(countBy, query);
    const shown = counts.slice(0, limit);
    await write(
      output,
      json ? shown.map(jsonLine) : countLines(shown, countBy, output.width()).map(withNewline),
    );
    return noteRest(counts.length - shown.length);
  }
  // One more shows whether there are more.
  const images = history.query({ ...query, limit: limit === undefined ? undefined : limit + 1 });
  const hasMore = limit !== undefined && images.length > limit;
  if (hasMore) {
    if (query.orderBy === "start") images.shift();
    else images.pop();
  }
  await write(
    output,
    json ? jsonLines(history, query, images) : textLines(history, query, images, flags, output),
  );
  if (hasMore) writeError(`cnctl: There are more than these ${limit}; --limit sets how many are shown.\n`);
  noteEnd(history, query);
}

function queryOf(flags: HistoryFlags): HistoryQuery {
  const { since, until, failed, pid, user, name, exe, under, host, longest, slowest } = flags;
  return {
    sinceMs: since,
    untilMs: until,
    failed,
    pids: pid,
    users: user,
    names: name,
    exes: exe,
    under: under !== undefined && /^\d+$/.test(under) ? Number(under) : under,
    host,
    orderBy: longest ? "duration" : slowest ? "cpu" : "start",
  };
}

function* textLines(
  history: History,
  query: HistoryQuery,
  images: readonly HistoryImage[],
  { tree }: HistoryFlags,
  output: Output,
): Generator<string> {
  const showsHost = new Set(images.map(({ host }) => host)).size > 1;
  const lines = new HistoryLines(history, output.width(), showsHost);
  yield withNewline(lines.header());
  const gaps = gapsOf(history, query, images);
  if (tree || query.orderBy !== "start") {
    for (const line of tree ? lines.tree(images) : images.map((image) => lines.line(image))) {
      yield withNewline(line);
    }
    for (const gap of gaps) yield withNewline(gapText(gap, showsHost));
    return;
  }
  let next = 0;
  for (const image of images) {
    while (next < gaps.length && gaps[next]!.fromMs <= image.startMs) {
      yield withNewline(gapText(gaps[next++]!, showsHost));
    }
    yield withNewline(lines.line(image));
  }
  for (; next < gaps.length; next++) yield withNewline(gapText(gaps[next]!, showsHost));
}

function* jsonLines(
  history: History,
  query: HistoryQuery,
  images: readonly HistoryImage[],
): Generator<string> {
  const times = new TimeText();
  for (const gap of gapsOf(history, query, images)) {
    yield jsonLine({ time: times.iso(gap.fromMs), type: "gap", ...gap });
  }
  for (const image of images) yield jsonLine({ time: times.iso(image.startMs), type: "program", ...image });
}

/** The gaps of the time that is shown. */
function gapsOf(
  history: History,
  query: HistoryQuery,
  images: readonly HistoryImage[],
): ReturnType<History["gaps"]> {
  const first = query.orderBy === "start" ? images[0]?.startMs : undefined;
  return history.gaps({ ...query, sinceMs: query.sinceMs ?? first });
}

/** Says so if nothing is recorded any more. */
function noteEnd(history: History, { untilMs = Infinity }: HistoryQuery): void {
  const recordedMs = history.recordedMs();
  if (recordedMs === undefined || untilMs < recordedMs || Date.now() - recordedMs < LATE_MS) return;
  writeError(
    `cnctl: Nothing is recorded after ${new TimeText().iso(recordedMs)}: cnctl record does not run.\n`,
  );
}

function noteRest(count: number): void {
  if (count > 0) writeError(`cnctl: There are ${count} more; --limit sets how many are shown.\n`);
}

async function write(output: Output, lines: Iterable<string>): Promise<void> {
  let text = "";
  let count = 0;
  for (const line of lines) {
    text += line;
    if (++count % LINES !== 0) continue;
    if (!(await output.write(text))) return;
    text = "";
  }
  await output.write(text);
}

function withNewline(line: string): string {
  return `${line}\n`;
}
