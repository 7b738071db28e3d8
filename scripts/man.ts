import { type CommandModel, modelOf } from "../lib/cli/model.ts";
import { makeProgram } from "../lib/cli/program.ts";
import { wrap } from "../lib/cli/io/text.ts";

/** The pages in mdoc(7), by file name: `cnctl.1`, and one for each command. */
export function manPages(date: Date): Map<string, string> {
  const root = modelOf(makeProgram({ out() {}, error() {} }, () => {}));
  const commands = root.commands.filter((command) => command.path.at(-1) !== "help");
  return new Map([root, ...commands].map((command) => {
    const name = command.path.join("-");
    const related = command === root ? commands.map(({ path }) => path.join("-")) : ["cnctl"];
    return [`${name}.1`, page(command, name, related, date)];
  }));
}

function page(command: CommandModel, name: string, related: readonly string[], date: Date): string {
  const { description, exitStatus, examples } = sectionsOf(command);
  const day = date.toLocaleDateString("en-US", { dateStyle: "long", timeZone: "UTC" });
  const lines = [
    `.Dd ${day}`,
    `.Dt ${name.toUpperCase()} 1`,
    ".Os",
    ".Sh NAME",
    `.Nm ${name}`,
    `.Nd ${macroText(summary(command))}`,
    ".Sh SYNOPSIS",
    ...synopsis(command),
    ".Sh DESCRIPTION",
    ...prose(command.description),
    ...lists(command),
    ...description,
    ...(exitStatus.length === 0 ? [] : [".Sh EXIT STATUS", ...exitStatus]),
    ...(examples.length === 0 ? [] : [".Sh EXAMPLES", ...examples]),
    ".Sh SEE ALSO",
    related.toSorted().map((page) => `.Xr ${page} 1`).join(" ,\n"),
  ];
  // mdoc allows no paragraph directly after a heading, or before one, a list or a display.
  return `${lines.join("\n")}\n`.replace(/^(\.S[hs] .*\n)\.Pp\n/gm, "$1")
    .replace(/^\.Pp\n(?=\.(S[hs]|Bl|Bd) )/gm, "");
}

function summary(command: CommandModel): string {
  const text = command.description.replace(/\.$/, "");
  return text[0]!.toLowerCase() + text.slice(1);
}

function synopsis(command: CommandModel): string[] {
  const own = [`.Nm ${command.path.join(" ")}`, ".Op Ar options", ...command.arguments.map(argumentMacro)];
  const sub = command.commands.filter(({ path }) => path.at(-1) !== "help");
  if (sub.length === 0) return own;
  if (command.path.length === 1) return [...own, ".Ar command", ".Op Ar arguments"];
  return sub.flatMap(synopsis);
}

function argumentMacro({ name, required, variadic }: CommandModel["arguments"][number]): string {
  return `${required ? ".Ar" : ".Op Ar"} ${macroText(name)}${variadic ? " ..." : ""}`;
}

/** The options and, for those with subcommands, their descriptions. */
function lists(command: CommandModel): string[] {
  const sub = command.commands.filter(({ path }) => path.at(-1) !== "help");
  const lines: string[] = [];
  const described = command.arguments.filter(({ description }) => description !== "");
  const options = command.options.filter(({ names }) => !names.includes("--help"));
  if (described.length + options.length > 0) lines.push(".Pp", ".Bl -tag -width Ds");
  for (const argument of described) {
    lines.push(`.It ${argumentMacro(argument).slice(1)}`, ...prose(capital(argument.description)));
  }
  for (const { names, value, help } of options) {
    const flags = names.map((its) => `Fl ${macroText(its.slice(1))}`).join(" , ");
    lines.push(`.It ${flags}${value === undefined ? "" : ` Ar ${macroText(value.name)}`}`);
    lines.push(...prose(capital(help)));
  }
  if (described.length + options.length > 0) lines.push(".El");
  if (sub.length > 0 && command.path.length === 1) {
    lines.push(".Pp", "The commands are:", ".Bl -tag -width Ds");
    for (const { path, description } of sub) {
      lines.push(
        `.It Cm ${macroText(path.at(-1)!)}`,
        ...prose(description),
        "See",
        `.Xr ${path.join("-")} 1 .`,
      );
    }
    lines.push(".El");
  } else {
    for (const each of sub) {
      const { description, examples } = sectionsOf(each);
      lines.push(`.Ss ${macroText(each.path.join(" "))}`, ...prose(each.description), ...lists(each));
      lines.push(...description, ...examples);
    }
    if (sub.length > 0) lines.push(`.Ss Arguments and output`);
  }
  return lines;
}

