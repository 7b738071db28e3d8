import { type Command, Option } from "commander";
import process from "node:process";
import { openSystem } from "../../../system.ts";
import type { StartedProcess, TraceProcessesOptions, TraceProgress } from "../../../trace/mod.ts";
import { recordProcesses } from "../../../trace/record.ts";
import type { RecordedEvent, RecordingEnd } from "../../../trace/recording.ts";
import { TraceBuilder } from "../../../trace/trace.ts";
import { safeText } from "../../../wire/escape.ts";
import { processId, seconds } from "../../arguments.ts";
import { errorText, EXIT } from "../../errors.ts";
import { writeError } from "../../io/output.ts";
import { StopRequest } from "../../io/signals.ts";
import { FILE_FORMATS, type Format, FORMATS, formatTrace } from "./formats.ts";
import { LiveLine } from "./live_line.ts";
import { RecordingFile } from "./recording_file.ts";
import { environment } from "../../runtime.ts";
import { endpoint, OTLP_DETAILS, writeFile, writeToReader } from "./report.ts";
import { sendSpans } from "./send.ts";
import { asUser, StartError, TracedCommand, withTraceParent } from "./traced_command.ts";

interface TraceFlags {
  readonly output?: string;
  readonly pid?: number;
  readonly cgroup?: string;
  readonly all?: boolean;
  readonly seconds?: number;
  readonly user?: string;
  readonly wait?: boolean;
  readonly live?: boolean;
  readonly redact?: boolean;
  readonly report: Format | "none";
  readonly reportFile?: string;
  readonly html?: string;
  readonly otlp?: string;
}

const DETAILS = `
The command keeps the terminal, standard input and its signals, and runs as fast
as without: it is not stopped, as it would be by strace. When it has ended, the
report goes to standard error. The recording has every process that descends
from it, also those that it started through sudo or as daemons, with command
line, directory, user, start, end, exit status, and (with CAP_NET_ADMIN) CPU
time and memory. What still runs when the command ends is followed with --wait,
until it has ended or Ctrl-C is pressed.

With --pid, --cgroup or --all nothing is started: the trace ends by Ctrl-C,
after --seconds, or when all processes of --pid have ended.

What is no descendant is not in the trace, as a container that a daemon starts:
use --cgroup or --all. Nor are failed attempts to execute a program.

Command lines may hold passwords and tokens: so does the recording, which only
its owner may read. --redact hides values that are named after passwords,
tokens, keys and cookies, and the user part of URLs. Other secrets stay.

--otlp sends a span of OpenTelemetry for each process. The command gets
TRACEPARENT in its environment: what it sends itself becomes part of the same
trace. If TRACEPARENT is set already, all of it belongs to that span.
${OTLP_DETAILS}
What cannot be sent is reported, and does not change the exit status.

The exit status is that of the command, 128 and the number of the signal that
ended it, 126 if it cannot be executed and 127 if it is not there; 0 if none was
started; 2 for wrong arguments, 1 if processes cannot be watched: then the
command is not started.

Examples:
  cnctl trace -- make -j4
  cnctl trace --html build.html -- make -j4
  cnctl trace -o build.trace --report none -- ./build.sh
  cnctl trace --report perfetto --report-file build.perfetto-trace -- make
  sudo cnctl trace --user "$USER" -- make test
  cnctl trace --otlp http://localhost:4318 --report none -- make test
  cnctl trace --pid 4711 --seconds 10`;

/** Adds `cnctl trace`. */
export function addTrace(program: Command, finish: (status: number) => void): void {
  const command = program.command("trace")
    .description("Run a command, and report all processes that it started.")
    .argument("[command]", "what to run")
    .argument("[args...]", "its arguments")
    .option("-o, --output <file>", "write a recording, for cnctl report")
    .addOption(
      new Option("-p, --pid <pid>", "trace a running process and its descendants instead").argParser(
        processId,
      ),
    )
    .option("--cgroup <group>", "trace a control group instead: a path or a name")
    .option("--all", "trace all processes instead")
    .addOption(
      new Option("-s, --seconds <number>", "without a command: stop after so many seconds").argParser(
        seconds,
      ),
    )
    .option("--wait", "when the command has ended, wait for what it left running")
    .option("--user <user>", "run the command as this user, with the user's groups")
    .option("--live", "show the number of processes on the terminal meanwhile")
    .option("--redact", "hide what looks like a secret in command lines")
    .addOption(
      new Option("--report <format>", "what to make at the end").choices([...FORMATS, "none"]).default(
        "text",
      ),
    )
    .option("--report-file <file>", "write the report there instead of to standard error")
    .option("--html <file>", "write an HTML report, too")
    .addOption(
      new Option("--otlp <url>", "send spans to an OpenTelemetry collector, too").argParser(endpoint),
    )
    .addHelpText("after", DETAILS)
    .action(async (file: string | undefined, args: readonly string[], flags: TraceFlags) => {
      const words = file === undefined ? undefined : [file, ...args];
      const complaint = complaintOf(words, flags);
      if (complaint !== undefined) command.error(`error: ${complaint}`);
      finish(await trace(words, flags));
    });
}

