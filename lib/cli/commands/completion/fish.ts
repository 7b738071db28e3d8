import type { CommandModel, ValueModel } from "../../model.ts";

const HEAD = `# Completion of cnctl for fish.

# Whether the line begins with this command.
function __cnctl_at
    set -l words (commandline -opc)
    set -e words[1]
    test (count $words) -ge (count $argv); or return 1
    for i in (seq (count $argv))
        test $words[$i] = $argv[$i]; or return 1
    end
end

# Whether the line is this command, without any more words.
function __cnctl_is
    __cnctl_at $argv; and test (count (commandline -opc)) -eq (math (count $argv) + 1)
end

function __cnctl_pids
    string replace --filter --regex '^/proc/(\\d+)$' '$1' /proc/*
end

complete -c cnctl -f
`;

/** The completion for fish 3 or newer. */
export function fishCompletion(root: CommandModel): string {
  return `${HEAD}${linesOf(root).join("\n")}\n`;
}

function linesOf(command: CommandModel): string[] {
  const words = command.path.slice(1).join(" ");
  const at = `complete -c cnctl -n ${quote(`__cnctl_at ${words}`.trim())}`;
  const is = `complete -c cnctl -n ${quote(`__cnctl_is ${words}`.trim())}`;
  return [
    ...command.commands.map(({ path, description }) => `${is} -a ${path.at(-1)} -d ${quote(description)}`),
    ...command.options.map(({ names, value, description }) => {
      const flags = names.map((name) =>
        name.startsWith("--") ? `-l ${name.slice(2)}` : `-s ${name.slice(1)}`
      );
      const taken = value === undefined ? "" : ` ${actionOf(value)}`;
      return `${command.path.length === 1 ? is : at} ${flags.join(" ")}${taken} -d ${quote(description)}`;
    }),
    ...command.arguments.filter(({ kind }) => kind !== "text").map((argument) =>
      `${at} ${actionOf(argument).replace(/^-[xr] /, "")}`
    ),
    ...command.commands.flatMap(linesOf),
  ];
}

function actionOf({ kind, choices }: ValueModel): string {
  switch (kind) {
    case "choice":
      return `-x -a ${quote(choices.join(" "))}`;
    case "list":
      return `-x -a ${quote(`(__fish_append , ${choices.join(" ")})`)}`;
    case "file":
      return "-r -F";
    case "folder":
      return `-x -a ${quote("(__fish_complete_directories)")}`;
    case "pid":
      return `-x -a ${quote("(__cnctl_pids)")}`;
    case "user":
      return `-x -a ${quote("(__fish_complete_users)")}`;
    case "program":
      return `-x -a ${quote("(__fish_complete_subcommand)")}`;
    case "text":
      return "-x";
  }
}

function quote(text: string): string {
  return `'${text.replaceAll("\\", "\\\\").replaceAll("'", "\\'")}'`;
}
