import { spawn } from "node:child_process";
import { once } from "node:events";
import { encodeText } from "../../lib/wire/text.ts";
import type { Exec } from "../../tests/support/execs.ts";
import { bundleCnctl } from "../bundle.ts";
import { sleep } from "../child.ts";
import { summarize } from "../median.ts";
import { interleave } from "../rounds.ts";
import type { Line, Measure, Section } from "../section.ts";
import { cnctlWatcher, peerWatchers, type Verdict, watchTogether } from "../watchers.ts";

const COMMANDS = [["true"], ["sh", "-c", "exit 3"], ["ls", "/dev/null"], ["date", "+%s"]] as const;
const PAUSE_MS = 100;

/** Command lines known of short commands on a quiet machine, and how many pass before the first one is known. */
export const commandsQuiet: Measure = {
  name: "commands-quiet",
  async run({ runtimes, rounds, quick }): Promise<Section> {
    const path = bundleCnctl();
    const count = quick ? 4 : 120;
    const forkstat = peerWatchers().filter(({ name }) => name === "forkstat");
    const ours = runtimes.flatMap((runtime) =>
      (["required", "off"] as const).map((records) => cnctlWatcher(runtime, path, records))
    );
    const { samples, problems } = await interleave(
      quick ? 1 : Math.min(3, rounds),
      ours.map((watcher) => ({
        name: watcher.name,
        // Each beside forkstat, and nothing else: they would be in each other's way.
        run: () => watchTogether([watcher, ...forkstat], () => makeCommands(count)),
      })),
    );
    const lines = [...samples].flatMap(([name, runs]): Line[] => {
      const values = runs.map((verdicts) => share(verdicts.get(name)!));
      const beside = runs.flatMap((verdicts) => verdicts.get("forkstat") ?? []).length === 0
        ? undefined
        : summarize(runs.map((verdicts) => share(verdicts.get("forkstat")!)));
      const first = runs.map((verdicts) => {
        const index = verdicts.get(name)!.findIndex(isKnown);
        return 1 + (index < 0 ? count : index);
      });
      return [{
        subject: `${name}, known`,
        value: summarize(values),
        unit: "%",
        ...(beside !== undefined && { note: `forkstat beside it ${beside.median.toFixed(1)} %` }),
        goal: { least: name.includes("off") ? beside?.median ?? 0 : 100 },
      }, {
        subject: `${name}, number of the first known`,
        value: summarize(first),
        unit: "",
        goal: { most: 1 },
      }];
    });
    return {
      title: "Command lines known of short commands, quiet machine",
      text: `${count} commands, one each ${PAUSE_MS} ms, from right after the subscription: ${
        COMMANDS.map((command) => command.join(" ")).join("; ")
      }. With exec records and without.`,
      lines,
      problems: [...problems, ...wrong(samples)],
    };
  },
};

/** Starts the commands one after the other. */
async function makeCommands(count: number): Promise<{ maker: number; execs: Exec[] }> {
  const execs: Exec[] = [];
  for (let i = 0; i < count; i++) {
    const [program, ...args] = COMMANDS[i % COMMANDS.length]!;
    const child = spawn(program, args, { stdio: "ignore" });
    execs.push({
      pid: child.pid!,
      file: undefined,
      bytes: encodeText([program, ...args].map((word) => `${word}\0`).join("")),
    });
    await once(child, "exit");
    await sleep(PAUSE_MS);
  }
  return { maker: process.pid, execs };
}

function isKnown(verdict: Verdict): boolean {
  return verdict === "whole" || verdict === "cut";
}

function share(verdicts: readonly Verdict[]): number {
  return 100 * verdicts.filter(isKnown).length / verdicts.length;
}

function wrong(samples: ReadonlyMap<string, readonly ReadonlyMap<string, readonly Verdict[]>[]>): string[] {
  return [...samples].flatMap(([name, runs]) => {
    const count = runs.flatMap((verdicts) => verdicts.get(name)!).filter((one) => one === "wrong").length;
    return count === 0 ? [] : [`${name}: ${count} command lines are wrong`];
  });
}
