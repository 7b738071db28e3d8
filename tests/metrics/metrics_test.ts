import fc from "fast-check";
import assert from "node:assert/strict";
import { spawnSync } from "node:child_process";
import { test } from "node:test";
import { groupNamer } from "../../lib/metrics/group_rules.ts";
import { type MetricsSource, processMetrics } from "../../lib/metrics/metrics.ts";
import { formatMetrics } from "../../lib/metrics/text.ts";
import { ProcessAggregate } from "../../lib/processes/aggregate.ts";
import { emptyInfo } from "../../lib/processes/info.ts";
import { signalName } from "../../lib/processes/signals.ts";
import { Events } from "../processes/events.ts";
import { findProgram } from "../support/programs.ts";

const promtool = findProgram("promtool");
const skip = promtool === undefined ? "promtool is not installed (Debian: prometheus)" : false;
const STATS = {
  lost: 3,
  untrusted: 2,
  interruptions: 1,
  heartbeats: 4,
  usage: undefined,
} as unknown as MetricsSource[
  "stats"
];

/** What a process of this name leaves when it ends with a status, after so many milliseconds. */
function run(aggregate: ProcessAggregate, comm: string | undefined, status: number, ms: number = 5): void {
  let nowNs = 1000_000_000n;
  const events = new Events(() => nowNs);
  const process = { ...emptyInfo(7, undefined), comm, startNs: nowNs };
  const end = {
    coreDumped: (status & 128) !== 0,
    signal: (status & 127) === 0 ? null : signalName(status & 127),
    exitCode: (status & 127) === 0 ? status >> 8 : null,
  };
  const usage = { cpuNs: 2e6, peakRssBytes: 4096, readBytes: 1, writeBytes: 2 } as never;
  aggregate.apply([{ ...events.fork(1, 7), process }, { ...events.exec(7), process }]);
  nowNs += BigInt(Math.round(ms * 1e6));
  aggregate.apply([{ ...events.exit(7, 7, status), ...end, process, usage }]);
}

function textOf(aggregate: ProcessAggregate): string {
  return formatMetrics(
    processMetrics({ aggregate, stats: STATS, wallTimeMs: (ns) => Number(ns / 1_000_000n), version: "1" }),
  );
}

/** A sample by its series, as it is written. */
function valueOf(text: string, series: string): string | undefined {
  return text.split("\n").find((line) => line.startsWith(`${series} `))?.slice(series.length + 1);
}

function check(text: string): void {
  const { status, stderr, stdout } = spawnSync(promtool!, ["check", "metrics"], {
    input: text,
    encoding: "utf8",
  });
  assert.equal(status, 0, `${stderr}${stdout}`);
}

/** What promtool does not look for: no two samples may be one series. */
function assertDistinct(text: string): void {
  const series = text.split("\n").filter((line) => line !== "" && !line.startsWith("#"))
    .map((line) => line.slice(0, line.lastIndexOf(" ")));
  assert.equal(new Set(series).size, series.length);
}

test("starts, ends by result, failures, lifetimes and usage of a group", () => {
  const aggregate = new ProcessAggregate("program");
  for (const status of [0, 0, 0x100, 0x100, 9, 139]) run(aggregate, "job", status);
  run(aggregate, "job", 0, 20_000);
  const text = textOf(aggregate);
  const expected: Readonly<Record<string, string>> = {
    'cnctl_process_starts_total{group="job"}': "7",
    'cnctl_process_ends_total{group="job",result="ok"}': "3",
    'cnctl_process_ends_total{group="job",result="code"}': "2",
    'cnctl_process_ends_total{group="job",result="signal"}': "1",
    'cnctl_process_ends_total{group="job",result="core"}': "1",
    'cnctl_process_ends_total{group="job",result="unknown"}': "0",
    'cnctl_process_failures_total{group="job",how="1"}': "2",
    'cnctl_process_failures_total{group="job",how="SIGKILL"}': "1",
    'cnctl_process_failures_total{group="job",how="SIGSEGV"}': "1",
    'cnctl_process_running{group="job"}': "0",
    'cnctl_process_lifetime_seconds_bucket{group="job",le="0.001"}': "0",
    'cnctl_process_lifetime_seconds_bucket{group="job",le="0.01"}': "6",
    'cnctl_process_lifetime_seconds_bucket{group="job",le="10"}': "6",
    'cnctl_process_lifetime_seconds_bucket{group="job",le="60"}': "7",
    'cnctl_process_lifetime_seconds_bucket{group="job",le="+Inf"}': "7",
    'cnctl_process_lifetime_seconds_sum{group="job"}': "20.03",
    'cnctl_process_lifetime_seconds_count{group="job"}': "7",
    'cnctl_process_ended_cpu_seconds_total{group="job"}': "0.014",
    'cnctl_process_peak_memory_bytes{group="job"}': "4096",
    'cnctl_process_last_end_timestamp_seconds{group="job"}': "21",
    cnctl_lost_events_total: "3",
    cnctl_forged_messages_total: "2",
    cnctl_usage_known: "0",
    cnctl_subscribed: "1",
    'cnctl_build_info{version="1"}': "1",
  };
  for (const [series, value] of Object.entries(expected)) assert.equal(valueOf(text, series), value, series);
});

