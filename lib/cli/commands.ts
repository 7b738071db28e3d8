import type { Command } from "commander";
import { addUsers } from "./bus_users.ts";
import { addDmLog } from "./dm_log.ts";
import { addDoctor } from "./doctor.ts";
import { addListen } from "./listen.ts";
import { addRequest } from "./request.ts";
import { addSend } from "./send.ts";
import { addW1 } from "./w1.ts";
import { addWatch } from "./watch.ts";

/** Adds a subcommand to the program. Its action hands the exit status to `finish`. */
export type AddCommand = (program: Command, finish: (status: number) => void) => void;

/** The subcommands, in the order of the help. */
export const COMMANDS: readonly AddCommand[] = [
  addWatch,
  addDoctor,
  addUsers,
  addListen,
  addSend,
  addRequest,
  addW1,
  addDmLog,
];
