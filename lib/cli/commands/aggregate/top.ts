import { type Command, Option } from "commander";
import type { ProcessEventType, ProcessWatch } from "../../../../mod.ts";
import { AGGREGATE_BY, AGGREGATE_FIELDS, type AggregateBy } from "../../../processes/aggregate.ts";
import { ProcFs } from "../../../procfs/process.ts";
import { openSystem } from "../../../system.ts";
import { processId, seconds } from "../../arguments.ts";
import { EXIT } from "../../errors.ts";
import { wantsColour } from "../../io/colour.ts";
import { StopRequest } from "../../io/signals.ts";
import { environment } from "../../runtime.ts";
import { Screen, whyNoScreen } from "../../screen/screen.ts";
import { CpuSampler } from "./cpu.ts";
import { namesFor, openSummedWatch } from "./open.ts";
import { TopView } from "./top_view.ts";

/** The options as commander parses them. */
interface TopFlags {
  readonly by: AggregateBy;
  readonly tree?: number;
  readonly delay: number;
  readonly usage?: boolean;
}

const EVENTS: readonly ProcessEventType[] = ["fork", "exec", "exit", "comm", "uid"];

const DETAILS = `
Also shows what lived and ended between two refreshes, which tools that read
/proc now and then miss.

Columns:
  New/s    processes that started in each second since the last refresh
  Running  processes that are running now
  Ended, Failed, Median, Longest, Forks
           since the start of cnctl top; see cnctl stat --help
  CPU      processor time of the running processes since the last refresh, in
           percent of one processor; + if others ended meanwhile, of which it
           is unknown (known with --usage); - if it is unknown. Processes that
           were idle are looked at in every fourth refresh
The last column counts exit codes and signals of failed processes. Columns for
which a narrow terminal has no room are left out. Green rows had starts since
the last refresh; dim ones had neither starts nor ends.

Keys:
  q, Ctrl-C       quit
  b               group by program, parent, user or cgroup; counts begin anew
  s, right, left  sort by another column, marked with >
  /, f            show only groups with this text in their name; Esc shows all
  up, down, page up, page down, home
                  scroll
  Ctrl-L          draw everything anew
  Ctrl-Z          stop; continue with fg

It needs a terminal: use "cnctl stat" for a file or a pipe. The exit status is 0
after q, Ctrl-C, SIGTERM or SIGHUP, when the terminal is closed, or when the
last process of --tree has exited; 1 on failure; 2 for wrong arguments.

Examples:
  cnctl top
  cnctl top --by parent`;

/** Adds `cnctl top`. */
export function addTop(program: Command, finish: (status: number) => void): void {
  const command = program.command("top");
  command
    .description("Show which programs start, run, end and fail, as a live table.")
    .addOption(new Option("-b, --by <what>", "group by").choices(AGGREGATE_BY).default("program"))
    .addOption(
      new Option("-d, --delay <time>", "seconds between two refreshes").argParser(seconds).default(1),
    )
    .addOption(new Option("--tree <pid>", "only this process and its descendants").argParser(processId))
    .option("--usage", "count the CPU time of processes that have ended (wants CAP_NET_ADMIN)")
    .addHelpText("after", DETAILS)
    .action(async (flags: TopFlags) => {
      const reason = whyNoScreen();
      if (reason !== undefined) {
        command.error(`error: Cannot show a live table: ${reason}. Use "cnctl stat" instead.`);
      }
      finish(await top(flags));
    });
}

async function top({ by, tree, delay, usage }: TopFlags): Promise<number> {
  using stop = new StopRequest();
  const { libc } = openSystem("show the processes");
  const users = await namesFor("user");
  let watch: ProcessWatch | undefined;
  let ended = false;
  let regroup = false;
  const end = (): void => {
    ended = true;
    void watch?.close();
  };
  const view = new TopView(by, users, new CpuSampler(new ProcFs(libc)), {
    colour: wantsColour("auto", true, environment),
    onBy() {
      regroup = true;
      void watch?.close();
    },
    nowMs: performance.now(),
  });
  // The first one before the terminal is taken: if it fails, the reason is read on an unchanged screen.
  const open = (): Promise<ProcessWatch> => openSummedWatch(AGGREGATE_FIELDS[view.by], EVENTS, tree, usage);
  watch = await open();
  using screen = new Screen(view, end);
  stop.onRequest(end);
  const refresh = (): void => screen.draw(() => view.look(performance.now()));
  const timer = setInterval(refresh, delay * 1000);
  try {
    while (!ended) {
      const aggregate = view.begin(performance.now());
      watch ??= await open();
      let first = true;
      for await (const batch of watch.batches()) {
        aggregate.apply(batch);
        if (!first) continue;
        first = false;
        refresh();
      }
      await watch.close();
      watch = undefined;
      if (!regroup) ended = true; // asked for, or the last process of the tree has ended
      regroup = false;
    }
  } finally {
    clearInterval(timer);
    await watch?.close();
  }
  return EXIT.ok;
}
