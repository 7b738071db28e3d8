import { rmSync, statSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { openPage, whyNoBrowser } from "../../tests/support/browser.ts";
import { largeRecording } from "../../tests/trace/sample.ts";
import { cacheFolder } from "../build.ts";
import { bundleCnctl } from "../bundle.ts";
import { startChild, within } from "../child.ts";
import { summarize } from "../median.ts";
import { interleave, type Subject } from "../rounds.ts";
import type { Line, Measure, Section } from "../section.ts";

/** How many frames are measured while the page moves. */
const FRAMES = 120;

/** `cnctl report --format html` of a large recording, and the page in Chromium. */
export const report: Measure = {
  name: "report",
  async run({ runtimes, rounds, quick }): Promise<Section> {
    const processes = quick ? 1000 : 100_000;
    const file = (name: string): string => join(cacheFolder(), `report-${process.pid}.${name}`);
    writeFileSync(file("trace"), largeRecording(processes));
    const cnctl = bundleCnctl();
    const make = async (command: readonly string[]): Promise<number> => {
      const begin = performance.now();
      const args = ["report", file("trace"), "--format", "html", "-o", file("html")];
      const child = startChild([...command, cnctl, ...args]);
      const status = await within(100, "the report", child.exited.then(() => statSync(file("html")).size));
      if (status === 0) throw new Error("the report is empty");
      return performance.now() - begin;
    };
    try {
      const subjects: Subject<number>[] = runtimes.map(({ name, command }) => ({
        name,
        run: () => make(command),
      }));
      const made = await interleave(rounds, subjects);
      const bytes = statSync(file("html")).size;
      const why = whyNoBrowser();
      const shown = why === undefined
        ? await interleave(rounds, [{ name: "page", run: () => show(file("html")) }])
        : { samples: new Map<string, Shown[]>(), problems: [] };
      const pages = shown.samples.get("page") ?? [];
      const lines: Line[] = [...made.samples].map(([name, values]) => ({
        subject: `${name}: cnctl report --format html`,
        value: summarize(values),
        unit: "ms",
        goal: { most: 4000 },
      }));
      lines.push({ subject: "size of the page", value: summarize([bytes / 2 ** 20]), unit: "MiB" });
      if (pages.length > 0) {
        const of = (value: (page: Shown) => number) => summarize(pages.map(value));
        lines.push(
          {
            subject: "Chromium: until it is drawn",
            value: of(({ openMs }) => openMs),
            unit: "ms",
            goal: { most: 2000 },
          },
          {
            subject: "Chromium: a frame while it moves",
            value: of(({ frameMs }) => frameMs),
            unit: "ms",
            goal: { most: 17 },
          },
          {
            subject: "Chromium: 95 of 100 frames take at most",
            value: of(({ slowMs }) => slowMs),
            unit: "ms",
          },
        );
      }
      return {
        title: "An HTML report",
        text:
          `Of a build of ${
            processes.toLocaleString("en")
          } processes, from the start of cnctl to its end, and the page in ` +
          `Chromium without a graphics card${
            why === undefined ? "" : ` (not measured: ${why})`
          }: from the request until ` +
          "it is drawn, and the time between frames while arrow keys move it.",
        lines,
        problems: [...made.problems, ...shown.problems],
      };
    } finally {
      for (const name of ["trace", "html"]) rmSync(file(name), { force: true });
    }
  },
};

interface Shown {
  readonly openMs: number;
  /** The median time between two frames. */
  readonly frameMs: number;
  /** The 95th percentile. */
  readonly slowMs: number;
}

async function show(file: string): Promise<Shown> {
  await using page = await openPage();
  await page.resize(1280, 900);
  const drawn = "new Promise((resolve) => requestAnimationFrame(() => requestAnimationFrame(resolve)))";
  const begin = performance.now();
  await page.open(`file://${file}`);
  await page.evaluate(drawn);
  const openMs = performance.now() - begin;
  const times = await page.evaluate<number[]>(`(async () => {
    const press = (key) => document.dispatchEvent(new KeyboardEvent("keydown", { key, bubbles: true }));
    for (let i = 0; i < 4; i++) press("+");
    await ${drawn};
    const times = [];
    let last = await new Promise(requestAnimationFrame);
    for (let i = 0; i < ${FRAMES}; i++) {
      press(i < ${FRAMES / 2} ? "ArrowRight" : "ArrowLeft");
      const now = await new Promise(requestAnimationFrame);
      times.push(now - last);
      last = now;
    }
    return times;
  })()`);
  times.sort((a, b) => a - b);
  return { openMs, frameMs: times[FRAMES / 2]!, slowMs: times[Math.floor(FRAMES * 0.95)]! };
}
