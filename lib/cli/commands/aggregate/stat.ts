import { type Command, Option } from "commander";
import type { ProcessEventType } from "../../../../mod.ts";
import {
  AGGREGATE_BY,
  AGGREGATE_FIELDS,
  type AggregateBy,
  ProcessAggregate,
  type ProcessGroup,
} from "../../../processes/aggregate.ts";
import { processId, seconds } from "../../arguments.ts";
import { EXIT } from "../../errors.ts";
import { jsonLine } from "../../../wire/json_text.ts";
import { type Output, standardOutput, writeError } from "../../io/output.ts";
import { StopRequest } from "../../io/signals.ts";
import { cutToWidth, padEndToWidth, textWidth } from "../../io/text.ts";
import { lossText } from "../../loss_text.ts";
import type { IdNames } from "../watch/row.ts";
import {
  COLUMN,
  type Column,
  countColumn,
  durationColumn,
  failuresText,
  formatLine,
  groupName,
  NAME_TITLES,
} from "./group_table.ts";
import { namesFor, openSummedWatch } from "./open.ts";

/** The options as commander parses them. */
interface StatFlags {
  readonly by: AggregateBy;
  readonly seconds?: number;
  readonly tree?: number;
  readonly usage?: boolean;
  readonly json?: boolean;
}

/** What was summed up. */
export interface StatReport {
  readonly by: AggregateBy;
  readonly seconds: number;
  readonly lost: number;
  readonly uncountedLosses: number;
  /** Messages that somebody other than the kernel sent; they are not counted. */
  readonly forged: number;
  readonly groups: readonly ProcessGroup[];
}

/** How long events that are still queued in the kernel are summed up after a request to stop. */
const DRAIN_MS = 1000;

const EVENTS: readonly ProcessEventType[] = [
  "fork",
  "exec",
  "exit",
  "comm",
  "uid",
  "gid",
  "sid",
  "ptrace",
  "coredump",
];

const ALWAYS: readonly Column<ProcessGroup>[] = [
  countColumn("Starts", ({ starts }) => starts),
  countColumn("Running", ({ running }) => running),
  countColumn("Ended", ({ ended }) => ended),
  countColumn("Failed", ({ failed }) => failed),
  durationColumn("Median", ({ lifetimes }) => lifetimes.quantileNs(0.5)),
  durationColumn("Longest", ({ lifetimes }) => lifetimes.count === 0 ? undefined : lifetimes.longestNs),
  countColumn("Forks", ({ events }) => events.fork),
  countColumn("Execs", ({ events }) => events.exec),
];

const FORKS = ALWAYS.findIndex(({ title }) => title === "Forks");
/** With --usage, before the forks. */
const CPU: Column<ProcessGroup> = durationColumn(
  "CPU",
  ({ measured, cpuNs }) => measured === 0 ? undefined : cpuNs,
);

/** Columns for what is rare. */
const IF_ANY: readonly Column<ProcessGroup>[] = [
  countColumn("Unseen", ({ unknownStatus }) => unknownStatus),
  countColumn("Cores", ({ events }) => events.coredump),
  countColumn("Comm", ({ events }) => events.comm),
  countColumn("Uid", ({ events }) => events.uid),
  countColumn("Gid", ({ events }) => events.gid),
  countColumn("Sid", ({ events }) => events.sid),
  countColumn("Ptrace", ({ events }) => events.ptrace),
];

/** What a terminal line must have room for, besides the numbers. */
const NAME = 16;

const DETAILS = `
A line sums up the processes of one program, or with --by of one parent
program, user or control group, also of those that started and ended meanwhile.
Lines without any event are left out.

Columns:
  Starts   processes that started: by exec, or as a child that executes nothing
  Running  processes that are running at the end
  Ended    processes that ended
  Failed   those that ended with a code other than 0 or by a signal; the last
           column says how many with which
  Median, Longest
           lifetimes of those that ended; the median is exact to 5 %
  CPU      with --usage: processor time of those that ended, as far as it is
           known (wants CAP_NET_ADMIN)
  Forks    processes that these created
  Execs    programs that were executed
  Unseen, Cores, Comm, Uid, Gid, Sid, Ptrace
           ends of which the event was lost, fatal signals that dump core,
           changes of the name, of the ids, of the session and of the tracer;
           shown if there are any

All kernel threads of a kind are one program: [kworker]. ? is a program that
ended before its name could be read. There are at most 1000 lines; (others) sums
up the rest. Losses are counted in the last line.

--json prints one object: "by", "seconds", "lost", "uncountedLosses", "forged"
and "groups", which also holds those without any event. The name of a group is
null if it is unknown, and "isOther" is true for the rest. For users, "name" is
the number of the user. "failures" counts the failed ones by code or signal, and
"events" counts events by type. "cpuSeconds" is null without --usage.

Without --seconds it runs until Ctrl-C. The exit status is 0 after --seconds,
Ctrl-C, SIGTERM or SIGHUP, or when the last process of --tree has exited; 1 on
failure; 2 for wrong arguments.

Examples:
  cnctl stat --seconds 10
  cnctl stat --seconds 60 --by parent
  cnctl stat --tree 4711 --json | jq '.groups[] | select(.failed > 0)'`;

