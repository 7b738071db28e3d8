import type { Command } from "commander";
import { existsSync, readFileSync, statSync } from "node:fs";
import { resolve } from "node:path";
import { type BusSnapshot, inspectBus, openConnector } from "../../../../mod.ts";
import { OTHER_NETWORK_NAMESPACE, unsupported } from "../../../errors/advice.ts";
import { hasCapability } from "../../../procfs/capabilities.ts";
import { EXIT } from "../../errors.ts";
import { type Output, standardOutput, writeError } from "../../io/output.ts";
import { StopRequest } from "../../io/signals.ts";
import { safeText } from "../../../wire/escape.ts";
import { mayRead } from "../../runtime.ts";
import { EventWriter } from "./events.ts";
import { serveUntil } from "./serve.ts";

/** How long the output may take for the last lines. */
const LAST_LINES_MS = 1000;
/** The multicast group of the dirty logs. */
const GROUP = 7;

/** The options as commander parses them. */
interface DmLogFlags {
  readonly core?: boolean;
  readonly disk?: string;
  readonly verbose?: boolean;
  readonly json?: boolean;
  readonly force?: boolean;
}

const DETAILS = `
A device-mapper mirror keeps a dirty log: which regions are being written, and
which are in sync on all legs. This command keeps that log for the kernel:
  cnctl dm-log --disk /var/lib/dirty-logs
  dmsetup create m --table \\
    "0 32768 mirror userspace 3 UUID disk 1024 2 /dev/a 0 /dev/b 0"
32768 is the length and 1024 the region size, in sectors of 512 bytes; 3 is the
number of words that follow; UUID names the log. After 1024, "nosync" declares a
new mirror in sync, and "sync" resynchronizes all of it at each start (with
either, the 3 becomes a 4).

Logs:
  core    in memory; everything is resynchronized at each start. IF THE SERVER
          DIES, WRITES REACH ONLY THE FIRST LEG until the mirror is suspended
          and resumed.
  disk    one file per UUID in FOLDER, which survives a crash of this command
          or of the machine. FOLDER must not be on the mirror, and only this
          user and root may write to it. A second mirror with the UUID of a
          running one is refused its log and shows 0 regions in sync.

Without a server the kernel waits: reads and writes of the mirror block, as does
its dmsetup, until a server is back, which takes over within 17 seconds. Nothing
is lost with disk logs. So remove the mirrors first, or restart the server. New
mirrors fail immediately while there is no server. The server may start before
the kernel module dm-log-userspace ("loaded": false in JSON), which is loaded
when the first mirror is created.

A log file that is not what it should be is left alone and its mirror refused.
If only part of it is damaged, those regions are resynchronized. Both are
reported on standard error, the same error at most once a minute.

Events are printed, and with --verbose every request. --json prints one object
per line: "time", "type" (serving, created, resumed, in_sync, out_of_sync,
suspended, removed, unknown_log, damage, error, request, unwritten, ended) and,
depending on the type, "loaded", "uuid", "log", "regions", "regionSize",
"again", "inSync", "region", "path", "firstRegion", "request", "message",
"answer", "answered", "failed", "malformed", "left". The server keeps running
if its output is closed. The output must not go to the mirror either.

The kernel accepts replies only from CAP_SYS_ADMIN. Ctrl-C and SIGTERM stop the
server and close its files. The exit status is then 0; it is 1 on failure, and
2 for wrong arguments.`;

/** Adds `cnctl dm-log`. */
export function addDmLog(program: Command, finish: (status: number) => void): void {
  const command = program.command("dm-log");
  command
    .description("Serve dirty logs of device-mapper mirrors, in memory or in files.")
    .option("-c, --core", "serve logs in memory")
    .option("-d, --disk <folder>", "serve logs in files in this folder")
    .option("-v, --verbose", "show every request")
    .option("-j, --json", "print one JSON object per line")
    .option("--force", "serve even if another program listens to group 7")
    .addHelpText("after", DETAILS)
    .action(async (flags: DmLogFlags) => {
      if (!flags.core && flags.disk === undefined) {
        command.error("error: choose the logs to serve: --core, --disk FOLDER, or both");
      }
      finish(await serve(flags, standardOutput()));
    });
}

