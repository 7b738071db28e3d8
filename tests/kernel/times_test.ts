import assert from "node:assert/strict";
import { spawn, spawnSync } from "node:child_process";
import { join } from "node:path";
import process from "node:process";
import { test } from "node:test";
import { watchProcesses } from "../../mod.ts";
import { whyNoProcessEvents } from "../support/kernel.ts";
import { command, root, runtime } from "../support/runtimes.ts";

const skip = await whyNoProcessEvents();

/** The fields of a row of `cnctl watch --json` that this test reads. */
interface JsonRow {
  readonly type: string;
  readonly time: string;
  readonly cpu: number;
  readonly timestampNs: string;
  readonly pid?: number;
  readonly process: { readonly commandLine: readonly string[] | null } | null;
}

/** Ten children of a shell, each with the time that it printed, in milliseconds. */
function clockReadings(): ReadonlyMap<number, number> {
  const { stdout } = spawnSync(
    "/bin/sh",
    ["-c", "for i in 1 2 3 4 5 6 7 8 9 10; do sh -c 'echo $$ $(date +%s%N)'; done"],
    { encoding: "utf8" },
  );
  return new Map(
    stdout.trim().split("\n").map((line) => {
      const [pid, ns] = line.split(" ");
      return [Number(pid), Number(ns) / 1e6];
    }),
  );
}

test("wallTimeMs() agrees with the time that programs read", { skip }, async () => {
  await using events = await watchProcesses({ events: ["fork", "exit"] });
  const said = clockReadings();
  assert.equal(said.size, 10);
  const seen = new Map<number, { from?: number; to?: number }>([...said.keys()].map((pid) => [pid, {}]));
  let left = said.size;
  for await (const event of events) {
    const time = event.type === "lost" ? 0 : events.wallTimeMs(event.timestampNs);
    if (event.type === "fork" && !event.thread) Object.assign(seen.get(event.pid) ?? {}, { from: time });
    if (event.type !== "exit" || event.thread || !seen.has(event.pid)) continue;
    seen.get(event.pid)!.to = time;
    if (--left === 0) break;
  }
  for (const [pid, ms] of said) {
    const { from, to } = seen.get(pid)!;
    // Their resolution, and that of the wall clock as a floating-point number, is a microsecond.
    assert(from! <= ms + 0.001 && ms <= to! + 0.001, `${pid}: ${from} <= ${ms} <= ${to}`);
  }
});

/** The rows of `cnctl watch --json`, run with the prefix `before`, for children that print the time. */
async function watchedReadings(
  ...before: readonly string[]
): Promise<{ rows: JsonRow[]; said: ReadonlyMap<number, number> }> {
  const [program, ...args] = [...before, ...command(runtime, join(root, "lib/cli/main.ts"))];
  const child = spawn(program!, [...args, "watch", "--json", "--events", "fork,exec,exit"], {
    stdio: ["ignore", "pipe", "inherit"],
  });
  let out = "";
  const said = new Map<number, number>();
  const ended = new Promise((resolve) => child.on("close", resolve));
  const limit = setTimeout(() => child.kill("SIGKILL"), 60_000);
  // Children before the watch is open are in none of its rows; the next ones are in its first rows.
  const asking = setInterval(() => {
    for (const [pid, ms] of clockReadings()) said.set(pid, ms);
    if (out.split('"type":"exit"').length < 60) return;
    clearInterval(asking);
    process.kill(child.pid!, "SIGTERM");
  }, 20);
  child.stdout.setEncoding("utf8").on("data", (text: string) => out += text);
  await ended;
  clearInterval(asking);
  clearTimeout(limit);
  const lines = out.split("\n").filter((line) => line.endsWith("}"));
  return { rows: lines.map((line) => JSON.parse(line) as JsonRow), said };
}

/** Fails if a row of such a child has another time than the child itself; returns the number of rows. */
function compareTimes(rows: readonly JsonRow[], said: ReadonlyMap<number, number>): number {
  let compared = 0;
  for (const { type, time, pid } of rows) {
    const ms = pid === undefined ? undefined : said.get(pid);
    // A busy machine reuses pids, but not immediately.
    if (ms === undefined || Math.abs(Date.parse(time) - ms) > 3000) continue;
    compared++;
    // The rows have whole milliseconds, rounded down.
    if (type === "exit") assert(Date.parse(time) > ms - 1.01, `exit of ${pid}: ${time}, before ${ms}`);
    else assert(Date.parse(time) <= ms + 0.01, `${type} of ${pid}: ${time}, after ${ms}`);
  }
  return compared;
}

test(
  "cnctl watch --json: times are correct from the first row on, and never go back on a CPU",
  { skip },
  async () => {
    const { rows, said } = await watchedReadings();
    const compared = compareTimes(rows, said);
    assert(compared >= 30, `${compared} rows compared`);
    const latest = new Map<number, JsonRow>();
    for (const row of rows) {
      if (row.type === "lost") continue;
      const before = latest.get(row.cpu);
      if (before !== undefined && BigInt(before.timestampNs) <= BigInt(row.timestampNs)) {
        assert(before.time <= row.time, `on cpu ${row.cpu}: ${before.time}, then ${row.time}`);
      }
      latest.set(row.cpu, row);
    }
  },
);

const unshare = ["unshare", "-T", "--monotonic", "864000", "--boottime", "864000"];
const noTimeNamespace = spawnSync(unshare[0]!, [...unshare.slice(1), "true"]).status !== 0;

test(
  "cnctl watch in a time namespace: times are correct, and programs are known",
  { skip: skip || (noTimeNamespace && "no time namespace can be made here") },
  async () => {
    const { rows, said } = await watchedReadings(...unshare);
    assert(compareTimes(rows, said) >= 30);
    const programs = rows.filter(({ type, pid }) => type === "exec" && said.has(pid!));
    const known = programs.filter(({ process }) => process?.commandLine?.[0] === "sh");
    assert(known.length > 0, `of ${programs.length} programs none is known`);
  },
);
