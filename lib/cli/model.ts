import type { Command, Option } from "commander";
import { ListOption } from "./arguments.ts";

/** What the value of an option or an argument is, which decides what a shell offers for it. */
type ValueKind = "choice" | "list" | "file" | "folder" | "pid" | "user" | "program" | "text";

/** The value of an option, or an argument of a command. */
export interface ValueModel {
  /** As the help shows it, without brackets. */
  readonly name: string;
  readonly kind: ValueKind;
  /** What can be chosen from; empty for other kinds than `choice` and `list`. */
  readonly choices: readonly string[];
}

/** An argument of a command. */
export interface ArgumentModel extends ValueModel {
  readonly description: string;
  readonly required: boolean;
  /** Whether it takes all further arguments. */
  readonly variadic: boolean;
}

/** An option of a command. */
export interface OptionModel {
  /** `-e` and `--events`, or one of them. */
  readonly names: readonly string[];
  readonly value: ValueModel | undefined;
  readonly description: string;
  /** The description with the choices and the default, as the help shows it. */
  readonly help: string;
}

/** A command with all that documentation and completions say about it. */
export interface CommandModel {
  /** The words that name it: `["cnctl", "w1", "read"]`. */
  readonly path: readonly string[];
  readonly description: string;
  readonly options: readonly OptionModel[];
  readonly arguments: readonly ArgumentModel[];
  readonly commands: readonly CommandModel[];
  /** The help after the lists of options and commands. */
  readonly details: string;
}

/** The kinds of values, by the names that the help gives them. */
const KINDS: Readonly<Record<string, ValueKind>> = {
  path: "file",
  file: "file",
  folder: "folder",
  pid: "pid",
  user: "user",
  program: "program",
};

/** Reads a command and its subcommands. */
export function modelOf(command: Command, parents: readonly string[] = []): CommandModel {
  const help = command.createHelp();
  const path = [...parents, command.name()];
  const siblings = command.name() === "help" ? command.parent!.commands.map((its) => its.name()) : undefined;
  return {
    path,
    description: command.description(),
    options: help.visibleOptions(command).map((option) => ({
      names: [option.short, option.long].filter((name) => name !== undefined),
      value: valueOf(option),
      description: option.description,
      help: help.optionDescription(option),
    })),
    arguments: command.registeredArguments.map((argument) => ({
      ...valueModel(argument.name(), siblings ?? argument.argChoices, false),
      description: argument.description,
      required: argument.required,
      variadic: argument.variadic,
    })),
    commands: help.visibleCommands(command).map((its) => modelOf(its, path)),
    details: detailsOf(command),
  };
}

function valueOf(option: Option): ValueModel | undefined {
  const name = /[<[](.+?)(?:\.\.\.)?[>\]]/.exec(option.flags)?.[1];
  if (name === undefined) return undefined;
  return option instanceof ListOption
    ? valueModel(name, option.values, true)
    : valueModel(name, option.argChoices, false);
}

function valueModel(name: string, choices: readonly string[] | undefined, list: boolean): ValueModel {
  if (choices !== undefined) return { name, kind: list ? "list" : "choice", choices };
  return { name, kind: KINDS[name.toLowerCase()] ?? "text", choices: [] };
}

/** Commander keeps the text only in a listener: the help is printed, and what is known of it cut off. */
function detailsOf(command: Command): string {
  const { writeOut } = command.configureOutput();
  let text = "";
  command.configureOutput({ writeOut: (part) => text += part });
  command.outputHelp();
  command.configureOutput({ writeOut: writeOut! });
  return text.slice(command.helpInformation().length).trim();
}
