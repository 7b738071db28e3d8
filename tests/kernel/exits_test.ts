import assert from "node:assert/strict";
import { type ChildProcess, spawn } from "node:child_process";
import { mkdtempSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import process from "node:process";
import { test } from "node:test";
import { watchProcesses, type WatchProcessesOptions } from "../../mod.ts";
import { buildC } from "../support/c_program.ts";
import { eventually, whyNoProcessEvents } from "../support/kernel.ts";
import { command, root, runtime } from "../support/runtimes.ts";

const built = buildC("tests/kernel/programs/exits.c");
const skip = await whyNoProcessEvents() || ("missing" in built && built.missing);
const program = "path" in built ? built.path : "";

/** About 43 processes for each of 36 ways. */
const ROUNDS = 6;
const LIMIT_MS = 60_000;
/**
 * A watch that lost events, because other programs on this machine caused a storm, is tried again; so is one that saw
 * their exits, since the pids came round.
 */
const ATTEMPTS = 5;

/** How many processes and threads have been created since boot. */
function forkCount(): number {
  return Number(/^processes (\d+)$/m.exec(readFileSync("/proc/stat", "latin1"))![1]);
}

/** After this many forks a pid may be that of another process. */
const PIDS = Number(readFileSync("/proc/sys/kernel/pid_max", "latin1")) / 2;

/** The raw status of each exit of a process, in order of arrival. */
type Exits = Map<number, number[]>;

function add(exits: Exits, pid: number, status: number): void {
  const before = exits.get(pid);
  if (before === undefined) exits.set(pid, [status]);
  else before.push(status);
}

/** The exits that a watch reports. */
interface Watched {
  readonly failedOnly: boolean;
  /** Exits as the kernel sends them: the status of the last thread may differ from the status of its process. */
  readonly raw: boolean;
  readonly exits: Exits;
  /** Whether it lost events, and so cannot be judged. */
  readonly hasLost: () => boolean;
  readonly close: () => Promise<void>;
}

async function watched(options: WatchProcessesOptions): Promise<Watched> {
  const exits: Exits = new Map();
  let lost = false;
  const watch = await watchProcesses({ receiveBufferBytes: 64 << 20, ...options });
  const reading = (async () => {
    for await (const event of watch) {
      if (event.type === "lost") lost = true;
      if (event.type !== "exit") continue;
      if (!event.thread) add(exits, event.pid, event.status ?? -1);
      if (options.threads !== true) assert.equal(event.tid, event.pid);
    }
  })();
  const close = async (): Promise<void> => {
    watch.close();
    await reading;
  };
  return {
    failedOnly: options.exits === "failed",
    raw: options.threads === true,
    exits,
    hasLost: () => lost,
    close,
  };
}

/** `cnctl watch --json`, read to its end. */
async function commanded(...flags: string[]): Promise<Watched> {
  const [file, ...before] = command(runtime, join(root, "lib/cli/main.ts"));
  const child = spawn(file!, [...before, "watch", "--json", "--events", "exec,exit", ...flags], {
    stdio: ["ignore", "pipe", "inherit"],
  });
  const exits: Exits = new Map();
  let rest = "";
  let heard = false;
  let lost = false;
  child.stdout.setEncoding("utf8").on("data", (text: string) => {
    heard = true;
    const lines = (rest + text).split("\n");
    rest = lines.pop()!;
    for (const line of lines) {
      const event = JSON.parse(line);
      if (event.type === "exit") add(exits, event.pid, event.status);
      if (event.type === "lost") lost = true;
    }
  });
  const ended = new Promise<unknown>((resolve) => child.on("close", resolve));
  // It prints nothing when it opens; the first exit shows that it is open.
  for (let i = 0; i < 500 && !heard; i++) {
    await new Promise((resolve) => spawn("/bin/false").on("close", resolve));
    await new Promise((resolve) => setTimeout(resolve, 20));
  }
  const close = async (): Promise<void> => {
    process.kill(child.pid!, "SIGTERM");
    await ended;
  };
  return { failedOnly: flags.includes("--failed"), raw: false, exits, hasLost: () => lost, close };
}

/** Runs the program, and returns the truth: the status that waitpid(2) returned for each process. */
function run(...args: string[]): { child: ChildProcess; truth: Promise<Exits> } {
  const folder = mkdtempSync(join(tmpdir(), "exits-"));
  const child = spawn(program, args, { cwd: folder, stdio: ["pipe", "pipe", "inherit"] });
  let text = "";
  child.stdout.setEncoding("utf8").on("data", (chunk: string) => text += chunk);
  const truth = new Promise<Exits>((resolve, reject) => {
    child.on("error", reject);
    child.on("close", (code) => {
      rmSync(folder, { recursive: true });
      const exits: Exits = new Map([[child.pid!, [code! << 8]]]);
      for (const line of text.trim().split("\n").filter(Boolean)) {
        const [pid, status] = line.split(" ").map(Number);
        add(exits, pid!, status!);
      }
      resolve(exits);
    });
  });
  return { child, truth };
}

/**
 * Runs the program under the watches. Judges each by the truth, and returns the names of those that cannot be judged.
 *
 * @param forksBefore The number of forks before they were opened.
 */
async function judge(
  watches: readonly (readonly [string, Watched])[],
  forksBefore: number,
): Promise<string[]> {
  const { child, truth: reported } = run(String(ROUNDS));
  const truth = await reported;
  assert(truth.size > 200, `${truth.size} processes`);
  assert.deepEqual(truth.get(child.pid!), [42 << 8]);
  for (const [name, { exits, hasLost }] of watches) {
    await eventually(name, () => exits.has(child.pid!) || hasLost(), LIMIT_MS);
  }
  const arePidsReused = forkCount() - forksBefore > PIDS;
  const unjudged: string[] = [];
  for (const [name, { failedOnly, raw, exits, hasLost }] of watches) {
    if (hasLost()) {
      unjudged.push(name);
      continue;
    }
    const wrong: string[] = [];
    for (const [pid, statuses] of truth) {
      const expected = failedOnly ? statuses.filter((status) => status !== 0) : statuses;
      const seen = exits.get(pid) ?? [];
      if (raw && seen.length === statuses.length) continue;
      if (String(seen.toSorted()) !== String(expected.toSorted())) {
        wrong.push(`${pid}: ${seen}, not ${expected}`);
      }
    }
    if (wrong.length > 0 && arePidsReused) unjudged.push(name);
    else assert.deepEqual(wrong, [], name);
  }
  return unjudged;
}

/** The watches that are judged, by their names. */
const WATCHES: Readonly<Record<string, () => Promise<Watched>>> = {
  "exits alone": () => watched({ events: ["exit"] }),
  "every kind": () => watched({}),
  "a table": () => watched({ events: ["exit"], processInfo: true }),
  "failed": () => watched({ events: ["exit"], exits: "failed" }),
  "failed, every kind": () => watched({ exits: "failed" }),
  "failed, a table": () => watched({ exits: "failed", processInfo: { fields: [] } }),
  "threads": () => watched({ threads: true }),
  "threads, exits alone": () => watched({ events: ["exit"], threads: true }),
  "threads, a table": () => watched({ threads: true, processInfo: { fields: [] } }),
  "cnctl": () => commanded(),
  "cnctl --failed": () => commanded("--failed"),
};

test(
  "processes that end in every way: each watch shows the exits that waitpid reports",
  { skip },
  async () => {
    let names = Object.keys(WATCHES);
    for (let attempt = 0; names.length > 0; attempt++) {
      assert(attempt < ATTEMPTS, `not judged in ${ATTEMPTS} attempts: ${names.join("; ")}`);
      const forksBefore = forkCount();
      const watches = await Promise.all(
        names.map(async (name) => [name, await WATCHES[name]!()] as const),
      );
      try {
        names = await judge(watches, forksBefore);
      } finally {
        await Promise.all(watches.map(([, watch]) => watch.close()));
      }
    }
  },
);

test(
  "the exit of a process is shown even if its main thread ended before the watch started",
  { skip },
  async () => {
    const { child, truth } = run("late");
    await eventually(
      "the main thread's end",
      () => readFileSync(`/proc/${child.pid}/stat`, "latin1").includes(") Z "),
    );
    const pid = child.pid!;
    const options: Readonly<Record<string, WatchProcessesOptions>> = {
      "exits alone": { events: ["exit"] },
      "the process alone": { pids: [pid] },
      "a table": { processInfo: true },
      "its tree": { descendantsOf: pid },
      "failed": { exits: "failed" },
      "threads": { threads: true },
    };
    const watches = await Promise.all(
      Object.entries(options).map(async ([name, its]) => [name, await watched(its)] as const),
    );
    try {
      child.stdin!.end();
      assert.deepEqual((await truth).get(pid), [7 << 8]);
      for (const [name, { exits }] of watches) {
        await eventually(name, () => exits.has(pid), LIMIT_MS);
        assert.deepEqual(exits.get(pid), [7 << 8], name);
      }
    } finally {
      await Promise.all(watches.map(([, watch]) => watch.close()));
    }
  },
);

test("a child of a thread with other user ids has those user ids", {
  skip: skip || (process.getuid?.() !== 0 && "needs root"),
}, async () => {
  await using watch = await watchProcesses({
    processInfo: true,
    users: [65534],
    signal: AbortSignal.timeout(LIMIT_MS),
  });
  const { child } = run("ids");
  const kinds: string[] = [];
  for await (const event of watch) {
    if (event.type === "lost" || event.type === "unknown") continue;
    if (event.process?.parentPid !== child.pid) continue;
    assert.equal(event.process?.uid, 65534);
    if (event.type !== "comm") kinds.push(event.type);
    if (event.type === "fork") child.stdin!.write("x");
    if (event.type === "exec") child.stdin!.end();
    if (event.type === "exit") break;
  }
  assert.deepEqual(kinds, ["fork", "exec", "exit"]);
});
