import { type Command, InvalidArgumentError, Option } from "commander";
import { type EventClock, TimeText } from "../../io/clock.ts";
import { type ColourChoice, paint, wantsColour } from "../../io/colour.ts";
import { EXIT } from "../../errors.ts";
import { explain, explainJson } from "./explain.ts";
import { addFilterFlags, FILTER_DETAILS, type FilterFlags, filterOptions } from "./filter_flags.ts";
import { BufferedOutput } from "../../io/buffered_output.ts";
import { JsonMaker } from "../../io/json.ts";
import { DEFAULT_KINDS, kindNames, libraryKinds, parseKinds, type Selection } from "./kinds.ts";
import {
  groupNames,
  PROCESS_FIELDS,
  type ProcessField,
  type ShownEvent,
  userNames,
  watchProcesses,
} from "../../library.ts";
import { positiveInteger, seconds } from "../../arguments/numbers.ts";
import { type LineOutput, type Output, standardOutput, writeError } from "../../io/output.ts";
import { environment } from "../../runtime.ts";
import { safeText } from "../../io/safe_text.ts";
import { StopRequest } from "../../io/signals.ts";
import { Summary } from "./summary.ts";
import { Table } from "../../io/table.ts";
import { IdNames } from "../../io/id_names.ts";

/** Longest command line that is read, in bytes. Java's are long. */
const COMMAND_LINE_BYTES = 65_536;
/** How long what was queued in the kernel is still shown once the command was told to end. */
const DRAIN_MS = 1000;

/** The options as commander reads them. */
interface WatchFlags extends FilterFlags {
  readonly events: string;
  readonly threads?: boolean;
  readonly json?: boolean;
  readonly fields?: readonly ProcessField[];
  readonly header: boolean;
  readonly color: ColourChoice;
  readonly count?: number;
  readonly seconds?: number;
  readonly explain?: boolean;
}

/** Writes one line of an event, with its end. */
type LineMaker = (event: ShownEvent) => string;

const DETAILS = `
Rows:
  fork    a process started: PID is the child, Info its parent
  thread  a thread started: PID is its process, Info the thread
  exec    a process became a program: Info is by whom it was started
  exit    it ended: Info is the exit code, or the signal and "core" if it
          dumped one, and its parent; Duration is the time since its start
  uid gid sid ptrace comm
          ids, session, tracer or name changed: Info says to what
  core    it is dying of a signal that dumps core
  lost    the kernel had more events than could be read: Info says how many,
          also of kinds that are not shown; always shown

Time is that of the event, by the kernel, in local time. User is the real user;
it has a column from 100 columns on. The Command is quoted as a shell wants it,
and what a terminal would obey is escaped. [name] is a kernel thread, (name) a
process of which only the name is known, and ? one that was gone before even
that could be read. Lines are cut only on a terminal.

${FILTER_DETAILS.trimStart()}

Starts and ends of threads are shown with --threads, "--events thread" or
"--events all". Names that forkstat has work, too: clone and ptrce.

--json writes an object a line: "time" (ISO 8601), the fields of the library's
events by their names, "process" with what is known of the process, and for the
exit of a process "durationNs". Nanoseconds are decimal strings, what is not
known is null, and bytes that are not UTF-8 are \\udc80 to \\udcff. --fields
chooses what is read of each process: commandLine, exe, user and cgroup without
it, and on request cwd, loginUid, sessionId and terminal.

Ctrl-C ends it: what was queued until then is still shown, if it is read. A
summary on standard error counts what was written, and says what was received
and not shown, what was lost, and whether more was queued. The exit status is 0
when it was ended by Ctrl-C, SIGTERM, SIGHUP, --count, --seconds, the end of all
that -p or --tree chose, or a reader that has gone; 1 when it failed, and 2 for
wrong arguments.
A second Ctrl-C does not wait.

Examples:
  cnctl watch
  cnctl watch --events exec,exit --threads
  cnctl watch --json | jq -c 'select(.exitCode > 0) | .process.commandLine'`;

/** Adds `cnctl watch`. */
export function addWatch(program: Command, finish: (status: number) => void): void {
  const command = program.command("watch")
    .description("Show every process of this machine as it starts, runs and ends.")
    .addOption(
      new Option("-e, --events <list>", `what to show, separated by commas: ${kindNames().join(", ")}`)
        .default(DEFAULT_KINDS.join(","))
        .argParser(checkKinds),
    )
    .option("-t, --threads", "show threads, too");
  addFilterFlags(command)
    .option("-j, --json", "write JSON, an object a line")
    .addOption(
      new Option("--fields <list>", `JSON with these of each process: ${PROCESS_FIELDS.join(", ")}`)
        .implies({ json: true })
        .argParser(parseFields),
    )
    .option("--no-header", "leave out the line above the columns")
    .addOption(
      new Option("--color <when>", "colour: auto is on a terminal, but not with NO_COLOR or TERM=dumb")
        .choices(["auto", "always", "never"])
        .default("auto"),
    )
    .option("-n, --count <rows>", "end after so many rows", positiveInteger)
    .option("-s, --seconds <time>", "end after so many seconds", seconds)
    .option("--explain", "say where each choice is judged, with the kernel's filter program, and end")
    .addHelpText("after", DETAILS)
    .action(async (flags: WatchFlags) => finish(await watch(flags, standardOutput())));
}

