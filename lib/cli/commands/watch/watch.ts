import { type Command, InvalidArgumentError, Option } from "commander";
import { type ProcessEvent, type ProcessField, type ProcessWatch, watchProcesses } from "../../../../mod.ts";
import { PROCESS_FIELDS } from "../../../processes/info.ts";
import { MOST_LATENCY_MS } from "../../../processes/options.ts";
import { groupNames, userNames } from "../../../procfs/accounts.ts";
import { openSystem } from "../../../system.ts";
import { generations, ListOption, unsigned } from "../../arguments.ts";
import { EXIT } from "../../errors.ts";
import { type ColourChoice, paint, wantsColour } from "../../io/colour.ts";
import { jsonMember } from "../../../wire/json_text.ts";
import { type LineOutput, standardOutput, writeError } from "../../io/output.ts";
import { addStreamFlags, showStream, type StreamFlags } from "../../io/show_stream.ts";
import { StopRequest } from "../../io/signals.ts";
import { shortenTimeSlice } from "../../io/time_slice.ts";
import { safeText } from "../../../wire/escape.ts";
import { type EventClock, TimeText } from "../../io/time.ts";
import { environment } from "../../runtime.ts";
import { explain, explainJson } from "./explain.ts";
import { addFilterFlags, FILTER_DETAILS, type FilterFlags, filterOptions } from "../../filter_flags.ts";
import { DEFAULT_KINDS, kindNames, libraryKinds, parseKinds, type Selection } from "./kinds.ts";
import { IdNames } from "./row.ts";
import { Summary } from "./summary.ts";
import { Table } from "./table.ts";

/** How long rows may wait under load: too short to see, and each wake-up then takes many events. */
const TERMINAL_LATENCY_MS = 20;
/** The same in a file or a pipe, which nobody looks at that closely. */
const LATENCY_MS = 100;
/** How long the fork of a program that may end at once is followed to its exec, where there are no exec records. */
const EXEC_WAIT_MS = 2;
/** How much of a command line is read, in bytes. Those of Java programs are long. */
const COMMAND_LINE_BYTES = 65_536;
/** How long events that are still queued in the kernel are shown after a request to stop. */
const DRAIN_MS = 1000;

/** The options as commander parses them. */
interface WatchFlags extends FilterFlags, StreamFlags {
  readonly events: string;
  readonly threads?: boolean;
  readonly fields?: readonly ProcessField[];
  readonly parents?: number;
  readonly execRecords: (typeof EXEC_RECORDS_MODES)[number];
  readonly latency?: number;
  readonly usage?: boolean;
  readonly header: boolean;
  readonly color: ColourChoice;
  readonly explain?: boolean;
}

const EXEC_RECORDS_MODES = ["auto", "off", "required"] as const;

const DETAILS = `
Rows:
  fork    a process started: PID is the child, Info its parent
  thread  a thread started: PID is its process, Info the thread
  exec    a process executed a program: Info is its parent
  exit    a process exited: Info is the exit code or the signal, "core" if it
          dumped one, and its parent; Duration is its lifetime
  uid gid sid ptrace comm
          the ids, session, tracer or name changed: Info is the new value
  core    a process is about to dump core
  lost    the kernel dropped events that were not read in time: Info is their
          number, which includes types not shown; always shown

Time is when the event occurred, in local time. User is the real user; the
column is shown from 100 columns on. Command is quoted for a shell, with unsafe
characters escaped. [name] is a kernel thread, (name) a process of which only
the name is known, and ? one that exited before anything could be read. Lines
are cut only on a terminal. With --parents, the names of the parents come before
the command, the nearest last, as they were when each created the next: parents
that have exited since are shown, too. In JSON they are "parents" of "process",
the nearest first.

${FILTER_DETAILS.trimStart()}

Threads are shown with --threads, "--events thread" or "--events all". The
names that forkstat uses, clone and ptrce, work as well.

--json prints one object per line: "time" (ISO 8601), the event's fields as
named by the library, "process" with what is known of the process, and for the
exit of a process "durationNs". Nanoseconds are decimal strings, unknown values
are null, and bytes that are not UTF-8 are \\udc80 to \\udcff. --fields selects
what is read of each process; the default is commandLine, exe, user and cgroup,
and cwd, loginUid, sessionId and terminal are available.

As root, or with CAP_BPF and CAP_PERFMON, command lines are recorded in the
kernel by an eBPF program; "cnctl doctor" reports what is missing. Otherwise,
and with "--exec-records off", they are read from /proc, which may be too late
for a short-lived process; to be quick, "cnctl watch" then does not wait for
more events except under heavy load.

With --usage, Info of an exit also has the CPU time of the process and the most
memory that it had resident, and --json has all of "usage": faults, context
switches, storage and more. Without CAP_NET_ADMIN they are unknown.

Press Ctrl-C to stop; events already queued are still shown. A summary on
standard error counts the events that were written, those received but not
written, those that a filter could not match because their process exited before
it could be read, and those lost. Press Ctrl-C again to exit without waiting.

The exit status is 0 after Ctrl-C, SIGTERM, SIGHUP, --count or --seconds, when
all processes of --pid or --tree have exited, or when the output is closed; 1 on
failure; 2 for wrong arguments.

Examples:
  cnctl watch
  cnctl watch --events exec,exit --threads
  cnctl watch --failed --not-comm 'kworker*'
  cnctl watch --json | jq -c 'select(.exitCode > 0) | .process.commandLine'`;

