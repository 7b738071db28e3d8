import type { Command } from "commander";
import { addUsers } from "./commands/bus/users.ts";
import { addDmLog } from "./commands/dm_log/dm_log.ts";
import { addDoctor } from "./commands/doctor/doctor.ts";
import { addListen } from "./commands/bus/listen.ts";
import { addRequest } from "./commands/bus/request.ts";
import { addSend } from "./commands/bus/send.ts";
import { addW1 } from "./commands/w1/w1.ts";
import { addWatch } from "./commands/watch/watch.ts";

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
