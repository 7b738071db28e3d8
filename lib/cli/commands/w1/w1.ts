import type { Command } from "commander";
import { openConnector, SyscallError } from "../../../../mod.ts";
import { openW1, type W1 } from "../../../protocols/w1/mod.ts";
import { jsonText } from "../bus/message.ts";
import { seconds } from "../../arguments/numbers.ts";
import { type Output, standardOutput } from "../../io/output.ts";
import { addStreamFlags, type StreamFlags } from "../../io/show_stream.ts";
import { byteCount, masterNumber, slaveId, w1Bytes, type W1Target, w1Target } from "./arguments.ts";
import {
  addSlave,
  listMasters,
  listSlaves,
  readBytes,
  removeSlave,
  resetBus,
  searchSlaves,
  touchBytes,
  type W1Answer,
  type W1ExchangeFlags,
  writeBytes,
} from "./commands.ts";
import { watchBuses } from "./watch.ts";

/** The options of every question. */
interface W1Flags {
  readonly json?: boolean;
  readonly timeout: number;
}

const DETAILS = `
MASTER is the number of a bus master, as 1, which in /sys/bus/w1/devices is
w1_bus_master1. ID is a slave as it is named there, 28-0000deadbe01. TARGET is
either.

The kernel resets the bus and chooses the slave before the commands to a slave.
To a master commands go as the bus stands: --reset begins anew. What one run
asks for is one transaction, and nobody else's commands come between.

HEX is pairs of hexadecimal digits; blanks, colons and commas may stand between.

--json writes an object a line. Its names are told by "cnctl w1 COMMAND --help".

The exit status is 0 when it was done, 1 when the bus or the kernel refused it
(standard error says the kernel's status in words), 2 for wrong arguments. No
capability is needed, but for "watch" before kernel 6.6.

Examples: the temperature of a DS18B20, in sixteenths of a degree, first byte
the lower one
  cnctl w1 search 1
  cnctl w1 write 28-0000deadbe01 44
  cnctl w1 read 28-0000deadbe01 9 --write be`;

const SLAVES = `
Without MASTER those of all masters, each with the number of its master behind
it. The bus is not used: they are those that were found before.

--json writes for each master: "master" and "slaves".`;

const SEARCH = `
All that are found get known to the kernel. With --alarm only those are found
that have an alarm. THE KERNEL TAKES THE OTHERS FOR MISSING then: after so many
misses (slave_ttl, a parameter of the module wire, by default 10) it forgets
them until the next search, and after that removing the module of the bus master
may hang for ever.

--json writes "master", "alarm" and "slaves".`;

const RESET = `
It says "present" or "nobody present". The exit status is 0 where a slave is
there, and 1 where none is.

--json writes "master" and "present".`;

const READ = `
With --write these bytes are written first, in the same transaction, which is
how most slaves are read.

It writes the bytes in hexadecimal. --json writes "master", "slave" (the one
that TARGET is not is null) and "data".

Examples:
  cnctl w1 read 28-0000deadbe01 9 --write be
  cnctl w1 read 1 8 --reset --write 33`;

const WRITE = `
It says nothing when it is done. --json writes "master", "slave" (the one that
TARGET is not is null) and "written", the number of bytes.

Examples:
  cnctl w1 write 28-0000deadbe01 44
  cnctl w1 write 1 cc44 --reset`;

const TOUCH = `
Each bit is written and read in the same time slot: slaves may answer
where a 1 is written, so that ff reads a byte.

It writes the bytes that were read, in hexadecimal. --json writes "master",
"slave" (the one that TARGET is not is null) and "data".

Example:
  cnctl w1 touch 28-0000deadbe01 be:ff:ff`;

const WATCH = `
Masters and slaves that come and go. Ctrl-C ends it.

--json writes "time", "type" (slave_add, slave_remove, master_add,
master_remove, lost, unknown) and with it "slave", "master", "count", or "data"
in hexadecimal.

It joins group 3, which wants CAP_NET_ADMIN before kernel 6.6.`;

