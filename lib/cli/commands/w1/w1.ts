import { type Command, InvalidArgumentError } from "commander";
import { openConnector, SyscallError } from "../../../../mod.ts";
import { openW1, type W1 } from "../../../protocols/w1/mod.ts";
import { hexBytes, seconds, unsigned32 } from "../../arguments.ts";
import { jsonLine } from "../../../wire/json_text.ts";
import { type Output, standardOutput } from "../../io/output.ts";
import { addStreamFlags, type StreamFlags } from "../../io/show_stream.ts";
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
  type W1Target,
  watchBuses,
  writeBytes,
} from "./commands.ts";

/** The kernel accepts messages of up to 16,364 bytes, including two headers of 16 bytes. */
const MAX_BYTES = 16_348;

/** The options that every command has. */
interface W1Flags {
  readonly json?: boolean;
  readonly timeout: number;
}

const DETAILS = `
MASTER is the number of a bus master, such as 1, which /sys/bus/w1/devices names
w1_bus_master1. ID is a slave as named there, 28-0000deadbe01. TARGET is either.

Before commands to a slave, the kernel resets the bus and selects the slave.
Commands to a master are sent as is: use --reset to start over. Each run is one
transaction, which commands of other programs cannot interrupt.

HEX is pairs of hexadecimal digits, optionally separated by spaces, colons or
commas.

--json prints one object per line; see "cnctl w1 COMMAND --help" for its names.

The exit status is 0 on success, 1 if the bus or the kernel reported an error
(explained on standard error), 2 for wrong arguments. No capability is required,
except for "watch" before kernel 6.6.

Example: read the temperature of a DS18B20, in 1/16 degrees, low byte first
  cnctl w1 search 1
  cnctl w1 write 28-0000deadbe01 44
  cnctl w1 read 28-0000deadbe01 9 --write be`;

const SLAVES = `
Without MASTER, the slaves of all masters are listed, each followed by the
number of its master. This does not access the bus: it lists the slaves found
by earlier searches.

--json prints one object per master: "master" and "slaves".`;

const SEARCH = `
The kernel registers every slave that is found. With --alarm, only slaves in
alarm state are found, and THE KERNEL TREATS THE OTHERS AS MISSING: after a
number of misses (slave_ttl, a parameter of the module wire, 10 by default) it
forgets them until the next search, and removing the module of the bus master
may then hang forever.

--json prints "master", "alarm" and "slaves".`;

const RESET = `
Prints "present" or "nobody present". The exit status is 0 if a slave is
present, 1 if none is.

--json prints "master" and "present".`;

const READ = `
With --write, these bytes are written first, in the same transaction. Most
slaves are read this way.

Prints the bytes in hexadecimal. --json prints "master", "slave" (one of them is
null) and "data".

Examples:
  cnctl w1 read 28-0000deadbe01 9 --write be
  cnctl w1 read 1 8 --reset --write 33`;

const WRITE = `
Prints nothing on success. --json prints "master", "slave" (one of them is null)
and "written", the number of bytes.

Examples:
  cnctl w1 write 28-0000deadbe01 44
  cnctl w1 write 1 cc44 --reset`;

const TOUCH = `
Each bit is written and read in the same time slot. Slaves can answer where a 1
is written, so ff reads a byte.

Prints the bytes read, in hexadecimal. --json prints "master", "slave" (one of
them is null) and "data".

Example:
  cnctl w1 touch 28-0000deadbe01 be:ff:ff`;

const WATCH = `
Press Ctrl-C to stop.

--json prints "time", "type" (slave_add, slave_remove, master_add,
master_remove, lost, unknown) and, depending on the type, "slave", "master",
"count", or "data" in hexadecimal.

It joins group 3, which requires CAP_NET_ADMIN before kernel 6.6.`;

