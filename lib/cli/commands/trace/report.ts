import { type Command, InvalidArgumentError, Option } from "commander";
import { readFileSync, writeFileSync } from "node:fs";
import process from "node:process";
import { readTrace, type Trace } from "../../../trace/mod.ts";
import { otlpUrl } from "../../../trace/export_otlp.ts";
import { EXIT } from "../../errors.ts";
import { DIFF_FORMATS, type Format, formatComparison, FORMATS, formatTrace } from "./formats.ts";
import { sendSpans } from "./send.ts";

interface ReportFlags {
  readonly format: Format;
  readonly diff?: boolean;
  readonly redact?: boolean;
  readonly output?: string;
  readonly endpoint?: string;
}

/** How spans are sent. */
export const OTLP_DETAILS = `\
Spans are sent as OTLP/JSON to <url>/v1/traces. OTEL_EXPORTER_OTLP_HEADERS,
OTEL_EXPORTER_OTLP_TIMEOUT, OTEL_SERVICE_NAME and OTEL_RESOURCE_ATTRIBUTES are
heeded. If the receiver is busy or cannot be reached, it is tried again for half
a minute.`;

const DETAILS = `
Formats:
  text      totals, the critical path, programs, failures and findings
  markdown  the same as tables, for the summary of a CI job
  html      one file for a browser: processes over time, programs, search, and
            all that is known of each process; it makes no request
  folded    stacks of programs with their CPU time in microseconds, for flame
            graph programs and speedscope
  json      everything, for programs: processes by number, programs, the
            critical path
  perfetto  nested tracks of programs, for ui.perfetto.dev
  otlp      spans of OpenTelemetry, one for each process: JSON as a collector
            reads it from files, or with --endpoint sends to one by HTTP

--diff compares two recordings of the same job: which programs and commands take
longer, are new, are gone, or fail now. It has the formats text and json.

Where events were lost, or the recording was cut, every format says so; what may
be wrong for that reason is marked with ~.

A recording may be compressed by gzip.

Command lines may hold passwords and tokens: so do the recording and reports.
--redact hides values that are named after passwords, tokens, keys and cookies,
and the user part of URLs. Other secrets stay. Spans never have these values.

${OTLP_DETAILS}

The exit status is 0; 1 if the recording cannot be read or the report cannot be
written or sent; 2 for wrong arguments.

Examples:
  cnctl trace -o build.trace -- make
  cnctl report build.trace
  cnctl report build.trace --format html -o build.html
  cnctl report build.trace --format perfetto -o build.perfetto-trace
  cnctl report build.trace --format otlp --endpoint http://localhost:4318
  cnctl report --diff before.trace after.trace`;

/** Adds `cnctl report`. */
export function addReport(program: Command, finish: (status: number) => void): void {
  const command = program.command("report")
    .description("Make a report of a recording of cnctl trace.")
    .argument("<file...>", "the recording; with --diff two, the older first")
    .addOption(new Option("-f, --format <format>", "what to make").choices(FORMATS).default("text"))
    .option("-o, --output <file>", "write it there instead of to standard output")
    .addOption(
      new Option("--endpoint <url>", "with --format otlp: send it there").argParser(endpoint),
    )
    .option("--diff", "compare two recordings")
    .option("--redact", "hide what looks like a secret in command lines")
    .addHelpText("after", DETAILS)
    .action(async (files: readonly string[], { format, diff, redact, output, endpoint }: ReportFlags) => {
      if (files.length !== (diff ? 2 : 1)) {
        command.error(`error: give ${diff ? "two recordings" : "one recording; --diff compares two"}`);
      }
      if (diff && !DIFF_FORMATS.includes(format)) {
        command.error(`error: --diff has the formats ${DIFF_FORMATS.join(" and ")}`);
      }
      if (endpoint !== undefined && format !== "otlp") {
        command.error("error: --endpoint is for --format otlp");
      }
      if (endpoint !== undefined && output !== undefined) {
        command.error("error: --endpoint and --output cannot be used together");
      }
      const [trace, after] = files.map((file) => readFile(file, redact ?? false));
      if (endpoint !== undefined) {
        return finish(await sendSpans(trace!, endpoint) ? EXIT.ok : EXIT.failed);
      }
      const report = after === undefined
        ? formatTrace(trace!, format)
        : formatComparison(trace!, after, format);
      if (output === undefined) await writeToReader(process.stdout, report);
      else writeFile(output, report);
      finish(EXIT.ok);
    });
}

/** A URL that spans can be sent to. */
export function endpoint(text: string): string {
  try {
    otlpUrl(text);
    return text;
  } catch (error) {
    throw new InvalidArgumentError((error as Error).message.replace(/^Cannot send spans: t/, "T") + ".");
  }
}

/** How a file begins that is compressed. */
const GZIP = [0x1f, 0x8b] as const;

/**
 * Writes bytes to a standard stream; a reader that has closed it has had enough.
 *
 * @throws {Error} If they cannot be written for another reason, as on a full disk.
 */
export function writeToReader(stream: NodeJS.WriteStream, bytes: Uint8Array): Promise<void> {
  stream.on("error", () => {}); // the callback gets it as well
  return new Promise((resolve, reject) => {
    const finish = (error: unknown): void => {
      if (error === undefined || error === null || reasonOf(error) === "EPIPE") resolve();
      else reject(new Error(`Cannot write the output: ${reasonOf(error)}`, { cause: error }));
    };
    try {
      stream.write(bytes, finish);
    } catch (error) {
      finish(error); // Deno writes to a file at once
    }
  });
}

function readFile(path: string, redact: boolean): Trace {
  let bytes: Uint8Array;
  try {
    bytes = readFileSync(path);
    if (bytes[0] === GZIP[0] && bytes[1] === GZIP[1]) {
      bytes = process.getBuiltinModule("node:zlib").gunzipSync(bytes); // not loaded for other commands
    }
  } catch (error) {
    throw new Error(`Cannot read ${path}: ${reasonOf(error)}`, { cause: error });
  }
  return readTrace(bytes, redact);
}

/** Writes a file, or says why it could not be. */
export function writeFile(path: string, bytes: Uint8Array): void {
  try {
    writeFileSync(path, bytes, { mode: 0o600 });
  } catch (error) {
    throw new Error(`Cannot write ${path}: ${reasonOf(error)}`, { cause: error });
  }
}

/** The code of a file's error, as `ENOENT`. */
export function reasonOf(error: unknown): string {
  return (error as { code?: string }).code ?? (error as Error).message;
}