/** Adds `cnctl watch`. */
export function addWatch(program: Command, finish: (status: number) => void): void {
  const command = program.command("watch")
    .description("Show processes as they start, execute programs and exit.")
    .addOption(
      new ListOption("-e, --events <list>", "events to show, separated by commas", kindNames())
        .default(DEFAULT_KINDS.join(","))
        .argParser(checkKinds),
    )
    .option("-t, --threads", "also show threads")
    .option("--failed", "only failed exits");
  addStreamFlags(addFilterFlags(command), "rows")
    .addOption(
      new ListOption("--fields <list>", "print JSON with these process fields", PROCESS_FIELDS)
        .implies({ json: true })
        .argParser(parseFields),
    )
    .option("--parents <generations>", "show this many generations of parents: make > sh > gcc", generations)
    .addOption(
      new Option("--exec-records <when>", "record command lines in the kernel; auto: where permitted")
        .choices(EXEC_RECORDS_MODES)
        .default("auto"),
    )
    .addOption(
      new Option(
        "--latency <ms>",
        `how long rows may wait under load, in milliseconds (default: ${TERMINAL_LATENCY_MS} on a terminal, else ${LATENCY_MS})`,
      )
        .argParser((text) => unsigned(text, MOST_LATENCY_MS)),
    )
    .option("--usage", "show CPU time and peak memory of each process that exits (wants CAP_NET_ADMIN)")
    .option("--no-header", "omit the column titles")
    .addOption(
      new Option("--color <when>", "use colour; auto: on a terminal, unless NO_COLOR or TERM=dumb")
        .choices(["auto", "always", "never"])
        .default("auto"),
    )
    .option("--explain", "show where each filter runs and the BPF program, then exit")
    .addHelpText("after", DETAILS)
    .action(async (flags: WatchFlags) => finish(await watch(flags, standardOutput())));
}

/** Shows events until the watch ends or is asked to stop. Returns the exit status. */
async function watch(flags: WatchFlags, output: LineOutput): Promise<number> {
  using stop = new StopRequest();
  const selection = parseKinds(flags.events, flags.threads ?? false);
  let summary: string | undefined;
  {
    await using events = await openWatch(flags, selection, output);
    if (flags.explain) await output.write((flags.json ? explainJson : explain)(events));
    else summary = await show(events, flags, selection, stop, output);
  }
  // After the watch has been closed, which may take a moment.
  if (summary !== undefined) writeError(`${summary}\n`);
  return EXIT.ok;
}

async function openWatch(
  flags: WatchFlags,
  selection: Selection,
  output: LineOutput,
): Promise<ProcessWatch> {
  const events = await watchProcesses({
    events: selection.unknown ? undefined : libraryKinds(selection),
    threads: selection.threads,
    // The table has no column for the executable and the control group, so they are not read for it.
    processInfo: {
      commandLineBytes: COMMAND_LINE_BYTES,
      execRecords: flags.execRecords,
      execWaitMs: EXEC_WAIT_MS,
      parents: flags.parents,
      fields: flags.json ? flags.fields : ["commandLine", "user"],
    },
    latencyMs: flags.latency ?? (output.width() === undefined ? LATENCY_MS : TERMINAL_LATENCY_MS),
    usage: flags.usage,
    ...filterOptions(flags),
  });
  // Without records command lines are read from /proc, where they are for as long as a process lives.
  if (events.stats().commandLines?.recorder !== "active") {
    shortenTimeSlice(openSystem("watch processes").libc);
  }
  return events;
}