/** Adds `cnctl w1` with its subcommands. */
export function addW1(program: Command, finish: (status: number) => void): void {
  const group = program.command("w1")
    .description("Use the kernel's 1-wire buses: find, read, write and watch slaves.")
    .addHelpText("after", DETAILS);
  const answer = async (flags: W1Flags, query: (w1: W1) => Promise<W1Answer>): Promise<void> =>
    finish(await ask(flags, query, standardOutput()));

  withFlags(group.command("masters"))
    .description("List the bus masters.")
    .addHelpText("after", '\n--json prints "masters".')
    .action(async (flags: W1Flags) => await answer(flags, listMasters));
  withFlags(group.command("slaves"))
    .description("List the slaves that the kernel knows.")
    .argument("[MASTER]", "only those of this bus master", masterNumber)
    .addHelpText("after", SLAVES)
    .action(async (master: number | undefined, flags: W1Flags) =>
      await answer(flags, (w1) => listSlaves(w1, master))
    );
  withFlags(group.command("search"))
    .description("Search a bus for slaves.")
    .argument("<MASTER>", "the bus master", masterNumber)
    .option("-a, --alarm", "only slaves in alarm state")
    .addHelpText("after", SEARCH)
    .action(async (master: number, flags: W1Flags & { readonly alarm?: boolean }) =>
      await answer(flags, (w1) => searchSlaves(w1, master, flags.alarm ?? false))
    );
  withFlags(group.command("reset"))
    .description("Reset a bus and check whether any slave is present.")
    .argument("<MASTER>", "the bus master", masterNumber)
    .addHelpText("after", RESET)
    .action(async (master: number, flags: W1Flags) => await answer(flags, (w1) => resetBus(w1, master)));
  addExchanges(group, answer);
  withFlags(group.command("add"))
    .description("Register a slave with the kernel.")
    .argument("<MASTER>", "the bus master", masterNumber)
    .argument("<ID>", "the slave", slaveId)
    .addHelpText("after", '\nPrints nothing on success. --json prints "master" and "added".')
    .action(async (master: number, slave: string, flags: W1Flags) =>
      await answer(flags, (w1) => addSlave(w1, master, slave))
    );
  withFlags(group.command("remove"))
    .description("Remove a slave from the kernel.")
    .argument("<MASTER>", "the bus master", masterNumber)
    .argument("<ID>", "the slave", slaveId)
    .addHelpText("after", '\nPrints nothing on success. --json prints "master" and "removed".')
    .action(async (master: number, slave: string, flags: W1Flags) =>
      await answer(flags, (w1) => removeSlave(w1, master, slave))
    );
  addStreamFlags(group.command("watch"), "events")
    .description("Show masters and slaves as they are added and removed.")
    .addHelpText("after", WATCH)
    .action(async (flags: StreamFlags) =>
      finish(await withAdvice(() => watchBuses(flags, standardOutput())))
    );
}

/** The subcommands that exchange bytes with a target. */
function addExchanges(
  group: Command,
  answer: (flags: W1Flags, query: (w1: W1) => Promise<W1Answer>) => Promise<void>,
): void {
  const read = withTarget(group.command("read"));
  read.description("Read bytes from a slave or a bus.")
    .argument("<BYTES>", "the number of bytes", byteCount)
    .option("-w, --write <HEX>", "write these bytes first", w1Bytes)
    .addHelpText("after", READ)
    .action(
      async (
        target: W1Target,
        bytes: number,
        flags: W1Flags & W1ExchangeFlags & { readonly write?: Uint8Array },
      ) => {
        checkReset(read, target, flags);
        await answer(flags, (w1) => readBytes(w1, target, bytes, flags));
      },
    );
  const write = withTarget(group.command("write"));
  write.description("Write bytes to a slave or a bus.")
    .argument("<HEX>", "the bytes", w1Bytes)
    .addHelpText("after", WRITE)
    .action(async (target: W1Target, data: Uint8Array, flags: W1Flags & W1ExchangeFlags) => {
      checkReset(write, target, flags);
      await answer(flags, (w1) => writeBytes(w1, target, data, flags));
    });
  const touch = withTarget(group.command("touch"));
  touch.description("Write bytes and read in the same time slots.")
    .argument("<HEX>", "the bytes", w1Bytes)
    .addHelpText("after", TOUCH)
    .action(async (target: W1Target, data: Uint8Array, flags: W1Flags & W1ExchangeFlags) => {
      checkReset(touch, target, flags);
      await answer(flags, (w1) => touchBytes(w1, target, data, flags));
    });
}