/** Adds `cnctl w1` with its subcommands. */
export function addW1(program: Command, finish: (status: number) => void): void {
  const group = program.command("w1")
    .description("Work the kernel's 1-wire buses: find slaves, read and write them, watch them.")
    .addHelpText("after", DETAILS);
  const done = async (flags: W1Flags, question: (w1: W1) => Promise<W1Answer>): Promise<void> =>
    finish(await ask(flags, question, standardOutput()));

  asking(group.command("masters"))
    .description("List the bus masters.")
    .addHelpText("after", '\n--json writes "masters".')
    .action(async (flags: W1Flags) => await done(flags, listMasters));
  asking(group.command("slaves"))
    .description("List the slaves that the kernel knows.")
    .argument("[MASTER]", "of this bus master", masterNumber)
    .addHelpText("after", SLAVES)
    .action(async (master: number | undefined, flags: W1Flags) =>
      await done(flags, (w1) => listSlaves(w1, master))
    );
  asking(group.command("search"))
    .description("Find the slaves that are on a bus now.")
    .argument("<MASTER>", "the bus master", masterNumber)
    .option("-a, --alarm", "only those that have an alarm")
    .addHelpText("after", SEARCH)
    .action(async (master: number, flags: W1Flags & { readonly alarm?: boolean }) =>
      await done(flags, (w1) => searchSlaves(w1, master, flags.alarm ?? false))
    );
  asking(group.command("reset"))
    .description("Reset a bus, and say whether any slave is there.")
    .argument("<MASTER>", "the bus master", masterNumber)
    .addHelpText("after", RESET)
    .action(async (master: number, flags: W1Flags) => await done(flags, (w1) => resetBus(w1, master)));
  addExchanges(group, done);
  asking(group.command("add"))
    .description("Make the kernel know a slave.")
    .argument("<MASTER>", "the bus master", masterNumber)
    .argument("<ID>", "the slave", slaveId)
    .addHelpText("after", '\nIt says nothing when it is done. --json writes "master" and "added".')
    .action(async (master: number, slave: string, flags: W1Flags) =>
      await done(flags, (w1) => addSlave(w1, master, slave))
    );
  asking(group.command("remove"))
    .description("Make the kernel forget a slave.")
    .argument("<MASTER>", "the bus master", masterNumber)
    .argument("<ID>", "the slave", slaveId)
    .addHelpText("after", '\nIt says nothing when it is done. --json writes "master" and "removed".')
    .action(async (master: number, slave: string, flags: W1Flags) =>
      await done(flags, (w1) => removeSlave(w1, master, slave))
    );
  addStreamFlags(group.command("watch"), "events")
    .description("Show masters and slaves as they come and go.")
    .addHelpText("after", WATCH)
    .action(async (flags: StreamFlags) => finish(await explained(() => watchBuses(flags, standardOutput()))));
}

/** The subcommands that exchange bytes with a target. */
function addExchanges(
  group: Command,
  done: (flags: W1Flags, question: (w1: W1) => Promise<W1Answer>) => Promise<void>,
): void {
  const read = exchanging(group.command("read"));
  read.description("Read bytes from a slave or a bus.")
    .argument("<BYTES>", "how many", byteCount)
    .option("-w, --write <HEX>", "write these bytes first", w1Bytes)
    .addHelpText("after", READ)
    .action(
      async (
        target: W1Target,
        bytes: number,
        flags: W1Flags & W1ExchangeFlags & { readonly write?: Uint8Array },
      ) => {
        wantMaster(read, target, flags);
        await done(flags, (w1) => readBytes(w1, target, bytes, flags));
      },
    );
  const write = exchanging(group.command("write"));
  write.description("Write bytes to a slave or a bus.")
    .argument("<HEX>", "the bytes", w1Bytes)
    .addHelpText("after", WRITE)
    .action(async (target: W1Target, data: Uint8Array, flags: W1Flags & W1ExchangeFlags) => {
      wantMaster(write, target, flags);
      await done(flags, (w1) => writeBytes(w1, target, data, flags));
    });
  const touch = exchanging(group.command("touch"));
  touch.description("Write bytes and read what comes in the same time slots.")
    .argument("<HEX>", "the bytes", w1Bytes)
    .addHelpText("after", TOUCH)
    .action(async (target: W1Target, data: Uint8Array, flags: W1Flags & W1ExchangeFlags) => {
      wantMaster(touch, target, flags);
      await done(flags, (w1) => touchBytes(w1, target, data, flags));
    });
}

/** With the options of every question. */
function asking(command: Command): Command {
  return command
    .option("-j, --json", "write JSON, an object a line")
    .option("-t, --timeout <seconds>", "how long to wait for the bus; a byte takes about 1 ms", seconds, 5);
}

function exchanging(command: Command): Command {
  return asking(command)
    .argument("<TARGET>", "a bus master or a slave", w1Target)
    .option("-r, --reset", "reset the bus first (only where TARGET is a bus master)");
}

/** The kernel refuses a reset among the commands to a slave, and has done one anyway. */
function wantMaster(command: Command, target: W1Target, { reset = false }: W1ExchangeFlags): void {
  if (reset && "slave" in target) {
    command.error("error: --reset is for bus masters: before a slave's commands the kernel does it anyway");
  }
}

async function ask(
  flags: W1Flags,
  question: (w1: W1) => Promise<W1Answer>,
  output: Output,
): Promise<number> {
  await using bus = await openConnector({ announce: false });
  const w1 = await openW1({ connector: bus, timeoutMs: flags.timeout * 1000 });
  const { text, objects, status } = await explained(() => question(w1));
  await output.write(flags.json ? objects.map((object) => `${jsonText(object)}\n`).join("") : text);
  return status;
}

/** Says what to do where the kernel has no 1-wire, which to the library is an identifier that is not served. */
async function explained<T>(run: () => Promise<T>): Promise<T> {
  try {
    return await run();
  } catch (error) {
    if (!(error instanceof SyscallError && error.code === "ENODEV")) throw error;
    throw new Error(
      "Cannot use the 1-wire buses: the kernel serves no 3:1: load the module wire (modprobe wire; it must be " +
        "built with CONFIG_W1_CON), and the driver of your bus master",
      { cause: error },
    );
  }
}
