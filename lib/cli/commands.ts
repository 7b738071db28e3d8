import type { Command } from "commander";
import { addDoctor } from "./doctor.ts";
import { addWatch } from "./watch.ts";

/** Adds a subcommand to the program. Its action hands the exit status to `finish`. */
export type AddCommand = (program: Command, finish: (status: number) => void) => void;

/** The subcommands, in the order of the help. */
export const COMMANDS: readonly AddCommand[] = [
  addWatch,
  addDoctor,
];