/** Shows events until it is told to stop, or nobody reads any more. Answers the exit status. */
async function watch(flags: WatchFlags, output: LineOutput): Promise<number> {
  const selection = parseKinds(flags.events, flags.threads ?? false);
  using stop = new StopRequest();
  const summary = await show(flags, selection, output, stop);
  if (summary !== undefined) writeError(`${summary}\n`);
  return EXIT.ok;
}

/** Answers the summary, or undefined where the reader has gone and nobody wants one. */
async function show(
  flags: WatchFlags,
  selection: Selection,
  output: LineOutput,
  stop: StopRequest,
): Promise<string | undefined> {
  await using events = await watchProcesses({
    events: selection.unknown ? undefined : libraryKinds(selection),
    threads: selection.threads,
    // The table has no column for the program's file and the control group: they are not read for it.
    processInfo: {
      commandLineBytes: COMMAND_LINE_BYTES,
      fields: flags.json ? flags.fields : ["commandLine", "user"],
    },
    ...filterOptions(flags),
  });
  if (flags.explain) {
    await output.write((flags.json ? explainJson : explain)(events));
    return undefined;
  }
  for (const { part, note } of events.stats().filters) {
    if (note !== undefined) writeError(`Note: ${part}: ${safeText(note)}\n`);
  }
  const summary = new Summary(performance.now());
  let queueLeft = false;
  let late: ReturnType<typeof setTimeout> | undefined;
  stop.onRequest(() => {
    events.drain();
    output.hurry();
    late = setTimeout(() => {
      queueLeft = true;
      events.close();
    }, DRAIN_MS);
  });
  stop.after(flags.seconds);
  const gathered = new BufferedOutput(output, () => events.close());
  const table = flags.json ? undefined : new Table(events, selection, output, await names(selection));
  const line = table === undefined ? jsonLines(events) : tableLines(table, flags.color, output);
  // Lines above the first event, and then those that are known to be written.
  let counted = table !== undefined && flags.header ? 1 : 0;
  const countWritten = (): void => {
    if (output.linesWritten <= counted) return;
    summary.write(output.linesWritten - counted);
    counted = output.linesWritten;
  };
  try {
    if (counted === 1 && !(await gathered.write(`${table!.header()}\n`))) return undefined;
    let left = flags.count ?? Infinity;
    for await (const batch of events.batches()) {
      table?.fit();
      let text = "";
      for (const event of batch) {
        if (!isShown(event, selection)) continue;
        summary.receive(event);
        text += line(event);
        if (--left <= 0) break;
      }
      if (text !== "" && !(await gathered.write(text))) return undefined;
      countWritten();
      if (left <= 0) break;
    }
    if (!(await gathered.flush())) return undefined;
  } finally {
    clearTimeout(late);
  }
  countWritten();
  return summary.text({
    nowMs: performance.now(),
    queueLeft,
    untrustedByPort: events.stats().untrustedByPort,
  });
}

/** Only a gid event shows a group. */
async function names(selection: Selection): Promise<{ users: IdNames; groups: IdNames }> {
  const groups = selection.kinds.has("gid") ? await orNumbers(groupNames()) : new Map();
  return { users: new IdNames(await orNumbers(userNames())), groups: new IdNames(groups) };
}

/** Who watches processes can do without names. */
function orNumbers(names: Promise<ReadonlyMap<number, string>>): Promise<ReadonlyMap<number, string>> {
  return names.catch((error: Error) => {
    writeError(`cnctl: ${error.message}; ids are shown as numbers\n`);
    return new Map();
  });
}

function jsonLines(clock: EventClock): LineMaker {
  const json = new JsonMaker(clock, new TimeText());
  return (event) => `${json.make(event)}\n`;
}

function tableLines(table: Table, choice: ColourChoice, output: Output): LineMaker {
  const colour = wantsColour(choice, output.width() !== undefined, environment);
  return colour ? (event) => `${paint(table.line(event), event)}\n` : (event) => `${table.line(event)}\n`;
}

/** Whether an event was asked for: losses always are, and threads only by name. */
function isShown(event: ShownEvent, selection: Selection): boolean {
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
