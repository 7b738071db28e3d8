import { closeSync, openSync, readFileSync, unlinkSync } from "node:fs";
import { join } from "node:path";
import { cacheFolder, type Programs } from "./build.ts";
import { checkCounts } from "./check.ts";
import { type Child, sleep, startChild, type Usage, within } from "./child.ts";
import type { Contender, Report } from "./contenders.ts";
import { untilSubscribed } from "./proc.ts";
import { prepareStorm, type Storm, type StormResult } from "./storms.ts";

const READY_SECONDS = 20;
const END_SECONDS = 30;
/** From the storm's end to the signal: longer than the largest latency bound. */
const SETTLE_MS = 300;

/** One contender under one storm. */
export interface Run {
  readonly contender: string;
  readonly report: Report;
  readonly storm: StormResult;
  /** Of the whole process, including the start of its runtime. */
  readonly usage: Usage;
  /** Discrepancies of the counts; normally empty. */
  readonly problems: readonly string[];
}

/** Called during the storm. */
export interface Observer {
  during?(pid: number): void;
  everyMs: number;
}

/** Runs one contender under one storm and checks what it counted. */
export async function measure(
  programs: Programs,
  contender: Contender,
  storm: Storm,
  observer?: Observer,
): Promise<Run> {
  const waiting = prepareStorm(programs, storm);
  const path = contender.output === "file" ? join(cacheFolder(), `output-${process.pid}`) : undefined;
  const file = path === undefined ? undefined : openSync(path, "w");
  let child: Child | undefined;
  let timer: ReturnType<typeof setInterval> | undefined;
  try {
    child = startChild(contender.command({ of: waiting.pid, half: halfOf(storm) }), file, contender.noisy);
    await becomeReady(contender, child);
    const { pid } = child;
    if (observer !== undefined) timer = setInterval(() => observer.during?.(pid), observer.everyMs);
    const result = await within(150, "the storm", waiting.run());
    await sleep(SETTLE_MS);
    clearInterval(timer);
    child.kill("SIGTERM");
    await within(END_SECONDS, "the contender's end", child.exited);
    const output = path === undefined ? await child.output : readFileSync(path, "utf8");
    const report = contender.parse(output);
    const problems = checkCounts(report, result).map((text) =>
      `${contender.name}, ${storm.kind} storm: ${text}`
    );
    return { contender: contender.name, report, storm: result, usage: child.usage(), problems };
  } catch (error) {
    throw new Error(`${contender.name}, ${storm.kind} storm: ${(error as Error).message}`, { cause: error });
  } finally {
    clearInterval(timer);
    waiting.cancel();
    child?.kill("SIGKILL");
    if (file !== undefined) closeSync(file);
    if (path !== undefined) unlinkSync(path);
  }
}

/** Waits until the contender prints `ready`, or has a subscription. */
function becomeReady(contender: Contender, child: Child): Promise<void> {
  if (contender.output === "pipe") return within(READY_SECONDS, "to become ready", child.ready);
  const ended = child.exited.then((code) => {
    throw new Error(`it exited with ${code} before it was ready`);
  });
  ended.catch(() => {}); // ending later is expected
  return Promise.race([ended, untilSubscribed(child.pid, READY_SECONDS)]);
}

/** CPU per event from the subscription to the end, or of the whole process if the contender does not report it. */
export function cpuPerEvent(run: Run): number {
  const { cpuNs, events } = run.report;
  return cpuNs === undefined ? wholeCpuPerEvent(run) : (cpuNs.user + cpuNs.system) / events;
}

/** CPU of the whole process per event. */
export function wholeCpuPerEvent(run: Run): number {
  return (run.usage.userNs + run.usage.systemNs) / run.report.events;
}

/** CPU per event in the second half of the storm, if the contender reports it. */
export function warmCpuPerEvent(run: Run): number | undefined {
  const { warm } = run.report;
  return warm === undefined || warm.events === 0 ? undefined : warm.cpuNs / warm.events;
}

function halfOf({ kind, count }: Storm): number {
  const eventsEach = { comm: 1, vfork: 2, thread: 2, exec: 3 }[kind];
  return Math.floor(count * eventsEach / 2);
}
