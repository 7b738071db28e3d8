import type { Command } from "commander";
import type { ProcessEventType } from "../../../../mod.ts";
import { ProcFs } from "../../../procfs/process.ts";
import { ProcessTable } from "../../../processes/table.ts";
import { ProcessGoneError } from "../../../errors/process_gone_error.ts";
import { openSystem } from "../../../system.ts";
import { processId, seconds } from "../../arguments.ts";
import { EXIT } from "../../errors.ts";
import { wantsColour } from "../../io/colour.ts";
import { jsonLine } from "../../../wire/json_text.ts";
import { type Output, standardOutput } from "../../io/output.ts";
import { StopRequest } from "../../io/signals.ts";
import { environment } from "../../runtime.ts";
import { Screen, whyNoScreen } from "../../screen/screen.ts";
import { openSummedWatch } from "../aggregate/open.ts";
import { CommandText } from "../watch/row.ts";
import { LiveTree } from "./live_tree.ts";
import { formatTreeLine, SNAPSHOT_COLUMNS, treeLines } from "./tree_lines.ts";
import { TreeView } from "./tree_view.ts";

/** The options as commander parses them. */
interface TreeFlags {
  readonly delay: number;
  readonly json?: boolean;
  readonly snapshot?: boolean;
}

const EVENTS: readonly ProcessEventType[] = ["fork", "exec", "exit", "comm", "uid"];
/** No terminal line is longer than this, in characters. */
const COMMAND_LIMIT = 512;
/** The number of the kernel's own tree. Few want to see it at once. */
const KTHREADD = 2;

const DETAILS = `
On a terminal the tree is kept up to date in place: processes that have just
started are green, and those that have ended stay for five seconds in red, with
their status and lifetime; of one parent the last ten. In a file or pipe, with
--snapshot or with --json, it is printed once.

Columns:
  PID     the process
  Procs   running processes in this branch: this one and all below it
  Starts, Failed
          processes of this branch that started since cnctl tree began, and
          those that ended with a code other than 0 or by a signal
  Life    how long the process has lived
  Status  exit code or signal of a process that has ended; ? if it is unknown
Columns for which a narrow terminal has no room are left out.

The children of a process that has ended move to their new parent when it
disappears. [name] is a kernel thread, (name) a process of which only the name
is known, ? one that ended before anything could be read, and [+] a process
whose children are folded; kernel threads are, at the start.

Keys:
  q, Ctrl-C      quit
  up, down, page up, page down, home, end
                 move
  space, Enter, left, right
                 fold and unfold a process; left also moves to the parent
  c, e           fold and unfold all
  /              move to a process with this text in its command, or this pid
  n, N           move to the next and the previous one
  f              show only these, with their ancestors; Esc shows all
  Ctrl-L         draw everything anew
  Ctrl-Z         stop; continue with fg

--json prints one object per process, parents before their children: "depth" and
what is known of the process, as in "cnctl watch --json".

The exit status is 0 after q, Ctrl-C, SIGTERM or SIGHUP, or when the terminal is
closed; 1 on failure; 2 for wrong arguments.

Examples:
  cnctl tree
  cnctl tree 4711
  cnctl tree --json | jq -r 'select(.commandLine == null) | .pid'`;

/** Adds `cnctl tree`. */
export function addTree(program: Command, finish: (status: number) => void): void {
  program.command("tree")
    .description("Show the tree of processes as it grows and shrinks.")
    .argument("[pid]", "only this process and its descendants", processId)
    .option("-d, --delay <time>", "seconds between two refreshes", seconds, 1)
    .option("--snapshot", "print the tree once")
    .option("-j, --json", "print the tree once, as one JSON object per process")
    .addHelpText("after", DETAILS)
    .action(async (pid: number | undefined, flags: TreeFlags) => {
      const isLive = flags.json !== true && flags.snapshot !== true && whyNoScreen() === undefined;
      if (isLive) await showLive(pid, flags);
      else await print(pid, flags.json ?? false, standardOutput());
      finish(EXIT.ok);
    });
}

async function showLive(pid: number | undefined, { delay }: TreeFlags): Promise<void> {
  using stop = new StopRequest();
  const { libc } = openSystem("show the processes");
  const procFs = new ProcFs(libc);
  const tree = new LiveTree((pid) => procFs.stat(pid)?.parentPid);
  const clock = { nowMs: () => performance.now(), nowNs: () => procFs.monotonicNs() };
  const colour = wantsColour("auto", true, environment);
  const view = new TreeView(tree, new CommandText(COMMAND_LIMIT), clock, colour);
  // Before the terminal is taken: if it fails, the reason is read on an unchanged screen.
  await using watch = await openSummedWatch(["commandLine", "user"], EVENTS, pid);
  const { promise: quit, resolve: end } = Promise.withResolvers<void>();
  using screen = new Screen(view, end);
  stop.onRequest(end);
  const timer = setInterval(() => screen.draw(), delay * 1000);
  try {
    await Promise.race([quit, read()]);
    await quit; // all may have ended, which the user wants to see
  } finally {
    clearInterval(timer);
  }

  async function read(): Promise<void> {
    let first = true;
    for await (const batch of watch.batches()) {
      tree.apply(batch, performance.now());
      if (!first) continue;
      first = false;
      const kernel = tree.get(KTHREADD);
      if (kernel?.info.kernelThread === true && pid !== KTHREADD) kernel.collapsed = true;
      screen.draw();
    }
    view.isOver = true;
  }
}

/** Prints the tree as /proc shows it now. */
async function print(pid: number | undefined, json: boolean, output: Output): Promise<void> {
  const { libc } = openSystem("show the processes");
  const table = new ProcessTable(libc, { execRecords: "off" });
  table.seed();
  const nowNs = table.procFs.monotonicNs();
  const tree = new LiveTree(() => undefined);
  const infos = [...table.values()];
  infos.sort((a, b) => Number((a.startNs ?? 0n) - (b.startNs ?? 0n)) || a.pid - b.pid);
  tree.fill(infos);
  const root = pid === undefined ? undefined : tree.get(pid);
  if (pid !== undefined && root === undefined) {
    throw new ProcessGoneError(`show the tree of process ${pid}`, pid, "absent");
  }
  const lines = treeLines(root === undefined ? tree.roots : [root], undefined);
  if (json) {
    await output.write(lines.map(({ depth, node }) => jsonLine({ depth, ...node.info })).join(""));
    return;
  }
  const width = output.width() ?? Infinity;
  const commands = new CommandText(width === Infinity ? Infinity : COMMAND_LIMIT);
  const columns = SNAPSHOT_COLUMNS;
  const text = lines.map((line) => formatTreeLine(line, columns, commands, nowNs, width));
  await output.write(`${[`${columns.titles}Command`, ...text].join("\n")}\n`);
}