interface Sections {
  readonly description: readonly string[];
  readonly exitStatus: readonly string[];
  readonly examples: readonly string[];
}

/** The details of the help, which are paragraphs, titles that end with a colon, and indented lists and examples. */
function sectionsOf(command: CommandModel): Sections {
  const [description, exitStatus, examples]: [string[], string[], string[]] = [[], [], []];
  for (const block of command.details.split(/\n{2,}/).filter((text) => text.trim() !== "")) {
    const lines = block.split("\n");
    const example = /^Examples?:(.*)$/.exec(lines[0]!);
    if (example !== null) {
      examples.push(".Pp", ...prose(capital(example[1]!.trim())), ...body(lines.slice(1)));
    } else if (block.startsWith("The exit status is ")) {
      exitStatus.push(".Pp", ...body(lines));
    } else if (/^[A-Z][\w -]*:$/.test(lines[0]!) && lines.length > 1) {
      description.push(`.Ss ${macroText(lines[0]!.slice(0, -1))}`, ...body(lines.slice(1)));
    } else {
      description.push(".Pp", ...body(lines));
    }
  }
  return { description, exitStatus, examples };
}

/** Lines of the help: prose, and runs of indented lines, which are definitions or literal. */
function body(lines: readonly string[]): string[] {
  const made: string[] = [];
  for (let i = 0; i < lines.length;) {
    const indented = lines[i]!.startsWith("  ");
    let end = i;
    while (end < lines.length && lines[end]!.startsWith("  ") === indented) end++;
    const run = lines.slice(i, end);
    made.push(...(indented ? definitions(run) ?? literal(run) : prose(run.join(" "))));
    i = end;
  }
  return made;
}

/** `  term  what it is`, or the term on a line of its own, over deeper lines; undefined if the lines are not that. */
function definitions(lines: readonly string[]): string[] | undefined {
  const entries: { term: string; text: string[] }[] = [];
  for (const line of lines) {
    const [, term, text] = /^ {2}(\S.*?)(?: {2,}(\S.*))?$/.exec(line) ?? [];
    if (term !== undefined) entries.push({ term, text: text === undefined ? [] : [text] });
    else if (entries.length === 0) return undefined;
    else entries.at(-1)!.text.push(line.trim());
  }
  if (entries.some(({ text }) => text.length === 0)) return undefined;
  return [
    ".Bl -tag -width Ds",
    ...entries.flatMap(({ term, text }) => [`.It Sy ${macroText(term)}`, ...prose(text.join(" "))]),
    ".El",
  ];
}

function literal(lines: readonly string[]): string[] {
  return [".Bd -literal -offset indent", ...lines.map((line) => textLine(line.slice(2))), ".Ed"];
}

/** Filled text. Each sentence begins a line, so that it is spaced as one. */
function prose(text: string): string[] {
  return text.split(/(?<=[.!?][")]*) +(?=[A-Z"[-])/).filter((sentence) => sentence !== "")
    .flatMap((sentence) => wrap(escape(sentence), 76).map(guard));
}

function textLine(text: string): string {
  return guard(escape(text));
}

/** Hyphens that a user types must be the ASCII one. */
function escape(text: string): string {
  return text.replaceAll("\\", "\\e").replace(/(?<![\w\\])-|-(?=-)/g, "\\-");
}

/** A full stop or an apostrophe would begin a request. */
function guard(line: string): string {
  return /^[.']/.test(line) ? `\\&${line}` : line;
}

/** Words as arguments of a macro: none of them is one. */
function macroText(text: string): string {
  return text.split(" ").map((word) =>
    (/^([A-Z%][a-z]{1,2}|[.,:;()[\]?!|])$/.test(word) ? "\\&" : "") +
    word.replaceAll("\\", "\\e").replaceAll('"', "\\(dq")
      .replaceAll("-", "\\-")
  ).join(" ");
}

function capital(text: string): string {
  if (text === "") return "";
  const sentence = text[0]!.toUpperCase() + text.slice(1);
  return /[.:)]$/.test(sentence) ? sentence : `${sentence}.`;
}
