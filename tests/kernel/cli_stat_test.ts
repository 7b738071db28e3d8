import assert from "node:assert/strict";
import { spawn, spawnSync } from "node:child_process";
import { chmodSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import process from "node:process";
import { test } from "node:test";
import { cnctl, end, LIMIT_MS, type Run } from "../support/cnctl.ts";
import { eventually, whyNoProcessEvents, whyNoTaskstats } from "../support/kernel.ts";

const skip = await whyNoProcessEvents();

/** A group of `cnctl stat --json`, as far as it matters here. */
interface JsonGroup {
  readonly name: string | null;
  readonly running: number;
  readonly starts: number;
  readonly ended: number;
  readonly failed: number;
  readonly failures: Readonly<Record<string, number>>;
  readonly cpuSeconds: number | null;
  readonly medianLifetimeSeconds: number | null;
  readonly events: Readonly<Record<string, number>>;
}

interface JsonReport {
  readonly by: string;
  readonly seconds: number;
  readonly lost: number;
  readonly uncountedLosses: number;
  readonly groups: readonly JsonGroup[];
}

/** A script with a name of its own, which no other program has. */
function makeScript(t: { after(action: () => void): void }, text: string): { name: string; path: string } {
  const folder = mkdtempSync(join(tmpdir(), "cnctl-stat-"));
  t.after(() => rmSync(folder, { recursive: true }));
  const name = `st${process.pid}-${Math.floor(Math.random() * 1e5)}`;
  const path = join(folder, name);
  writeFileSync(path, `#!/bin/sh\n${text}\n`);
  chmodSync(path, 0o755);
  return { name, path };
}

/** Runs a marker program until the command has certainly begun to count, and returns once it has. */
async function begun(run: Run): Promise<void> {
  await eventually("the start", () => run.said.error.includes("Summing up"), LIMIT_MS);
}

/** What it says of an action. It tries again if other programs made so many events that some were lost. */
async function summedUp(
  args: readonly string[],
  action: () => void,
  isWhole: (text: string) => boolean,
): Promise<string> {
  const limitMs = performance.now() + LIMIT_MS;
  for (;;) {
    const run = cnctl(["stat", ...args]);
    await begun(run);
    action();
    end(run, "SIGTERM");
    assert.equal(await run.ended, 0);
    if (isWhole(run.said.out)) return run.said.out;
    assert(performance.now() < limitMs, run.said.out);
  }
}

test("cnctl stat counts starts, ends and failures by program, and what scripts fork", { skip }, async (t) => {
  const { name, path } = makeScript(t, `(:); exec /bin/sh -c "$1"`);
  const text = await summedUp(["--json"], () => {
    for (const how of ["exit 3", "exit 3", "exit 0", "kill -KILL $$"]) spawnSync(path, [how]);
  }, (json) => {
    const { lost, uncountedLosses } = JSON.parse(json) as JsonReport;
    return lost === 0 && uncountedLosses === 0;
  });
  const report = JSON.parse(text) as JsonReport;
  assert.equal(report.by, "program");
  const own = report.groups.find((group) => group.name === name);
  assert(own !== undefined, `no ${name}`);
  // Each is started once, and becomes sh; its subshell is another start, and ends as this program.
  assert.deepEqual([own.starts, own.running, own.ended, own.failed], [8, 0, 4, 0]);
  assert.equal(own.events.fork, 4);
  const sh = report.groups.find((group) => group.name === "sh")!;
  assert(sh.failures["3"]! >= 2 && sh.failures["SIGKILL"]! >= 1, JSON.stringify(sh));
  assert(own.medianLifetimeSeconds! > 0 && own.medianLifetimeSeconds! < LIMIT_MS / 1000);
});

test("cnctl stat --by parent shows who starts so much, as a table", { skip }, async (t) => {
  const { name, path } = makeScript(t, `for i in 1 2 3 4 5; do /bin/true; done; /bin/false`);
  const text = await summedUp(
    ["--by", "parent"],
    () => spawnSync(path),
    (table) => table.endsWith("; none lost\n"),
  );
  const [titles, ...lines] = text.trimEnd().split("\n");
  assert.match(
    titles!,
    /^ Starts Running {3}Ended {2}Failed {2}Median Longest {3}Forks {3}Execs( +\w+)* +Parent /,
  );
  assert.match(lines.at(-1)!, /^\d+ starts, \d+ ended, \d+ failed in [\d.]+ s; none lost$/);
  const own = lines.find((line) => line.includes(name));
  assert.match(
    own!,
    new RegExp(` {6}6 +0 +6 +1 +[\\d.]+[mu]?s +[\\d.]+[mu]?s +0 +6( +\\d+)* ${name} +1 \\(1\\)$`),
  );
});

test(
  "cnctl stat --usage sums up the CPU time of what has ended",
  { skip: skip || whyNoTaskstats() },
  async (t) => {
    const { name, path } = makeScript(t, "i=0; while [ $i -lt 100000 ]; do i=$((i + 1)); done");
    const text = await summedUp(
      ["--usage", "--json"],
      () => spawnSync(path),
      (json) => {
        const { lost, uncountedLosses, groups } = JSON.parse(json) as JsonReport;
        return lost === 0 && uncountedLosses === 0 &&
          groups.find((group) => group.name === name)?.cpuSeconds !== null;
      },
    );
    const own = (JSON.parse(text) as JsonReport).groups.find((group) => group.name === name)!;
    assert(own.cpuSeconds! > 0.001 && own.cpuSeconds! < LIMIT_MS / 1000, text);
  },
);

test("cnctl stat ends after --seconds, and with the last process of --tree", { skip }, async () => {
  const timed = cnctl(["stat", "--seconds", "0.3", "--by", "user", "--json"]);
  assert.equal(await timed.ended, 0);
  const report = JSON.parse(timed.said.out) as JsonReport;
  assert(report.seconds >= 0.3);
  assert(report.groups.some(({ name, running }) => name === String(process.getuid!()) && running > 0));
  const child = spawn("/bin/sleep", ["300"]);
  const tree = cnctl(["stat", "--json", "--tree", String(child.pid)]);
  await begun(tree);
  child.kill("SIGKILL");
  assert.equal(await tree.ended, 0);
  const { groups } = JSON.parse(tree.said.out) as JsonReport;
  assert.equal(groups.reduce((sum, { running }) => sum + running, 0), 0);
});

test("cnctl stat rejects wrong arguments with a sentence", async () => {
  for (
    const [args, message] of [
      [["--by", "colour"], /Allowed choices are program, parent, user, cgroup/],
      [["--seconds", "0"], /It must be a number above 0/],
      [["--tree", "no"], /It must be a process id/],
    ] as const
  ) {
    const run = cnctl(["stat", ...args]);
    assert.equal(await run.ended, 2);
    assert.match(run.said.error, message);
    assert.equal(run.said.out, "");
  }
  const gone = cnctl(["stat", "--tree", "2147483646"]);
  assert.equal(await gone.ended, skip === false ? 1 : await gone.ended);
});
