import { Command, CommanderError } from "commander";
import process from "node:process";
import { addStat } from "./commands/aggregate/stat.ts";
import { addTop } from "./commands/aggregate/top.ts";
import { addBus } from "./commands/bus/bus.ts";
import { addListen } from "./commands/bus/listen.ts";
import { addRequest } from "./commands/bus/request.ts";
import { addMetrics } from "./commands/metrics/metrics.ts";
import { addOn } from "./commands/on/on.ts";
import { addSend } from "./commands/bus/send.ts";
import { addCompletion } from "./commands/completion/completion.ts";
import { addDmLog } from "./commands/dm_log/dm_log.ts";
import { addDoctor } from "./commands/doctor.ts";
import { addCollect } from "./commands/fleet/collect.ts";
import { addShip } from "./commands/fleet/ship.ts";
import { addHistory } from "./commands/history/history.ts";
import { addRecord } from "./commands/history/record.ts";
import { addReport } from "./commands/trace/report.ts";
import { addTrace } from "./commands/trace/trace.ts";
import { addTree } from "./commands/tree/tree.ts";
import { addW1 } from "./commands/w1/w1.ts";
import { addWait } from "./commands/wait/wait.ts";
import { addWatch } from "./commands/watch/watch.ts";
import { errorText, EXIT } from "./errors.ts";
import { writeError, writeOut } from "./io/output.ts";
import { wrap } from "./io/text.ts";
import { suggest } from "./suggest.ts";
import { VERSION } from "./version.ts";
import { safeSentence } from "../wire/escape.ts";

/** Where help, the version and error messages go. Output of the subcommands is written elsewhere. */
export interface Console {
  /** Help and version. */
  out(text: string): void;
  /** Error messages. */
  error(text: string): void;
}

/** Runs the command with the arguments that follow its name, and returns its exit status. */
export async function run(args: readonly string[], console: Console): Promise<number> {
  let status: number = EXIT.ok;
  const program = makeProgram(console, (its) => status = its);
  try {
    await program.parseAsync(args, { from: "user" });
    return status;
  } catch (error) {
    if (!(error instanceof CommanderError)) {
      console.error(errorText(error));
      // The library refuses arguments that only it can check, such as a user that does not exist, with these.
      return error instanceof TypeError || error instanceof RangeError ? EXIT.usage : EXIT.failed;
    }
    // Commander has printed the message. Without any arguments that is the help, which is a usage error as well.
    return error.exitCode === 0 ? EXIT.ok : EXIT.usage;
  }
}

/** The console of this process. */
export function standardConsole(): Console {
  return { out: writeOut, error: writeError };
}

/** The program with its subcommands, in the order of the help. An action passes its exit status to `finish`. */
export function makeProgram(console: Console, finish: (status: number) => void): Command {
  const program = new Command("cnctl")
    .description("Watch processes and talk to drivers over the Linux kernel connector.")
    .version(VERSION, "-V, --version", "print the version")
    .helpOption("-h, --help", "print this help")
    .exitOverride()
    .configureOutput({
      writeOut: (text) => console.out(text),
      writeErr: (text) => console.error(text),
      getOutHelpWidth: () => process.stdout.columns || 80,
      getErrHelpWidth: () => process.stderr.columns || 80,
      // Commander would read environment variables, for which Deno prompts or throws.
      getOutHasColors: () => false,
      getErrHasColors: () => false,
    });
  const all = [
    addWatch,
    addWait,
    addOn,
    addStat,
    addTop,
    addTree,
    addTrace,
    addReport,
    addRecord,
    addHistory,
    addShip,
    addCollect,
    addMetrics,
    addDoctor,
    addBus,
    addListen,
    addSend,
    addRequest,
    addW1,
    addDmLog,
    addCompletion,
  ];
  for (const add of all) {
    add(program, finish);
  }
  finishCommand(program, "cnctl");
  return program;
}

/** Adds what commands have in common: usage errors that say what is valid, and for a group the command `help`. */
function finishCommand(command: Command, path: string): void {
  if (command.commands.length > 0) addHelp(command);
  for (const its of command.commands) finishCommand(its, `${path} ${its.name()}`);
  const commands = command.commands.map((its) => its.name());
  const options = [...command.options.map(({ long }) => long), "--help"].join(" ");
  command.showHelpAfterError(
    commands.length > 0 ? list(`Commands: ${commands.join(", ")}`) : `See: ${path} --help`,
  );
  command.configureOutput({
    outputError(text, write) {
      write(safeLines(text.replace(/^error: (?:command-argument value )?/, "cnctl: ")));
      if (commands.length === 0 && text.startsWith("error: unknown option")) {
        write(`${list(`Options: ${options}`)}\n`);
      }
    },
  });
}

/** The command `help`. Commander's own answers an unknown name with the whole help, and does not say why. */
function addHelp(group: Command): void {
  group.helpCommand(false);
  group.command("help")
    .description("Print the help of a command.")
    .argument("[command]", "its name")
    .action((name: string | undefined) => {
      if (name === undefined) return group.outputHelp();
      const command = group.commands.find((its) => its.name() === name);
      if (command !== undefined) return command.outputHelp();
      const near = suggest(name, group.commands.map((its) => its.name()));
      const suggestion = near === undefined ? "" : `\n(Did you mean ${near}?)`;
      return group.error(`error: unknown command '${name}'${suggestion}`);
    });
}

function list(text: string): string {
  return wrap(text, 78).join("\n  ");
}

/** Escapes what the user has typed, line by line. */
function safeLines(text: string): string {
  return text.split("\n").map(safeSentence).join("\n");
}
