import type { ArgumentModel, CommandModel, OptionModel, ValueModel } from "../../model.ts";

/** The completion for zsh, as a file for `$fpath`; it can be sourced, too. */
export function zshCompletion(root: CommandModel): string {
  return `#compdef cnctl
# Completion of cnctl for zsh.

_cnctl_pids() {
  local -a pids=(/proc/<->(N:t))
  compadd -M 'l:|=*' -- $pids
}

${functionsOf(root).join("\n\n")}

if [[ $funcstack[1] == _cnctl ]]; then
  _cnctl "$@"
else
  compdef _cnctl cnctl
fi
`;
}

/** One function for each command, which calls those of its subcommands. */
function functionsOf(command: CommandModel): string[] {
  const name = nameOf(command);
  const options = command.options.map(optionSpec);
  if (command.commands.length === 0) {
    const specs = [...options, ...command.arguments.map(argumentSpec)];
    return [`${name}() {\n  _arguments -s -S : \\\n${specs.map((its) => `    ${its}`).join(" \\\n")}\n}`];
  }
  const commands = command.commands.map((its) => quote(`${its.path.at(-1)}:${its.description}`));
  return [
    `${name}() {
  local curcontext="$curcontext" state line
  local -a commands=(
${commands.map((its) => `    ${its}`).join("\n")}
  )
  _arguments -C -S : \\
${options.map((its) => `    ${its} \\`).join("\n")}
    '1: :->command' \\
    '*:: :->arguments'
  case $state in
    command) _describe command commands ;;
    arguments)
      case $words[1] in
${command.commands.map((its) => `        ${its.path.at(-1)}) ${nameOf(its)} ;;`).join("\n")}
      esac
      ;;
  esac
}`,
    ...command.commands.flatMap(functionsOf),
  ];
}

function nameOf(command: CommandModel): string {
  return `_${command.path.join("_").replaceAll("-", "_")}`;
}

function optionSpec({ names, value, description }: OptionModel): string {
  const what = `[${escape(description, "[]:\\")}]`;
  if (value === undefined) {
    const exclusive = names.length > 1 ? quote(`(${names.join(" ")})`) : "";
    return `${exclusive}${braces(names)}${quote(what)}`;
  }
  // Any may be repeated: which, commander does not know. --option=value needs the = in the name.
  const specs = names.map((name) => name.startsWith("--") ? `${name}=` : `${name}+`);
  return `'*'${braces(specs)}${quote(`${what}:${escape(value.name, ":\\")}:${actionOf(value)}`)}`;
}

function argumentSpec(argument: ArgumentModel): string {
  const what = `${escape(argument.name, ":\\")}:${actionOf(argument)}`;
  if (argument.variadic && argument.kind === "program") return quote(`*::${what}`);
  return quote(`${argument.variadic ? "*:" : argument.required ? ":" : "::"}${what}`);
}

function actionOf({ name, kind, choices }: ValueModel): string {
  switch (kind) {
    case "choice":
      return `(${choices.join(" ")})`;
    case "list":
      return `_values -s , ${name} ${choices.join(" ")}`;
    case "file":
      return "_files";
    case "folder":
      return "_files -/";
    case "pid":
      return "_cnctl_pids";
    case "user":
      return "_users";
    case "program":
      return " _normal";
    case "text":
      return " ";
  }
}

function braces(names: readonly string[]): string {
  return names.length > 1 ? `{${names.join(",")}}` : names[0]!;
}

function escape(text: string, special: string): string {
  return [...text].map((character) => special.includes(character) ? `\\${character}` : character).join("");
}

function quote(text: string): string {
  return `'${text.replaceAll("'", "'\\''")}'`;
}