/** Adds the options that every command has. */
function withFlags(command: Command): Command {
  return command
    .option("-j, --json", "print one JSON object per line")
    .option("-t, --timeout <seconds>", "how long to wait; a byte takes about 1 ms", seconds, 5);
}

function withTarget(command: Command): Command {
  return withFlags(command)
    .argument("<TARGET>", "a bus master or a slave", w1Target)
    .option("-r, --reset", "reset the bus first (only for a bus master)");
}

/** The kernel rejects a reset among commands to a slave, before which it always resets the bus. */
function checkReset(command: Command, target: W1Target, { reset = false }: W1ExchangeFlags): void {
  if (reset && "slave" in target) {
    command.error("error: --reset is for bus masters: for a slave the kernel always resets the bus");
  }
}

async function ask(
  flags: W1Flags,
  query: (w1: W1) => Promise<W1Answer>,
  output: Output,
): Promise<number> {
  await using bus = await openConnector();
  const w1 = await openW1({ connector: bus, timeoutMs: flags.timeout * 1000 });
  const { text, objects, status } = await withAdvice(() => query(w1));
  await output.write(flags.json ? objects.map(jsonLine).join("") : text);
  return status;
}

/** Adds advice to the error of a kernel without 1-wire, for which the library only knows that nobody serves 3:1. */
async function withAdvice<T>(run: () => Promise<T>): Promise<T> {
  try {
    return await run();
  } catch (error) {
    if (!(error instanceof SyscallError && error.code === "ENODEV")) throw error;
    throw new Error(
      "Cannot use 1-wire buses: the kernel does not serve 3:1: load the module wire (modprobe wire; it must be " +
        "built with CONFIG_W1_CON) and the driver of your bus master",
      { cause: error },
    );
  }
}

/** The number of a bus master, `1`, or its name in sysfs, `w1_bus_master1`. */
export function masterNumber(text: string): number {
  const number = /^(?:w1_bus_master)?(\d+)$/.exec(text)?.[1];
  if (number === undefined) {
    throw new InvalidArgumentError("It must be the number of a bus master, such as 1.");
  }
  return unsigned32(number);
}

/** A slave as named in sysfs, in lower case. */
export function slaveId(text: string): string {
  if (!/^[\da-f]{2}-[\da-f]{12}$/i.test(text)) {
    throw new InvalidArgumentError("It must be a slave as named in sysfs, such as 28-0000deadbe01.");
  }
  return text.toLowerCase();
}

/** A bus master or a slave. */
export function w1Target(text: string): W1Target {
  if (/^(w1_bus_master)?\d+$/.test(text)) return { master: masterNumber(text) };
  if (/^[\da-f]{2}-[\da-f]{12}$/i.test(text)) return { slave: slaveId(text) };
  throw new InvalidArgumentError(
    "It must be a bus master, such as 1, or a slave, such as 28-0000deadbe01.",
  );
}

/** A number of bytes to read. */
export function byteCount(text: string): number {
  const number = /^\d{1,9}$/.test(text) ? Number(text) : NaN;
  if (!(number >= 1 && number <= MAX_BYTES)) {
    throw new InvalidArgumentError(`It must be a whole number from 1 to ${MAX_BYTES}.`);
  }
  return number;
}

/** At least one byte, in hexadecimal. */
export function w1Bytes(text: string): Uint8Array {
  const bytes = hexBytes(text);
  if (bytes.length === 0) throw new InvalidArgumentError("It must be at least one byte.");
  if (bytes.length > MAX_BYTES) {
    throw new InvalidArgumentError(`It must be at most ${MAX_BYTES} bytes.`);
  }
  return bytes;
}
