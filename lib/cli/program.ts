import { Command, CommanderError } from "commander";
import process from "node:process";
import { COMMANDS } from "./commands.ts";
import { errorText, EXIT } from "./errors.ts";
import { writeError, writeOut } from "./io/output.ts";
import { safeSentence } from "./io/safe_text.ts";
import { VERSION } from "./version.ts";

/** Where a run of the program speaks, beside what its subcommands write. */
export interface Speech {
  /** Help and version. */
  out(text: string): void;
  /** Complaints. */
  error(text: string): void;
}

/** Runs the command with the arguments that follow its name, and answers its exit status. */
export async function run(args: readonly string[], speech: Speech): Promise<number> {
  let status: number = EXIT.ok;
  const program = makeProgram(speech, (its) => status = its);
  try {
    await program.parseAsync(args, { from: "user" });
    return status;
  } catch (error) {
    if (!(error instanceof CommanderError)) {
      speech.error(errorText(error));
      return EXIT.failed;
    }
    // It has said already what is wrong. No arguments at all is a question, and the help is its answer.
    return error.exitCode === 0 ? EXIT.ok : EXIT.usage;
  }
}

/** The program with its subcommands. */
function makeProgram(speech: Speech, finish: (status: number) => void): Command {
  const program = new Command("cnctl")
    .description("Listen to the Linux kernel's connector: processes as they start, run and end.")
    .version(VERSION, "-V, --version", "print the version")
    .helpOption("-h, --help", "print this help")
    .helpCommand("help [command]", "print the help of a command")
    .exitOverride()
    .configureOutput({
      writeOut: (text) => speech.out(text),
      writeErr: (text) => speech.error(text),
      outputError: (text, write) => write(safeLines(text.replace(/^error: /, "cnctl: "))),
      getOutHelpWidth: () => process.stdout.columns || 80,
      getErrHelpWidth: () => process.stderr.columns || 80,
      // What commander would look up in the environment is refused, or asked for, on Deno.
      getOutHasColors: () => false,
      getErrHasColors: () => false,
    });
  for (const add of COMMANDS) add(program, finish);
  helpAfterErrors(program, "cnctl");
  return program;
}

/** What is good is said where something is wrong: the commands of a command, or else its options. */
function helpAfterErrors(command: Command, path: string): void {
  const { commands } = command;
  if (commands.length > 0) {
    command.showHelpAfterError(`Commands: ${commands.map((its) => its.name()).join(", ")}, help`);
  } else {
    const options = command.options.map((option) => option.long).join(" ");
    command.showHelpAfterError(`Options: ${options} --help\nSee: ${path} help ${command.name()}`);
  }
  const own = command.parent === null ? path : `${path} ${command.name()}`;
  for (const its of commands) helpAfterErrors(its, own);
}

/** The speech of the process itself. */
export function standardSpeech(): Speech {
  return { out: writeOut, error: writeError };
}

/** Escapes what a user has typed, line by line. */
function safeLines(text: string): string {
  return text.split("\n").map(safeSentence).join("\n");
}
