import type { Command } from "commander";
import { inspectBus, openConnector } from "../../../../mod.ts";
import {
  askerLoaded,
  assertCanReply,
  assertSoleServer,
  existingFolder,
  kernelLoadsModules,
  ownStatus,
} from "./checks.ts";
import { serveUntil } from "./serve.ts";
import { EventWriter } from "./event_writer.ts";
import { EXIT } from "../../errors.ts";
import { type Output, standardOutput, writeError } from "../../io/output.ts";
import { StopRequest } from "../../io/signals.ts";

/** How long the last lines may take to be read. */
const LAST_LINES_MS = 1000;

/** The options as commander reads them. */
interface DmLogFlags {
  readonly core?: boolean;
  readonly disk?: string;
  readonly verbose?: boolean;
  readonly json?: boolean;
  readonly force?: boolean;
}

const DETAILS = `
A device-mapper mirror keeps a dirty log: which regions are being written, and
which are the same on all legs. Here a program keeps it for the kernel:
  cnctl dm-log --disk /var/lib/dirty-logs
  dmsetup create m --table \\
    "0 32768 mirror userspace 3 UUID disk 1024 2 /dev/a 0 /dev/b 0"
32768 is the length and 1024 the size of a region, in sectors of 512 bytes; 3 is
the number of words that follow, UUID names the log. "nosync" behind 1024 says
that a new mirror is in sync already, "sync" recovers all of it at each start
(either makes the 3 a 4).

Logs:
  core    in memory: all is recovered at each start. WHERE ITS SERVER WAS LOST,
          WRITES REACH THE FIRST LEG ONLY until the mirror is suspended and
          resumed.
  disk    a file for each UUID in FOLDER, which survives a crash of the program
          and of the machine. FOLDER must not lie on the mirror, and nobody but
          this user and root may write it. A second mirror with the UUID of one
          that runs is refused its log, which it shows as 0 regions in sync.

When the server is gone the kernel waits: reads and writes of the mirror stand
still, and so does its dmsetup, until there is a server again, which takes over
within 17 seconds. Nothing is lost with disk logs. So remove the mirrors first,
or start it again. Without a server a new mirror is refused at once. The server
may start before the kernel's module dm-log-userspace ("loaded": false in JSON),
which the making of the first mirror loads.

A file that is not the log that it should be is refused, with its mirror, and
left alone. Where part of it is damaged, those regions are recovered. Both are
told on standard error, the same error once a minute.

It tells what it serves, and with --verbose every request. --json writes an
object a line: "time", "type" (serving, created, resumed, in_sync, out_of_sync,
suspended, removed, stranger, damage, error, request, unwritten, ended) and what
belongs to it: "loaded", "uuid", "log", "regions", "regionSize", "again",
"inSync", "region", "path", "firstRegion", "request", "message", "answer",
"answered", "failed", "malformed", "left". Who reads them may go: it serves on.
Its output must not go to the mirror either.

The kernel takes answers from CAP_SYS_ADMIN only. Ctrl-C or SIGTERM ends it, all
files closed, with status 0; it is 1 when it failed, and 2 for wrong arguments.`;

/** Adds `cnctl dm-log`. */
export function addDmLog(program: Command, finish: (status: number) => void): void {
  const command = program.command("dm-log");
  command
    .description("Serve the dirty logs of device-mapper mirrors, in memory and on files.")
    .option("-c, --core", "serve logs in memory")
    .option("-d, --disk <folder>", "serve logs on files in this folder")
    .option("-v, --verbose", "show every request")
    .option("-j, --json", "write JSON, an object a line")
    .option("--force", "serve also where another program listens to group 7")
    .addHelpText("after", DETAILS)
    .action(async (flags: DmLogFlags) => {
      if (!flags.core && flags.disk === undefined) {
        command.error("error: say which logs to serve: --core, --disk FOLDER, or both");
      }
      finish(await serve(flags, standardOutput()));
    });
}

async function serve(flags: DmLogFlags, output: Output): Promise<number> {
  const disk = flags.disk === undefined ? null : existingFolder(flags.disk);
  assertCanReply(ownStatus());
  const users = await inspectBus();
  const loaded = askerLoaded(users, kernelLoadsModules());
  if (!flags.force) assertSoleServer(users);
  const teller = new EventWriter(output, writeError, flags.json ?? false);
  using request = new StopRequest();
  const stopped = new Promise<void>((resolve) => request.onRequest(resolve));
  const service = { core: flags.core ?? false, disk, loaded, verbose: flags.verbose ?? false };
  try {
    await using bus = await openConnector({ announce: false });
    await serveUntil(stopped, bus, service, (event) => teller.tell(event));
    return EXIT.ok;
  } finally {
    await teller.finish(LAST_LINES_MS);
  }
}
