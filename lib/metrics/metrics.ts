import { LIFETIME_LIMITS_S, type ProcessAggregate, type ProcessGroup } from "../processes/aggregate.ts";
import type { ProcessWatchStats } from "../processes/stats.ts";
import { safeText } from "../wire/escape.ts";
import type { MetricFamily, Sample } from "./text.ts";

/** The group of what is beyond the limit of groups, and of processes whose name is not known. */
const OTHER = "(others)";
const UNKNOWN = "(unknown)";
/** Codes and signals that are kept apart in a group: a program may end with any of 255. */
const MOST_FAILURES = 16;

/** What metrics are made of. */
export interface MetricsSource {
  readonly aggregate: ProcessAggregate;
  readonly stats: ProcessWatchStats;
  /** Turns CLOCK_MONOTONIC into milliseconds since 1970. */
  readonly wallTimeMs: (timestampNs: bigint) => number;
  readonly version: string;
}

/** The metrics of what processes have done. No label holds a pid, a path or an argument. */
export function processMetrics({ aggregate, stats, wallTimeMs, version }: MetricsSource): MetricFamily[] {
  const groups = aggregate.groups();
  /** A sample for each group that has a value. */
  const each = (valueOf: (group: ProcessGroup) => number | undefined): Sample[] =>
    groups.flatMap((group) => {
      const value = valueOf(group);
      return value === undefined ? [] : { labels: { group: labelOf(group) }, value };
    });
  const counter = (name: string, help: string, samples: readonly Sample[]): MetricFamily => (
    { name, help, type: "counter", samples }
  );
  const gauge = (name: string, help: string, samples: readonly Sample[]): MetricFamily => (
    { name, help, type: "gauge", samples }
  );
  const alone = (value: number): Sample[] => [{ value }];
  const seconds = (ns: bigint | undefined): number | undefined =>
    ns === undefined ? undefined : wallTimeMs(ns) / 1000;
  return [
    counter(
      "cnctl_process_starts_total",
      "Processes that started, by the program that they execute or copy.",
      each(({ starts }) => starts),
    ),
    counter(
      "cnctl_process_ends_total",
      "Processes that ended: with code 0, another code, by a signal, by one with a core, or unseen.",
      groups.flatMap(endSamples),
    ),
    counter(
      "cnctl_process_failures_total",
      "Processes that ended with a code other than 0 or by a signal, by either.",
      groups.flatMap(failureSamples),
    ),
    gauge("cnctl_process_running", "Processes that run.", each(({ running }) => running)),
    {
      name: "cnctl_process_lifetime_seconds",
      help: "How long processes lasted that have ended.",
      type: "histogram",
      samples: groups.flatMap(lifetimeSamples),
    },
    counter(
      "cnctl_process_ended_cpu_seconds_total",
      "CPU time of processes that have ended, however short they were.",
      each(({ used }) => used.processes === 0 ? undefined : used.cpuNs / 1e9),
    ),
    counter(
      "cnctl_process_ended_read_bytes_total",
      "Bytes that processes that have ended had read from storage.",
      each(({ used }) => used.processes === 0 ? undefined : used.readBytes),
    ),
    counter(
      "cnctl_process_ended_written_bytes_total",
      "Bytes that processes that have ended had written to storage.",
      each(({ used }) => used.processes === 0 ? undefined : used.writeBytes),
    ),
    gauge(
      "cnctl_process_peak_memory_bytes",
      "The most resident memory of any process that has ended.",
      each(({ used }) => used.processes === 0 ? undefined : used.peakRssBytes),
    ),
    gauge(
      "cnctl_process_last_end_timestamp_seconds",
      "When the last process ended.",
      each(({ lastEndNs }) => seconds(lastEndNs)),
    ),
    gauge(
      "cnctl_process_last_success_timestamp_seconds",
      "When the last process ended with code 0.",
      each(({ lastSuccessNs }) => seconds(lastSuccessNs)),
    ),
    gauge(
      "cnctl_group_limit_reached",
      `Whether there are more groups than are kept apart: then ${OTHER} has the rest.`,
      alone(aggregate.hasOther ? 1 : 0),
    ),
    counter(
      "cnctl_lost_events_total",
      "Events that the kernel dropped, as far as they were counted.",
      alone(stats.lost),
    ),
    counter(
      "cnctl_uncounted_losses_total",
      "How often an unknown number of events was lost.",
      alone(aggregate.losses.uncountedLosses),
    ),
    counter(
      "cnctl_forged_messages_total",
      "Messages that did not come from the kernel.",
      alone(stats.untrusted),
    ),
    counter(
      "cnctl_subscription_renewals_total",
      "How often the subscription had died and was renewed.",
      alone(stats.interruptions),
    ),
    counter(
      "cnctl_liveness_probes_total",
      "How often the subscription was checked in silence.",
      alone(stats.heartbeats),
    ),
    gauge(
      "cnctl_usage_known",
      "Whether the kernel says what processes have used: it needs CAP_NET_ADMIN.",
      alone(stats.usage !== undefined && stats.usage.refusal === undefined ? 1 : 0),
    ),
    gauge("cnctl_subscribed", "1 as long as process events are received.", alone(1)),
    gauge("cnctl_build_info", "The version, as a label.", [{ labels: { version }, value: 1 }]),
  ];
}

function labelOf({ name, isOther }: ProcessGroup): string {
  if (isOther) return OTHER;
  return name === undefined ? UNKNOWN : safeText(name);
}

function endSamples(group: ProcessGroup): Sample[] {
  const { ended, failed, unknownStatus, coreDumps, failures } = group;
  const label = labelOf(group);
  let codes = 0;
  for (const [how, count] of failures) if (/^\d/.test(how)) codes += count;
  const counts = {
    ok: ended - failed - unknownStatus,
    code: codes,
    signal: failed - codes - coreDumps,
    core: coreDumps,
    unknown: unknownStatus,
  };
  return Object.entries(counts).map(([result, value]) => ({ labels: { group: label, result }, value }));
}

function failureSamples(group: ProcessGroup): Sample[] {
  const label = labelOf(group);
  return [...group.failures].map(([how, value], i) => ({
    labels: { group: label, how: i < MOST_FAILURES ? how : OTHER },
    value,
  }));
}

function lifetimeSamples(group: ProcessGroup): Sample[] {
  const label = labelOf(group);
  let sum = 0;
  const buckets = group.lifetimeCounts.map((count, i) => {
    sum += count;
    return { suffix: "_bucket", labels: { group: label, le: String(LIFETIME_LIMITS_S[i]) }, value: sum };
  });
  const { count } = group.lifetimes;
  return [
    ...buckets,
    { suffix: "_bucket", labels: { group: label, le: "+Inf" }, value: count },
    { suffix: "_sum", labels: { group: label }, value: group.lifetimeSumNs / 1e9 },
    { suffix: "_count", labels: { group: label }, value: count },
  ];
}
