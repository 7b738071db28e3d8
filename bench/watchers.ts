import { closeSync, openSync, readFileSync, unlinkSync } from "node:fs";
import { join } from "node:path";
import type { ProcessInfo } from "../mod.ts";
import { type Exec, wrongArguments } from "../tests/support/execs.ts";
import { findProgram } from "../tests/support/programs.ts";
import { cacheFolder } from "./build.ts";
import { type Child, sleep, startChild, within } from "./child.ts";
import { cnctlContender } from "./contenders.ts";
import { untilSubscribed } from "./proc.ts";
import type { Runtime } from "./runtimes.ts";

/** What a program that shows execs knew of one. */
export type Verdict = "whole" | "cut" | "unknown" | "wrong";

/** A program that shows execs, and how its output is read. */
export interface Watcher {
  readonly name: string;
  readonly command: readonly string[];
  readonly ready: (child: Child, path: string) => Promise<void>;
  /** The execs that it shows, by process; the judge of each. */
  readonly read: (output: string, maker: number) => Map<number, ((exec: Exec) => Verdict)[]>;
}

/** Execs as they were made, and the process whose children or threads executed. */
interface Made {
  readonly maker: number;
  readonly execs: readonly Exec[];
}

/** Longer than any watcher keeps what it has to write. */
const SETTLE_MS = 1500;

/** `cnctl watch`, bundled into the file `path`. */
export function cnctlWatcher(runtime: Runtime, path: string, execRecords: "required" | "off"): Watcher {
  const contender = cnctlContender(runtime, path, ["--json", "-e", "exec", "--exec-records", execRecords]);
  return {
    name: contender.name,
    command: contender.command({ of: 0, half: 0 }),
    ready: ({ pid }) => untilSubscribed(pid, 20),
    read(output, maker) {
      const infos = Buffer.from(output, "latin1").toString("utf8").split("\n").filter((line) =>
        line.startsWith("{")
      )
        .map((line) => (JSON.parse(line) as { process?: ProcessInfo | null }).process)
        .filter((info) => info?.parentPid === maker) as ProcessInfo[]; // null in the line of a loss
      return byProcess(infos.map((info) => [info.pid, (exec) => {
        if (info.commandLine === null || info.commandLine === undefined) return "unknown";
        if (wrongArguments(exec, info) !== undefined) return "wrong";
        return info.commandLineTruncated ? "cut" : "whole";
      }]));
    },
  };
}

/** forkstat and execsnoop, where they are installed. */
export function peerWatchers(): Watcher[] {
  const forkstat = findProgram("forkstat");
  const execsnoop = findProgram("execsnoop");
  const lineBuffered = ["stdbuf", "-oL"];
  // Its tracepoints need tracefs, which need not be mounted for others.
  const mounted =
    "mount -t tracefs tracefs /sys/kernel/tracing 2>/dev/null; exec stdbuf -oL execsnoop -q --max-args 60";
  return [
    ...forkstat === undefined ? [] : [{
      name: "forkstat",
      command: [...lineBuffered, forkstat, "-e", "exec"],
      ready: ({ pid }: Child) => untilSubscribed(pid, 20),
      read: (output: string) => byProcess(shown(output, /^\S+ exec +(\d+) +(?:<unknown>)?(.*)$/)),
    }],
    ...execsnoop === undefined ? [] : [{
      name: "execsnoop (libbpf-tools)",
      command: ["unshare", "-m", "sh", "-c", mounted],
      ready: (_child: Child, path: string) => untilWritten(path, "PCOMM"),
      read: (output: string) => byProcess(shown(output, /^.{16} *(\d+) +\d+ +-?\d+ (.*)$/)),
    }],
  ];
}

/** Runs watchers beside each other over the same commands; for each, the verdict on every exec that `make` made. */
export async function watchTogether(
  watchers: readonly Watcher[],
  make: () => Promise<Made>,
): Promise<Map<string, readonly Verdict[]>> {
  const outputs = watchers.map((_, i) => join(cacheFolder(), `commands-${process.pid}-${i}`));
  const files = outputs.map((output) => openSync(output, "w"));
  const children: Child[] = [];
  try {
    for (const [i, watcher] of watchers.entries()) {
      const child = startChild(watcher.command, files[i]!, true);
      children.push(child);
      await within(20, `${watcher.name} to become ready`, watcher.ready(child, outputs[i]!));
    }
    const { maker, execs } = await within(120, "the commands", make());
    await sleep(SETTLE_MS);
    for (const child of children) child.kill("SIGTERM");
    await Promise.all(children.map((child) => within(20, "the end", child.exited)));
    return new Map(watchers.map((watcher, i) => {
      const judges = watcher.read(readFileSync(outputs[i]!, "latin1"), maker);
      return [watcher.name, execs.map((exec) => judges.get(exec.pid)?.shift()?.(exec) ?? "unknown")];
    }));
  } finally {
    for (const child of children) child.kill("SIGKILL");
    for (const file of files) closeSync(file);
    for (const output of outputs) unlinkSync(output);
  }
}

/** Lines of a peer, as far as `pattern` finds a process and its arguments. */
function shown(output: string, pattern: RegExp): [number, (exec: Exec) => Verdict][] {
  return output.split("\n").flatMap((line) => {
    const match = pattern.exec(line);
    return match === null ? [] : [[Number(match[1]), (exec) => judge(exec, match[2]!)]];
  });
}

function judge({ bytes }: Exec, text: string): Verdict {
  const expected = plain(Buffer.from(bytes).toString("latin1"));
  const found = plain(text);
  if (found === expected) return "whole";
  return found === "" ? "unknown" : expected.startsWith(found) ? "cut" : "wrong";
}

function plain(text: string): string {
  return text.replace(/[^A-Za-z0-9/_.-]/g, "");
}

function byProcess<Judge>(list: readonly (readonly [number, Judge])[]): Map<number, Judge[]> {
  const map = new Map<number, Judge[]>();
  for (const [pid, judge] of list) {
    const judges = map.get(pid);
    if (judges === undefined) map.set(pid, [judge]);
    else judges.push(judge);
  }
  return map;
}

async function untilWritten(path: string, text: string): Promise<void> {
  for (let i = 0; i < 1000 && !readFileSync(path, "latin1").includes(text); i++) await sleep(20);
}
