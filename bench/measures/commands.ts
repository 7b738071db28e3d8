import { buildExecs, startExecs } from "../../tests/support/execs.ts";
import { bundleCnctl } from "../bundle.ts";
import { sleep } from "../child.ts";
import { summarize } from "../median.ts";
import type { Line, Measure, Section } from "../section.ts";
import { cnctlWatcher, peerWatchers, type Verdict, watchTogether } from "../watchers.ts";

/** Whose argument vectors are right, on the same commands at the same time: cnctl, forkstat, execsnoop. */
export const commands: Measure = {
  name: "commands",
  async run({ runtimes, quick }): Promise<Section> {
    const built = buildExecs();
    if ("missing" in built) throw new Error(built.missing);
    const count = quick ? 27 : 1000;
    const all = new Map<string, { readonly known: number[]; note: string }>();
    let vectors = 0;
    for (const runtime of runtimes) {
      const verdicts = await watchTogether(
        [cnctlWatcher(runtime, bundleCnctl(), "required"), ...peerWatchers()],
        async () => {
          await sleep(500);
          const { child, truth } = startExecs(built.path, count);
          return { maker: child.pid!, execs: await truth };
        },
      );
      for (const [name, list] of verdicts) {
        vectors = list.length;
        const number = (verdict: Verdict): number => list.filter((one) => one === verdict).length;
        const entry = all.get(name) ?? { known: [], note: "" };
        entry.known.push(100 * (number("whole") + number("cut")) / list.length);
        entry.note = `${number("whole")} whole, ${number("cut")} cut, ${number("unknown")} unknown, ${
          number("wrong")
        } wrong`;
        all.set(name, entry);
      }
    }
    const lines = [...all].map(([subject, { known, note }]): Line => ({
      subject,
      value: summarize(known),
      unit: "%",
      note,
      ...(subject.includes("cnctl") && { goal: { least: 100 } }),
    }));
    return {
      title: "Argument vectors known, of mixed commands",
      text:
        `${count.toLocaleString("en")} commands, ${
          vectors.toLocaleString("en")
        } execs: /bin/true, chains of execs, scripts, ` +
        "arguments of 3,000 and 100,000 bytes, none, not UTF-8, overwritten by the program, execveat, threads, namespaces. " +
        "What each program showed is compared with what the maker had written down. Of peers, only letters, digits and a few " +
        "signs are compared, since their output does not tell arguments apart; what is cut counts as known if it begins right. " +
        "execsnoop shows the file that was given to execve in place of the first argument, and of a script not the interpreter: " +
        "where these differ it counts as wrong.",
      lines,
      problems: [...all].filter(([subject, { known }]) =>
        subject.includes("cnctl") && Math.min(...known) < 100
      )
        .map(([subject, { note }]) => `${subject}: ${note}`),
    };
  },
};