async function serve(flags: DmLogFlags, output: Output): Promise<number> {
  const disk = flags.disk === undefined ? null : existingFolder(flags.disk);
  assertCanReply(ownStatus());
  const bus = await inspectBus();
  const loaded = moduleLoaded(bus, kernelLoadsModules());
  if (!flags.force) assertSoleServer(bus);
  const writer = new EventWriter(output, writeError, flags.json ?? false);
  using stop = new StopRequest();
  const stopped = new Promise<void>((resolve) => stop.onRequest(resolve));
  const service = { core: flags.core ?? false, disk, loaded, verbose: flags.verbose ?? false };
  try {
    await using connector = await openConnector();
    await serveUntil(stopped, connector, service, (event) => writer.write(event));
    return EXIT.ok;
  } finally {
    await writer.finish(LAST_LINES_MS);
  }
}

/** The absolute path of an existing folder. A wrong one would otherwise only show when the first mirror is created. */
export function existingFolder(folder: string): string {
  const path = resolve(folder);
  if (!mayRead(path)) return path; // without Deno's permission; opening a log will fail
  let found: ReturnType<typeof statSync> | undefined;
  try {
    found = statSync(path);
  } catch (error) {
    const { code, message } = error as Error & { readonly code?: string };
    const why = code === "ENOENT" ? "ENOENT: there is no such folder: create it, or check the path" : message;
    throw new Error(`Cannot keep dirty logs in ${path}: ${why}`, { cause: error });
  }
  if (!found.isDirectory()) throw new Error(`Cannot keep dirty logs in ${path}: it is not a folder`);
  return path;
}

/** The kernel silently drops replies from programs without the capability, and its mirrors would wait forever. */
export function assertCanReply(status: string | undefined): void {
  if (hasCapability(status, "CAP_SYS_ADMIN") !== false) return;
  throw new Error(
    "Cannot serve dirty logs: the kernel accepts replies only from programs with CAP_SYS_ADMIN: run this as root or " +
      "with that capability",
  );
}

/** /proc/self/status, or undefined if it may not be read. */
export function ownStatus(): string | undefined {
  const path = "/proc/self/status";
  if (!mayRead(path)) return undefined;
  try {
    return readFileSync(path, "utf8");
  } catch {
    return undefined;
  }
}

/**
 * Whether the kernel module is loaded. If not, a server can wait for the first mirror: creating that loads it.
 *
 * @throws {Error} If the module can never be loaded, or its requests cannot reach this process.
 */
export function moduleLoaded({ identifiers }: BusSnapshot, loadsModules: boolean): boolean {
  if (identifiers === undefined) throw unsupported("serve dirty logs", OTHER_NETWORK_NAMESPACE);
  if (identifiers.some(({ id }) => id.idx === GROUP && id.val === 1)) return true;
  if (loadsModules) return false;
  throw new Error(
    "Cannot serve dirty logs: this kernel has no dm-log-userspace (/proc/net/connector does not list 7:1) and cannot " +
      "load modules: boot a kernel built with CONFIG_DM_LOG_USERSPACE",
  );
}

/** Whether this kernel can load modules; assumed if that may not be read. */
export function kernelLoadsModules(): boolean {
  return !mayRead("/proc/modules") || existsSync("/proc/modules");
}

/** Two servers would both answer each request, from different logs; only log files are locked. */
export function assertSoleServer({ sockets }: BusSnapshot): void {
  const other = sockets.find(({ port, groups }) => port !== 0 && groups.includes(GROUP));
  if (other === undefined) return;
  const owner = other.owners.map(({ pid, comm }) => `${pid} ${safeText(comm)}`).join(", ") || "unknown";
  throw new Error(
    `Cannot serve dirty logs: group ${GROUP} already has a listener, port ${other.port} (process ${owner}), and two ` +
      "servers would corrupt each other's logs: stop it, or use --force if it only listens",
  );
}
