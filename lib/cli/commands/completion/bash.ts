import type { CommandModel, ValueModel } from "../../model.ts";

/** What does not depend on the commands: reads the words, and offers what `_cnctl_values` has found. */
const SCRIPT = `
_cnctl() {
  local cur="\${COMP_WORDS[COMP_CWORD]}" option="" path="" word skip="" only_arguments="" i
  local commands="" options="" with_value="" kind="" values="" position=0
  COMPREPLY=()
  _cnctl_values
  for ((i = 1; i < COMP_CWORD; i++)); do
    word="\${COMP_WORDS[i]}"
    if [[ -n $skip ]]; then
      # bash splits --option=value at the =
      [[ $word == "=" && $skip == next ]] && skip=value || skip=""
    elif [[ -n $only_arguments ]]; then
      position=$((position + 1))
    elif [[ $word == -- ]]; then
      only_arguments=yes
    elif [[ $word == -* ]]; then
      option=$word
      [[ " $with_value " == *" $word "* ]] && skip=next
    elif [[ " $commands " == *" $word "* ]]; then
      path+=" $word"
    else
      position=$((position + 1))
    fi
    _cnctl_values
  done
  [[ -z $skip ]] && option=""
  [[ -n $option && $cur == "=" ]] && cur=""
  _cnctl_values
  if [[ -z $option && -z $only_arguments && $cur == -* ]]; then
    kind=choice values=$options
  elif [[ -z $option && -n $commands ]]; then
    kind=choice values=$commands
  fi
  case $kind in
    choice) mapfile -t COMPREPLY < <(compgen -W "$values" -- "$cur") ;;
    list)
      [[ $cur == *,* ]] && word="\${cur%,*}," || word=""
      mapfile -t COMPREPLY < <(compgen -P "$word" -W "$values" -- "\${cur##*,}")
      compopt -o nospace 2> /dev/null
      ;;
    file) mapfile -t COMPREPLY < <(compgen -f -- "$cur") && compopt -o filenames 2> /dev/null ;;
    folder) mapfile -t COMPREPLY < <(compgen -d -- "$cur") && compopt -o filenames 2> /dev/null ;;
    user) mapfile -t COMPREPLY < <(compgen -u -- "$cur") ;;
    program) mapfile -t COMPREPLY < <(compgen -c -- "$cur") ;;
    pid)
      values=(/proc/[0-9]*)
      mapfile -t COMPREPLY < <(compgen -W "\${values[*]#/proc/}" -- "$cur")
      ;;
  esac
}

complete -F _cnctl cnctl
`;

/** The completion for bash 4 or newer. It needs no other package. */
export function bashCompletion(root: CommandModel): string {
  return `# Completion of cnctl for bash.

# Sets what can follow, by the command ($path), the option that waits for its value ($option), and how many arguments
# of the command stand before ($position).
_cnctl_values() {
  commands="" options="" with_value="" kind="" values=""
  case "$path" in
${allOf(root).map(caseOf).join("\n")}
  esac
}
${SCRIPT}`;
}

function allOf(command: CommandModel): CommandModel[] {
  return [command, ...command.commands.flatMap(allOf)];
}

function caseOf(command: CommandModel): string {
  const withValue = command.options.filter(({ value }) => value !== undefined);
  const kinds = [
    ...withValue.map(({ names, value }) => [names.map((name) => `${name}:*`).join(" | "), value!] as const),
    ...command.arguments.map((argument, i) => [argument.variadic ? ":*" : `:${i}`, argument] as const),
  ];
  const lines = [
    `commands=${quote(command.commands.map(({ path }) => path.at(-1)!))}`,
    `options=${quote(command.options.flatMap(({ names }) => names))}`,
    `with_value=${quote(withValue.flatMap(({ names }) => names))}`,
  ];
  if (kinds.length > 0) {
    const cases = kinds.map(([pattern, value]) => `  ${pattern}) ${assign(value)} ;;`);
    lines.push('case "$option:$position" in', ...cases, "esac");
  }
  const name = command.path.slice(1).map((word) => ` ${word}`).join("");
  return [`    "${name}")`, ...lines.map((line) => `      ${line}`), "      ;;"].join("\n");
}

function assign({ kind, choices }: ValueModel): string {
  return choices.length === 0 ? `kind=${kind}` : `kind=${kind} values=${quote(choices)}`;
}

function quote(words: readonly string[]): string {
  return `"${words.join(" ")}"`;
}
