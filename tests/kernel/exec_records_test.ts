import assert from "node:assert/strict";
import { type ChildProcess, spawn, spawnSync } from "node:child_process";
import { once } from "node:events";
import { chmodSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import process from "node:process";
import { after, test } from "node:test";
import type { Libc } from "../../ffi/libc.ts";
import { openProcessWatch } from "../../lib/processes/open.ts";
import { openSystem } from "../../lib/system.ts";
import { ExecRecords } from "../../lib/processes/exec_records.ts";
import { fixedBytes, LITTLE, viewOf } from "../../lib/wire/bytes.ts";
import type { ProcessWatchStats } from "../../lib/processes/stats.ts";
import { type ProcessInfoOptions, type ProcessWatch, watchProcesses } from "../../mod.ts";
import { buildC } from "../support/c_program.ts";
import { eventually, whyNoProcessEvents } from "../support/kernel.ts";
import { command, root, runtime } from "../support/runtimes.ts";
import { inVirtualMachine } from "../support/storm.ts";

const { libc } = await openSystem("test exec records");
const skip = await whyNoProcessEvents() || whyNoRecords();

function whyNoRecords(): string | false {
  try {
    ExecRecords.open(libc, "record execs")[Symbol.dispose]();
    return false;
  } catch (error) {
    return (error as Error).message;
  }
}

const built = inVirtualMachine
  ? { missing: "there is no compiler in here" }
  : buildC("tests/kernel/programs/execs.c");
const folder = mkdtempSync(join(tmpdir(), "exec-records-"));
after(() => rmSync(folder, { recursive: true }));
const script = join(folder, "script");
writeFileSync(script, "#!/bin/sh -e\n:\n");
chmodSync(script, 0o755);

/** A command, and every argument vector that its process has, one after the other. */
interface Command {
  readonly run: readonly string[];
  readonly vectors: readonly (readonly string[])[];
}

const LONG = "x".repeat(3000);
const LONGEST = "y".repeat(100_000);
/** What a record has room for; more may be known of a process that lives for long enough. */
const RECORDED = 4096;

function commands(): Command[] {
  const all: Command[] = [];
  const add = (run: readonly string[], ...then: readonly (readonly string[])[]): void => {
    all.push({ run, vectors: [run, ...then] });
  };
  for (let i = 0; all.length < 100; i++) {
    add(["/bin/true", `${i}`, "", "two words", "ünï\ncode"]);
    add(["/bin/sh", "-c", `exec /bin/true ${i} 'a b'`], ["/bin/true", `${i}`, "a b"]);
    add(
      ["/bin/sh", "-c", `exec sh -c 'exec /bin/true ${i}'`],
      ["sh", "-c", `exec /bin/true ${i}`],
      ["/bin/true", `${i}`],
    );
    all.push({ run: [script, `${i}`], vectors: [["/bin/sh", "-e", script, `${i}`]] });
    add(["/bin/true", LONG, `${i}`]);
    add(["/bin/true", `${i}`, LONGEST]);
    if (!("path" in built)) continue;
    const ways = built.path;
    add([ways, "empty", "/bin/true", `${i}`], []);
    add([ways, "thread", "/bin/true", `${i}`], ["/bin/true", `${i}`]);
    add([ways, "memfd", "/bin/true", `${i}`], ["/bin/true", `${i}`]);
  }
  return all;
}

/** What a watch says of one exec. */
interface Line {
  readonly args: readonly string[] | undefined;
  readonly truncated: boolean;
  readonly exe: string | undefined;
}

/** Runs commands under a watch; answers for each the command lines of its execs, in their order, and the counters. */
async function linesOf(
  processInfo: ProcessInfoOptions,
  runs: readonly (readonly string[])[],
): Promise<{ readonly seen: Line[][]; readonly stats: NonNullable<ProcessWatchStats["commandLines"]> }> {
  // Where others on this machine make so many events that some of ours may be lost, nothing can be judged.
  for (let attempt = 0; attempt < 20; attempt++) {
    await using watch = await open(processInfo);
    const lines = new Map<number, Line[]>();
    const running = run(runs, lines);
    let last: number | undefined;
    const started = running.then((pid) => last = pid);
    let lost = false;
    for await (const event of watch) {
      if (event.type === "lost") lost = true;
      if (lost || (event.type === "exit" && event.pid === last)) break;
      if (event.type !== "exec") continue;
      const { commandLine: args, commandLineTruncated: truncated, exe } = event.process!;
      lines.get(event.pid)?.push({ args, truncated, exe });
    }
    await started;
    const stats = watch.stats().commandLines!;
    if (!lost && stats.dropped === 0) return { seen: [...lines.values()], stats };
  }
  throw new Error("this machine is too busy");
}

/** Runs commands, one after the other; answers the pid of one that ends behind all of them. */
async function run(runs: readonly (readonly string[])[], lines: Map<number, Line[]>): Promise<number> {
  for (const [program, ...args] of runs) {
    const child = spawn(program!, args, { stdio: "ignore" });
    lines.set(child.pid!, []);
    await once(child, "exit");
  }
  return spawn("/bin/true").pid!;
}

function open(processInfo: ProcessInfoOptions): Promise<ProcessWatch> {
  return watchProcesses({
    events: ["exec", "exit"],
    processInfo,
    signal: AbortSignal.timeout(60_000),
  });
}

for (const fields of [["commandLine"], undefined] as const) {
  test(
    `every argument vector of 100 quick commands is right: ${fields ?? "all fields"}`,
    { skip },
    async () => {
      const all = commands();
      const { seen, stats } = await linesOf({ execRecords: "required", fields }, all.map(({ run }) => run));
      for (const [i, { vectors }] of all.entries()) {
        assert.equal(seen[i]!.length, vectors.length, `${vectors[0]!.slice(0, 3)}`);
        for (const [j, vector] of vectors.entries()) {
          const { args, truncated } = seen[i]![j]!;
          if (!truncated) {
            assert.deepEqual(args, vector);
            continue;
          }
          // The process was gone before the rest could be read.
          const bytes = new TextEncoder().encode(vector.map((argument) => `${argument}\0`).join(""));
          assert(bytes.length > RECORDED);
          assert.equal(args!.join("\0"), new TextDecoder().decode(bytes.subarray(0, RECORDED)));
        }
      }
      assert.equal(stats.recorder, "active");
      assert.equal(stats.unknown.superseded, undefined);
    },
  );
}

test(
  "arguments longer than a record come whole from /proc while the process is there",
  { skip },
  async () => {
    const watch = await open({ execRecords: "required", commandLineBytes: 200_000 });
    const child = spawn("/bin/cat", ["-", LONGEST], { stdio: ["pipe", "ignore", "ignore"] });
    for await (const event of watch) {
      if (event.type !== "exec" || event.pid !== child.pid) continue;
      assert.deepEqual(event.process!.commandLine, ["/bin/cat", "-", LONGEST]);
      assert.equal(event.process!.commandLineTruncated, false);
      break;
    }
    child.stdin.end();
    await once(child, "exit");
  },
);

test("commandLineBytes holds for records", { skip }, async () => {
  const { seen } = await linesOf({ execRecords: "required", commandLineBytes: 14 }, [[
    "/bin/true",
    "abcdef",
  ]]);
  const [line] = seen[0]!;
  assert.deepEqual(line!.args, ["/bin/true", "abcd"]);
  assert.equal(line!.truncated, true);
});

test(
  "the file of a process that is gone is the path given to execve, of a script none",
  { skip },
  async () => {
    const { seen } = await linesOf({ execRecords: "required" }, [["/bin/true"], [script]]);
    const [direct, scripted] = seen.map(([line]) => line!);
    assert.match(direct!.exe!, /^\/(usr\/)?bin\/\S+$/);
    assert.notEqual(scripted!.exe, script);
  },
);

test("without records /proc is read, and stats() counts what it could not tell", { skip }, async () => {
  const watch = await open({ execRecords: "off" });
  const child = spawn("/bin/cat", ["alive", "-"], { stdio: ["pipe", "ignore", "ignore"] });
  for await (const event of watch) {
    if (event.type !== "exec" || event.pid !== child.pid) continue;
    assert.deepEqual(event.process!.commandLine, ["/bin/cat", "alive", "-"]);
    break;
  }
  child.stdin.end();
  await once(child, "exit");
  const { fromRecords, fromProc, recorder } = watch.stats().commandLines!;
  assert.equal(recorder, "off");
  assert.equal(fromRecords, 0);
  assert(fromProc >= 1);
});

test("records are made before the subscription: the first exec of a watch has one", { skip }, async () => {
  const system = await openSystem("test exec records");
  let child: ChildProcess | undefined;
  // The moment when the kernel has acknowledged, and nothing has been read yet.
  const libc: Libc = {
    ...system.libc,
    getdents64(fd, into) {
      child ??= spawn("/bin/sh", ["-c", "exit 3"]);
      return system.libc.getdents64(fd, into);
    },
  };
  await using watch = openProcessWatch({ ...system, libc }, { events: ["exec"], processInfo: true });
  for await (const event of watch) {
    if (event.pid !== child!.pid) continue;
    assert.deepEqual(event.process!.commandLine, ["/bin/sh", "-c", "exit 3"]);
    break;
  }
  const { recorder, fromProc, unknown } = watch.stats().commandLines!;
  assert.deepEqual({ recorder, fromProc, unknown }, { recorder: "active", fromProc: 0, unknown: {} });
});

/** The numbers of the programs whose descriptors a process holds. */
function programsOf(pid: number): number[] {
  const folder = `/proc/${pid}/fdinfo`;
  return readdirSync(folder).flatMap((fd) => {
    let text = "";
    try {
      text = readFileSync(join(folder, fd), "utf8");
    } catch {
      return []; // closed meanwhile
    }
    const id = /^prog_type:\t17$/m.test(text) ? /^prog_id:\t(\d+)$/m.exec(text)?.[1] : undefined;
    return id === undefined ? [] : [Number(id)];
  });
}

/** Whether the kernel has a program of this number: BPF_PROG_GET_FD_BY_ID. */
function hasProgram(id: number): boolean {
  const attributes = fixedBytes(12);
  viewOf(attributes).setUint32(0, id, LITTLE);
  const fd = libc.bpf(13, attributes);
  if (fd >= 0) libc.close(fd);
  return fd >= 0;
}

test("nothing stays in the kernel, after close() and after SIGKILL", { skip }, async () => {
  {
    await using _first = await open({ execRecords: "required" });
    await using _second = await open({ execRecords: "required" });
    const own = programsOf(process.pid);
    assert.equal(new Set(own).size, 1, "two watches share one program");
  }
  assert.deepEqual(programsOf(process.pid), []);

  const [program, ...args] = command(runtime, join(root, "tests/kernel/programs/records_execs.ts"));
  const child = spawn(program!, [...args, "required"], { stdio: ["ignore", "pipe", "inherit"] });
  const [line] = await once(child.stdout, "data") as [Uint8Array];
  assert.equal(JSON.parse(String(line)).recorder, "active");
  const ids = programsOf(child.pid!);
  assert(ids.length > 0 && ids.every(hasProgram));
  child.kill("SIGKILL");
  await once(child, "exit");
  await eventually("the program is gone", () => !ids.some(hasProgram));
});

test("who may load no programs reads /proc, knows why, and cannot require records", {
  skip: skip || process.getuid!() !== 0,
}, async () => {
  const [program, ...args] = command(runtime, join(root, "tests/kernel/programs/records_execs.ts"));
  const nobody = (mode: string): [string, string[]] => [
    "setpriv",
    ["--reuid", "65534", "--regid", "65534", "--clear-groups", program!, ...args, mode],
  ];
  const env = { ...process.env, HOME: folder };
  const [file, list] = nobody("required");
  const { status, stderr } = spawnSync(file, list, { encoding: "utf8", env });
  assert.notEqual(status, 0);
  assert.match(
    stderr,
    /Cannot record execs: BPF_\w+ failed with EPERM: it wants root, or CAP_BPF and CAP_PERFMON/,
  );
  const child = spawn(...nobody("auto"), { stdio: ["ignore", "pipe", "inherit"], env });
  const [line] = await once(child.stdout!, "data") as [Uint8Array];
  assert.match(JSON.parse(String(line)).recorder, /^it wants root, or CAP_BPF and CAP_PERFMON/);
  child.kill("SIGTERM");
  await once(child, "exit");
});
