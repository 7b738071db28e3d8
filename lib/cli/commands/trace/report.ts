import { type Command, Option } from "commander";
import { readFileSync, writeFileSync } from "node:fs";
import process from "node:process";
import { buildTrace, parseRecording } from "../../../trace/mod.ts";
import { EXIT } from "../../errors.ts";
import { type Format, FORMATS, formatTrace } from "./formats.ts";

interface ReportFlags {
  readonly format: Format;
  readonly output?: string;
}

const DETAILS = `
Formats:
  text      totals, the critical path, programs, failures and findings
  markdown  the same as tables, for the summary of a CI job
  folded    stacks of programs with their CPU time in microseconds, for flame
            graph programs and speedscope
  perfetto  nested tracks of programs, for ui.perfetto.dev

Command lines may hold passwords and tokens: so do the recording and reports.

The exit status is 0; 1 if the recording cannot be read or the report cannot be
written; 2 for wrong arguments.

Examples:
  cnctl trace -o build.trace -- make
  cnctl report build.trace
  cnctl report build.trace --format perfetto -o build.perfetto-trace`;

/** Adds `cnctl report`. */
export function addReport(program: Command, finish: (status: number) => void): void {
  program.command("report")
    .description("Make a report of a recording of cnctl trace.")
    .argument("<file>", "the recording")
    .addOption(new Option("-f, --format <format>", "what to make").choices(FORMATS).default("text"))
    .option("-o, --output <file>", "write it there instead of to standard output")
    .addHelpText("after", DETAILS)
    .action(async (file: string, { format, output }: ReportFlags) => {
      const report = formatTrace(buildTrace(parseRecording(readText(file))), format);
      if (output === undefined) await writeToReader(process.stdout, report);
      else writeFile(output, report);
      finish(EXIT.ok);
    });
}

/** Writes bytes to a standard stream; a reader that has closed it has had enough. */
export function writeToReader(stream: NodeJS.WriteStream, bytes: Uint8Array): Promise<void> {
  stream.on("error", () => {});
  return new Promise((resolve) => stream.write(bytes, () => resolve()));
}

function readText(path: string): string {
  try {
    return readFileSync(path, "utf8");
  } catch (error) {
    throw new Error(`Cannot read ${path}: ${reasonOf(error)}`, { cause: error });
  }
}

/** Writes a file, or says why it could not be. */
export function writeFile(path: string, bytes: Uint8Array): void {
  try {
    writeFileSync(path, bytes);
  } catch (error) {
    throw new Error(`Cannot write ${path}: ${reasonOf(error)}`, { cause: error });
  }
}

/** The code of a file's error, as `ENOENT`. */
export function reasonOf(error: unknown): string {
  return (error as { code?: string }).code ?? (error as Error).message;
}