/** What is wrong with the arguments. */
function complaintOf(words: readonly string[] | undefined, flags: TraceFlags): string | undefined {
  const { pid, cgroup, all, user, wait, report, reportFile } = flags;
  const given = Object.entries({ "a command": words, "--pid": pid, "--cgroup": cgroup, "--all": all })
    .flatMap(([name, value]) => value === undefined ? [] : [name]);
  if (given.length === 0) return "give a command, --pid, --cgroup or --all";
  if (given.length > 1) return `${given.join(" and ")} cannot be used together`;
  if (words?.[0] === "") return "the command is empty";
  if (words !== undefined && flags.seconds !== undefined) return "--seconds is for --pid, --cgroup and --all";
  if (words === undefined && wait) return "--wait is for a command";
  if (words === undefined && user !== undefined) return "--user is for a command; it does not filter";
  if (report !== "none" && FILE_FORMATS.has(report) && reportFile === undefined) {
    return `--report ${report} requires --report-file`;
  }
  return undefined;
}

/** Traces, makes the report, and returns the exit status. */
async function trace(words: readonly string[] | undefined, flags: TraceFlags): Promise<number> {
  using file = flags.output === undefined ? undefined : new RecordingFile(flags.output);
  const until = new AbortController();
  const options: TraceProcessesOptions = {
    until: until.signal,
    redact: flags.redact,
    write: file && ((lines) => file.write(lines)),
  };
  if (words !== undefined) return await traceCommand(words, flags, options, until);
  using stop = new StopRequest();
  stop.onRequest(() => until.abort());
  const onBegin = (): void => stop.after(flags.seconds);
  await traceWith({ ...options, pid: flags.pid, cgroup: flags.cgroup }, flags, onBegin);
  return EXIT.ok;
}

/** Runs the command, and returns its exit status. */
async function traceCommand(
  words: readonly string[],
  flags: TraceFlags,
  options: TraceProcessesOptions,
  until: AbortController,
): Promise<number> {
  const { libc } = openSystem("trace processes");
  const launch = flags.user === undefined
    ? { command: words, environment: undefined }
    : asUser(libc, flags.user, words);
  using command = new TracedCommand(libc, () => until.abort());
  const start = (traceParent: string): Promise<StartedProcess> =>
    command.start(flags.otlp === undefined ? launch : withTraceParent(launch, traceParent));
  const traceParent = environment("TRACEPARENT");
  try {
    const { status } = await traceWith(
      { ...options, command: words, wait: flags.wait, traceParent, start },
      flags,
    );
    return await command.ended ?? status ?? EXIT.failed;
  } catch (error) {
    if (!(error instanceof StartError)) throw error;
    writeError(`cnctl: ${error.message}\n`);
    return error.status;
  }
}

/** Records and makes the report; `onBegin` is called when nothing is missed any more. */
async function traceWith(
  options: TraceProcessesOptions,
  flags: TraceFlags,
  onBegin: () => void = () => {},
): Promise<RecordingEnd> {
  const { report, reportFile, html, otlp } = flags;
  let builder: TraceBuilder | undefined;
  let end: RecordingEnd;
  {
    using live = flags.live ? new LiveLine() : undefined;
    const onProgress = live && ((progress: TraceProgress) => live.update(progress));
    end = await recordProcesses(openSystem("trace processes"), { ...options, onProgress }, {
      onHeader: (header) => {
        if (report !== "none" || html !== undefined || otlp !== undefined) builder = new TraceBuilder(header);
        onBegin();
      },
      onNote: (note) => writeError(`cnctl: ${safeText(note)}\n`),
      onEvent: (event) => builder?.apply(event as unknown as RecordedEvent),
    });
  }
  if (end.usageRefusal !== undefined) {
    writeError(`cnctl: CPU time and memory are unknown: ${end.usageRefusal}\n`);
  }
  if (end.lost > 0) {
    writeError(`cnctl: ${end.lost} events were lost: some of what is reported is uncertain\n`);
  }
  if (builder === undefined) return end;
  const trace = builder.build(end);
  if (html !== undefined) writeFile(html, formatTrace(trace, "html"));
  if (report !== "none") {
    const bytes = formatTrace(trace, report);
    if (reportFile !== undefined) writeFile(reportFile, bytes);
    else await writeToReader(process.stderr, bytes).catch(() => {}); // there is nowhere to say it
  }
  // The status of the command must not depend on a network.
  if (otlp !== undefined) await sendSpans(trace, otlp).catch((error) => writeError(errorText(error)));
  return end;
}
