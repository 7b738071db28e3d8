import {
  buildTrace,
  parseRecording,
  type RecordedEvent,
  type RecordingHeader,
  type Trace,
} from "../../lib/trace/mod.ts";

/** The beginning of a recording, at 1 ms of the clock. */
export const HEADER: RecordingHeader = {
  type: "trace",
  version: 1,
  timeMs: 1_700_000_000_000,
  timestampNs: "1000000",
  bootId: "b",
  kernel: "6.18.0",
  processors: 2,
  command: ["make"],
  cwd: "/",
};

const at = (ms: number): string => String(1_000_000 + ms * 1_000_000);

/** A process that starts, executes a program, and ends, at milliseconds since the beginning. */
export function life(
  [pid, parentPid]: readonly [number, number],
  [startMs, endMs]: readonly [number, number],
  commandLine: readonly string[],
  more: object = {},
): RecordedEvent[] {
  const common = { pid, thread: false };
  return [
    { type: "fork", timestampNs: at(startMs), ...common, parentPid, process: { comm: "make" } },
    {
      type: "exec",
      timestampNs: at(startMs),
      pid,
      process: { comm: commandLine[0]!.slice(0, 15), commandLine },
    },
    {
      type: "exit",
      timestampNs: at(endMs),
      ...common,
      exitCode: 0,
      signal: null,
      coreDumped: false,
      ...more,
    },
  ];
}

/** Events in the order of their time, as lines of a recording. */
export function recordingText(events: readonly RecordedEvent[], end: object | undefined): string {
  const sorted = events.toSorted((a, b) => Number(a.timestampNs) - Number(b.timestampNs));
  const lines: unknown[] = [HEADER, ...sorted];
  if (end !== undefined) lines.push(end);
  return lines.map((line) => `${JSON.stringify(line)}\n`).join("");
}

/** What ends a recording after some milliseconds. */
export function endLine(ms: number, status: number | null = 0): object {
  return { type: "end", timestampNs: at(ms), events: 3, lost: 0, status };
}

/** The trace of a recording with these events, of a second unless `end` says otherwise. */
export function traceOf(events: readonly RecordedEvent[], end: object | undefined = endLine(1000)): Trace {
  return buildTrace(parseRecording(recordingText(events, end)));
}

/**
 * A build of many processes: make runs four shells at a time, each of which runs a compiler and one of ten short
 * programs. One in 97 fails.
 */
export function largeRecording(processes: number): string {
  const events: RecordedEvent[] = [];
  const shells = Math.floor((processes - 1) / 3);
  events.push(...life([1, 0], [0, shells * 5 + 30], ["make", "-j4"]));
  for (let i = 0; i < shells; i++) {
    const start = i * 5;
    const pid = 2 + 3 * i;
    const file = `src/part${i % 40}/file${i}.c`;
    const usage = (cpuNs: number): object => ({
      usage: { cpuNs, peakRssBytes: 2 ** 25 + 4096 * (i % 997), readBytes: 0, writeBytes: 8192 },
    });
    const failed = i % 97 === 96 ? { exitCode: 2 } : {};
    const cc = ["/usr/bin/cc", "-O2", "-Wall", "-Iinclude", "-c", file, "-o", `${file.slice(0, -1)}o`];
    const sh = ["/bin/sh", "-c", cc.join(" ")];
    events.push(...life([pid, 1], [start, start + 20], sh, { ...usage(1e6), ...failed }));
    events.push(...life([pid + 1, pid], [start + 1, start + 16], cc, { ...usage(9e6 + i), ...failed }));
    events.push(
      ...life([pid + 2, pid], [start + 16, start + 18], [`/usr/bin/tool${i % 10}`, file], usage(1e6)),
    );
  }
  return recordingText(events, endLine(shells * 5 + 30));
}
