import { sleep, startChild, within } from "../child.ts";
import { type Contender, ourContender } from "../contenders.ts";
import { summarize } from "../median.ts";
import { sleepsOfThreads, wakeUpsBetween } from "../proc.ts";
import { interleave } from "../rounds.ts";
import type { Measure, Section } from "../section.ts";

/** What a subscription costs when nothing happens. */
export const idle: Measure = {
  name: "idle",
  async run({ runtimes, rounds, quick }): Promise<Section> {
    const seconds = quick ? 1 : 10;
    const contenders = runtimes.flatMap((runtime) => [
      withStay(ourContender(runtime, "empty")),
      // Events that nobody makes: the other programs of the machine must not wake it.
      ourContender(runtime, "idle", { events: "coredump" }),
    ]);
    const { samples, problems } = await interleave(
      quick ? 1 : Math.min(3, rounds),
      contenders.map((contender) => ({
        name: contender.name,
        run: () => wakeUpRate(contender, seconds, quick),
      })),
    );
    const lines = runtimes.flatMap(({ name }) => {
      const empty = samples.get(`${name} empty`);
      const ours = samples.get(`${name} idle`);
      if (empty === undefined || ours === undefined) return [];
      const beyond = ours.map((rate, round) => rate - empty[round]!);
      return [
        { subject: `${name}, not subscribed`, value: summarize(empty), unit: "wake-ups/s" },
        { subject: `${name}, subscribed`, value: summarize(ours), unit: "wake-ups/s" },
        // One heartbeat a minute may fall into the window.
        {
          subject: `${name}, more than when not subscribed`,
          value: summarize(beyond),
          unit: "wake-ups/s",
          goal: { most: 0.5 },
        },
      ];
    });
    return {
      title: "Wake-ups when nothing happens",
      text:
        `Voluntary context switches of all threads over ${seconds} s, subscribed to core dumps, of which there ` +
        "are none.",
      lines,
      problems,
    };
  },
};

function withStay(contender: Contender): Contender {
  return { ...contender, command: (run) => [...contender.command(run), "--stay"] };
}

async function wakeUpRate(contender: Contender, seconds: number, quick: boolean): Promise<number> {
  const child = startChild(contender.command({ of: 0, half: 0 }));
  try {
    await within(20, "to become ready", child.ready);
    await sleep(quick ? 500 : 5000); // the runtime's own start has ended by then
    const before = sleepsOfThreads(child.pid);
    await sleep(seconds * 1000);
    const rate = wakeUpsBetween(before, sleepsOfThreads(child.pid)) / seconds;
    child.kill("SIGTERM");
    await within(20, "the end", child.exited);
    return rate;
  } catch (error) {
    throw new Error(`${contender.name}: ${(error as Error).message}`, { cause: error });
  } finally {
    child.kill("SIGKILL");
  }
}
