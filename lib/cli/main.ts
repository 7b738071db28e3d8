#!/usr/bin/env node
import process from "node:process";
import { run, standardConsole } from "./program.ts";

hideFfiWarning();
// Exit explicitly: a reader that has stopped reading must not keep the process alive.
process.exit(await run(process.argv.slice(2), standardConsole()));

/** Hides Node's warning that FFI is experimental from users of the command. Programs decide for themselves. */
function hideFfiWarning(): void {
  const emitWarning = process.emitWarning.bind(process) as (...rest: unknown[]) => void;
  process.emitWarning = (...rest: unknown[]): void => {
    const [warning, type] = rest;
    if (type === "ExperimentalWarning" && String(warning).startsWith("FFI ")) return;
    emitWarning(...rest);
  };
}