test("what is expected is there with 0, and rules count programs together", () => {
  const rules = [{ group: "web", pattern: "nginx*" }, { group: "backup", pattern: "rsync" }];
  const aggregate = new ProcessAggregate("program", 200, groupNamer(rules));
  for (const { group } of rules) aggregate.expect(group);
  for (const comm of ["nginx", "nginx: worker", "other"]) run(aggregate, comm, 0);
  const text = textOf(aggregate);
  assert.equal(valueOf(text, 'cnctl_process_starts_total{group="web"}'), "2");
  assert.equal(valueOf(text, 'cnctl_process_starts_total{group="backup"}'), "0");
  assert.equal(valueOf(text, 'cnctl_process_running{group="backup"}'), "0");
  assert.equal(valueOf(text, 'cnctl_process_starts_total{group="other"}'), "1");
});

test("beyond the limit of groups and of codes the rest is one, and totals stay right", () => {
  const aggregate = new ProcessAggregate("program", 3);
  for (let i = 0; i < 50; i++) run(aggregate, `p${i}`, 0);
  run(aggregate, "(others)", 0);
  for (let code = 1; code < 60; code++) run(aggregate, "p0", code << 8);
  const text = textOf(aggregate);
  const starts = text.split("\n").filter((line) => line.startsWith("cnctl_process_starts_total"));
  assert.equal(starts.length, 4);
  assert.equal(valueOf(text, 'cnctl_process_starts_total{group="(others)"}'), "48");
  assert.equal(valueOf(text, "cnctl_group_limit_reached"), "1");
  const failures = text.split("\n").filter((line) => line.startsWith("cnctl_process_failures_total"));
  assert.equal(failures.length, 17);
  assert.equal(failures.reduce((sum, line) => sum + Number(line.split(" ").at(-1)), 0), 59);
  assertDistinct(text);
});

const NAMES = [
  "\udcff\udcfe",
  'a"b\\c\nd',
  "(others)",
  "(unknown)",
  "\u202e\x1b[31m",
  "",
  '",evil="1',
  "\ud800",
  "\0",
  undefined,
];

test("hostile names break no scrape", { skip }, () => {
  const aggregate = new ProcessAggregate("program", 5);
  for (const comm of NAMES) run(aggregate, comm, 0x100);
  const text = textOf(aggregate);
  check(text);
  assertDistinct(text);
  assert.doesNotMatch(text, /evil="1"/);
});

test("any names give distinct series that are well-formed", () => {
  fc.assert(
    fc.property(
      fc.array(fc.oneof(fc.string({ unit: "binary" }), fc.constantFrom(...NAMES)), { maxLength: 8 }),
      (names) => {
        const aggregate = new ProcessAggregate("program", 4);
        for (const comm of names) run(aggregate, comm, 1 << 8);
        const text = textOf(aggregate);
        assert(text.isWellFormed());
        assertDistinct(text);
        for (const line of text.split("\n").slice(0, -1)) {
          assert.match(line, /^(# (HELP|TYPE) .*|\w+(\{(\w+="([^"\\]|\\[\\"n])*",?)+\})? \S+)$/);
        }
        assert(text.endsWith("\n"));
      },
    ),
  );
});