/** Adds `cnctl stat`. */
export function addStat(program: Command, finish: (status: number) => void): void {
  program.command("stat")
    .description("Sum up what processes do: who starts, ends and fails how often.")
    .option("-s, --seconds <time>", "stop after this many seconds", seconds)
    .addOption(new Option("-b, --by <what>", "sum up by").choices(AGGREGATE_BY).default("program"))
    .addOption(new Option("--tree <pid>", "only this process and its descendants").argParser(processId))
    .option("--usage", "sum up the CPU time of processes that end (wants CAP_NET_ADMIN)")
    .option("-j, --json", "print one JSON object")
    .addHelpText("after", DETAILS)
    .action(async (flags: StatFlags) => finish(await stat(flags, standardOutput())));
}

async function stat(flags: StatFlags, output: Output): Promise<number> {
  using stop = new StopRequest();
  const { by } = flags;
  const users = await namesFor(by);
  const report = await sumUp(flags, stop);
  await output.write(flags.json ? statJson(report) : statText(report, users, output.width()));
  return EXIT.ok;
}

/** Sums up until the request to stop, or until the last process of the tree has ended. */
async function sumUp({ by, tree, seconds, usage }: StatFlags, stop: StopRequest): Promise<StatReport> {
  await using watch = await openSummedWatch(AGGREGATE_FIELDS[by], EVENTS, tree, usage);
  const aggregate = new ProcessAggregate(by);
  writeError(`cnctl: Summing up${seconds === undefined ? "" : ` for ${seconds} s`}; press Ctrl-C to stop.\n`);
  const startedMs = performance.now();
  let endedMs: number | undefined;
  let late: ReturnType<typeof setTimeout> | undefined;
  stop.onRequest(() => {
    endedMs = performance.now();
    watch.drain();
    late = setTimeout(() => watch.close(), DRAIN_MS);
  });
  stop.after(seconds);
  try {
    for await (const batch of watch.batches()) aggregate.apply(batch);
  } finally {
    clearTimeout(late);
  }
  return {
    by,
    seconds: ((endedMs ?? performance.now()) - startedMs) / 1000,
    lost: aggregate.losses.lost,
    uncountedLosses: aggregate.losses.uncountedLosses,
    forged: watch.stats().untrusted,
    groups: aggregate.groups(),
  };
}

/** The report as a table, busiest first, and a line with the sums. */
export function statText(report: StatReport, users: IdNames, width: number = Infinity): string {
  const { by } = report;
  const rows = report.groups.filter(isActive).sort((a, b) => activity(b) - activity(a));
  const columns = fittingColumns(rows, width);
  const names = [NAME_TITLES[by], ...rows.map((row) => groupName(row, by, users))];
  const most = Math.min(Math.max(...names.map(textWidth)), width === Infinity ? Infinity : 2 * NAME);
  const line = (cells: string[], name: string, after: string): string => {
    const rest = after === "" ? name : `${padEndToWidth(cutToWidth(name, most), most)}  ${after}`;
    return `${formatLine(cells, rest, width).trimEnd()}\n`;
  };
  const anyFailed = rows.some(({ failed }) => failed > 0);
  const lines = [line(columns.map(({ title }) => title), names[0]!, anyFailed ? "Failed with" : "")];
  for (const [i, row] of rows.entries()) {
    lines.push(line(columns.map(({ text }) => text(row)), names[i + 1]!, failuresText(row)));
  }
  return `${lines.join("")}${sumText(report)}\n`;
}

/** The report as one line of JSON, with its newline. */
export function statJson({ groups, ...report }: StatReport): string {
  return jsonLine({
    ...report,
    groups: groups.map(({ name, isOther, lifetimes, failures, measured, cpuNs, ...counts }) => ({
      name,
      isOther,
      ...counts,
      failures: Object.fromEntries(failures),
      cpuSeconds: measured === 0 ? null : inSeconds(cpuNs),
      medianLifetimeSeconds: inSeconds(lifetimes.quantileNs(0.5)),
      longestLifetimeSeconds: lifetimes.count === 0 ? null : inSeconds(lifetimes.longestNs),
    })),
  });
}

/** `812 starts, 810 ended, 3 failed in 10.0 s; none lost`. */
function sumText(report: StatReport): string {
  const { groups, seconds, forged } = report;
  const sum = (value: (group: ProcessGroup) => number): number =>
    groups.reduce((total, group) => total + value(group), 0);
  return `${sum(({ starts }) => starts)} starts, ${sum(({ ended }) => ended)} ended, ` +
    `${sum(({ failed }) => failed)} failed in ${seconds.toFixed(1)} s; ${lossText(report)}` +
    (forged === 0 ? "" : `; ${forged} forged, not counted`);
}

/** The columns that have room, and of the rare ones those that have anything to show. */
function fittingColumns(rows: readonly ProcessGroup[], width: number): readonly Column<ProcessGroup>[] {
  const rare = IF_ANY.filter(({ value }) => rows.some((row) => (value(row) ?? 0) > 0));
  const room = Math.max(Math.floor((width - NAME) / (COLUMN + 1)), 1);
  const cpu = rows.some(({ measured }) => measured > 0) ? [CPU] : [];
  return [...ALWAYS.slice(0, FORKS), ...cpu, ...ALWAYS.slice(FORKS), ...rare].slice(0, room);
}

function activity({ starts, ended, events }: ProcessGroup): number {
  return starts + ended + events.fork;
}

function isActive(group: ProcessGroup): boolean {
  return activity(group) > 0 || Object.values(group.events).some((count) => count > 0);
}

function inSeconds(ns: number | undefined): number | undefined {
  return ns === undefined ? undefined : ns / 1e9;
}
