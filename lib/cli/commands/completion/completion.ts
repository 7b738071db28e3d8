import { Argument, type Command } from "commander";
import { EXIT } from "../../errors.ts";
import { writeOut } from "../../io/output.ts";
import { type CommandModel, modelOf } from "../../model.ts";
import { bashCompletion } from "./bash.ts";
import { fishCompletion } from "./fish.ts";
import { zshCompletion } from "./zsh.ts";

/** The scripts, by shell. They hold all that they offer: no key press starts `cnctl`. */
export const COMPLETIONS: Readonly<Record<string, (model: CommandModel) => string>> = {
  bash: bashCompletion,
  zsh: zshCompletion,
  fish: fishCompletion,
};

const DETAILS = `
The script completes commands, options and their values, files, users and
process ids. It does not start cnctl, so print it again after an update.

Examples:
  cnctl completion bash > ~/.local/share/bash-completion/completions/cnctl
  cnctl completion zsh > /usr/local/share/zsh/site-functions/_cnctl
  cnctl completion fish > ~/.config/fish/completions/cnctl.fish`;

/** Adds `cnctl completion`. */
export function addCompletion(program: Command, finish: (status: number) => void): void {
  program.command("completion")
    .description("Print a script that completes commands in a shell.")
    .addArgument(new Argument("<SHELL>", "the shell").choices(Object.keys(COMPLETIONS)))
    .addHelpText("after", DETAILS)
    .action((shell: string) => {
      writeOut(COMPLETIONS[shell]!(modelOf(program)));
      finish(EXIT.ok);
    });
}