/** Returns the summary, or undefined if the reader has closed the output. */
async function show(
  events: ProcessWatch,
  flags: WatchFlags,
  selection: Selection,
  stop: StopRequest,
  output: LineOutput,
): Promise<string | undefined> {
  for (const { part, note } of events.stats().filters) {
    if (note !== undefined) writeError(`Note: ${part}: ${safeText(note)}\n`);
  }
  const { usage } = events.stats();
  if (usage?.refusal !== undefined) writeError(`Note: CPU time and memory are unknown: ${usage.refusal}\n`);
  const summary = new Summary(performance.now());
  const table = flags.json ? undefined : new Table(events, selection, output, await names(selection));
  const colour = wantsColour(flags.color, output.width() !== undefined, environment);
  const times = new TimeText();
  const format = (event: ProcessEvent): string => {
    if (table === undefined) return eventJson(event, events, times);
    return colour ? `${paint(table.line(event), event)}\n` : `${table.line(event)}\n`;
  };
  const header = table !== undefined && flags.header ? `${table.header()}\n` : undefined;
  let linesCounted = header === undefined ? 0 : 1;
  let queueLeft = false;
  let late: ReturnType<typeof setTimeout> | undefined;
  const open = await showStream(
    {
      batches: events.batches(),
      end() {
        events.drain();
        late = setTimeout(() => {
          queueLeft = true;
          events.close();
        }, DRAIN_MS);
      },
      header,
      line(event) {
        if (!isShown(event, selection)) return undefined;
        summary.receive(event);
        return format(event);
      },
      onBatch() {
        table?.fit();
        const { linesWritten } = output;
        if (linesWritten > linesCounted) summary.write(linesWritten - linesCounted);
        linesCounted = Math.max(linesCounted, linesWritten);
      },
    },
    stop,
    flags,
    output,
  ).finally(() => clearTimeout(late));
  if (!open) return undefined;
  const { undecided, untrustedSenders } = events.stats();
  return summary.text({ nowMs: performance.now(), queueLeft, undecided, untrustedSenders });
}

/**
 * An event as one line of JSON, with its newline: the wall-clock time, the fields of the library's event by their own
 * names, the duration if it is the exit of a process, and last the process.
 */
export function eventJson(event: ProcessEvent, clock: EventClock, times: TimeText): string {
  let json = `{${jsonMember("time", times.iso(clock.wallTimeMs(event.timestampNs)))}`;
  for (const name in event) {
    if (name !== "process") json += `,${jsonMember(name, event[name as keyof ProcessEvent])}`;
  }
  const { process } = event;
  if (event.type === "exit" && !event.thread) {
    const durationNs = process?.startNs === undefined ? undefined : event.timestampNs - process.startNs;
    json += `,${jsonMember("durationNs", durationNs)}`;
  }
  return `${json},${jsonMember("process", process)}}\n`;
}

/** Names of users and, for gid events, of groups. */
async function names(selection: Selection): Promise<{ users: IdNames; groups: IdNames }> {
  const groups = selection.kinds.has("gid") ? await orNumbers(groupNames()) : new Map();
  return { users: new IdNames(await orNumbers(userNames())), groups: new IdNames(groups) };
}

/** The names, or none if they cannot be read: that is no reason to fail. */
export function orNumbers(names: Promise<ReadonlyMap<number, string>>): Promise<ReadonlyMap<number, string>> {
  return names.catch((error: Error) => {
    writeError(`cnctl: ${error.message}; showing ids as numbers\n`);
    return new Map();
  });
}

/** Whether an event is selected; losses always are. */
function isShown(event: ProcessEvent, selection: Selection): boolean {
  switch (event.type) {
    case "lost":
      return true;
    case "unknown":
      return selection.unknown;
    case "fork":
      return selection.kinds.has(event.thread ? "thread" : "fork");
    case "exit":
      return selection.kinds.has("exit") && (!event.thread || selection.threads);
    case "coredump":
      return selection.kinds.has("core");
    default:
      return selection.kinds.has(event.type);
  }
}

function checkKinds(list: string): string {
  try {
    parseKinds(list, false);
  } catch (error) {
    throw new InvalidArgumentError((error as Error).message);
  }
  return list;
}

function parseFields(list: string): readonly ProcessField[] {
  return list.split(",").map((part) => {
    const field = PROCESS_FIELDS.find((each) => each.toLowerCase() === part.trim().toLowerCase());
    if (field === undefined) throw new InvalidArgumentError(`Choose from ${PROCESS_FIELDS.join(", ")}.`);
    return field;
  });
}
