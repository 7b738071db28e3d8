import { mkdirSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { COMPLETIONS } from "../lib/cli/commands/completion/completion.ts";
import { modelOf } from "../lib/cli/model.ts";
import { makeProgram } from "../lib/cli/program.ts";
import { manPages } from "./man.ts";

/** Writes the man pages and the completions of the command. */
export function writeDocuments(out: string, date: Date): void {
  mkdirSync(join(out, "man"), { recursive: true });
  for (const [name, text] of manPages(date)) writeFileSync(join(out, "man", name), text);
  mkdirSync(join(out, "completions"), { recursive: true });
  const model = modelOf(makeProgram({ out() {}, error() {} }, () => {}));
  for (const [shell, script] of Object.entries(COMPLETIONS)) {
    writeFileSync(join(out, "completions", `cnctl.${shell}`), script(model));
  }
}
