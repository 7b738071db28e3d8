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

/** The raw status of each exit of a process, in order of arrival. */
type Exits = Map<number, number[]>;

function add(exits: Exits, pid: number, status: number): void {
  const before = exits.get(pid);
  if (before === undefined) exits.set(pid, [status]);
  else before.push(status);
}

/** The exits that a watch reports; `done` resolves after the exit of `pid`. */
interface Watched {
  readonly name: string;
  readonly failedOnly: boolean;
  /** Exits as the kernel sends them: the status of the last thread may differ from the status of its process. */
  readonly raw: boolean;
  readonly exits: Exits;
  readonly close: () => Promise<void>;
}

async function watched(name: string, options: WatchProcessesOptions): Promise<Watched> {
  const exits: Exits = new Map();
  const watch = await watchProcesses({ receiveBufferBytes: 16 << 20, ...options });
  const reading = (async () => {
    for await (const event of watch) {
      assert.notEqual(event.type, "lost", name);
      if (event.type === "exit" && !event.thread) add(exits, event.pid, event.status!);
      if (options.threads !== true && event.type === "exit") assert.equal(event.tid, event.pid, name);
    }
  })();
  const close = async (): Promise<void> => {
    watch.close();
    await reading;
  };
  return { name, failedOnly: options.exits === "failed", raw: options.threads === true, exits, close };
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
  child.stdout.setEncoding("utf8").on("data", (text: string) => {
    heard = true;
    const lines = (rest + text).split("\n");
    rest = lines.pop()!;
    for (const line of lines) {
      const event = JSON.parse(line);
      if (event.type === "exit") add(exits, event.pid, event.status);
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
  return {
    name: `cnctl ${flags.join(" ")}`,
    failedOnly: flags.includes("--failed"),
    raw: false,
    exits,
    close,
  };
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

test(
  "processes that end in every way: each watch shows the exits that waitpid reports",
  { skip },
  async () => {
    const watches = await Promise.all([
      watched("exits alone", { events: ["exit"] }),
      watched("every kind", {}),
      watched("a table", { events: ["exit"], processInfo: true }),
      watched("failed", { events: ["exit"], exits: "failed" }),
      watched("failed, every kind", { exits: "failed" }),
      watched("failed, a table", { exits: "failed", processInfo: { fields: [] } }),
      watched("threads", { threads: true }),
      watched("threads, exits alone", { events: ["exit"], threads: true }),
      watched("threads, a table", { threads: true, processInfo: { fields: [] } }),
      commanded(),
      commanded("--failed"),
    ]);
    try {
      const { child, truth: reported } = run(String(ROUNDS));
      const truth = await reported;
      assert(truth.size > 200, `${truth.size} processes`);
      assert.deepEqual(truth.get(child.pid!), [42 << 8]);
      for (const { name, exits } of watches) {
        await eventually(name, () => exits.has(child.pid!), LIMIT_MS);
      }
      for (const { name, failedOnly, raw, exits } of watches) {
        const wrong: string[] = [];
        for (const [pid, statuses] of truth) {
          const expected = failedOnly ? statuses.filter((status) => status !== 0) : statuses;
          const seen = exits.get(pid) ?? [];
          if (raw && seen.length === statuses.length) continue;
          if (String(seen.toSorted()) !== String(expected.toSorted())) {
            wrong.push(
              `${pid}: ${seen}, not ${expected}`,
            );
          }
        }
        assert.deepEqual(wrong, [], name);
      }
    } finally {
      await Promise.all(watches.map((watch) => watch.close()));
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
    const watches = await Promise.all([
      watched("exits alone", { events: ["exit"] }),
      watched("the process alone", { pids: [pid] }),
      watched("a table", { processInfo: true }),
      watched("its tree", { descendantsOf: pid }),
      watched("failed", { exits: "failed" }),
      watched("threads", { threads: true }),
    ]);
    try {
      child.stdin!.end();
      assert.deepEqual((await truth).get(pid), [7 << 8]);
      for (const { name, exits } of watches) {
        await eventually(name, () => exits.has(pid));
        assert.deepEqual(exits.get(pid), [7 << 8], name);
      }
    } finally {
      await Promise.all(watches.map((watch) => watch.close()));
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
