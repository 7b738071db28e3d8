import assert from "node:assert/strict";
import { spawn, spawnSync } from "node:child_process";
import { readdirSync, readFileSync } from "node:fs";
import { cpus } from "node:os";
import { join } from "node:path";
import process from "node:process";
import { createInterface } from "node:readline";
import { test } from "node:test";
import { sleep, whyNoProcessEvents } from "../support/kernel.ts";
import { command, inVirtualMachine, root, runtime } from "../support/runtimes.ts";
import { buildStorm, startStorm } from "../support/storm.ts";

const storm = buildStorm();
const skip = await whyNoProcessEvents() || ("missing" in storm ? storm.missing : false);
const stormPath = "path" in storm ? storm.path : "";

interface Answer {
  readonly pids: readonly number[];
  readonly seen: number;
  readonly numbers: number;
  readonly acks: number;
  readonly lost: number;
  readonly synthetic: number;
  readonly lossKnownBy: string;
}

/** The processes that are now in /proc, without zombies. */
function living(): number[] {
  return readdirSync("/proc").filter((name) => /^\d+$/.test(name)).map(Number).filter((pid) => {
    try {
      return !/^\d+ \([\s\S]*\) [ZX] /.test(readFileSync(`/proc/${pid}/stat`, "latin1"));
    } catch {
      return false;
    }
  }).sort((a, b) => a - b);
}

test("a reader stopped during a storm knows what it missed, and then has the correct table", {
  skip,
  timeout: 120_000,
}, async () => {
  const [file, ...args] = command(runtime, join(root, "tests/kernel/programs/folds.ts"));
  const reader = spawn(file!, args, { stdio: ["pipe", "pipe", "inherit"] });
  const lines = createInterface(reader.stdout!)[Symbol.asyncIterator]();
  async function ask(): Promise<Answer> {
    reader.stdin!.write("what\n");
    return JSON.parse((await lines.next()).value!);
  }
  const old: ReturnType<typeof spawn>[] = [];
  const young: ReturnType<typeof spawn>[] = [];
  try {
    assert.equal((await lines.next()).value, "ready");
    for (let i = 0; i < 10; i++) old.push(spawn("/bin/sleep", ["300"]));
    await sleep(200);
    const before = (await ask()).lost;

    process.kill(reader.pid!, "SIGSTOP");
    const stoppedAt = performance.now();
    const turns = inVirtualMachine ? 1_000 : 20_000;
    await startStorm(stormPath, "vfork", String(turns)).report;
    for (const child of old) child.kill("SIGKILL");
    for (let i = 0; i < 10; i++) young.push(spawn("/bin/sleep", ["300"]));
    await sleep(Math.max(0, 5_000 - (performance.now() - stoppedAt)));
    process.kill(reader.pid!, "SIGCONT");

    // Other programs start and end: the table is correct if it equals /proc at some moment between two readings.
    let answer: Answer;
    for (let tries = 0;; tries++) {
      await sleep(100);
      for (const cpu of cpus().keys()) spawnSync("taskset", ["-c", String(cpu), "/bin/true"]);
      await sleep(50);
      const earlier = living();
      answer = await ask();
      const after = new Set(living());
      const known = new Set(answer.pids);
      const stable = earlier.filter((pid) => after.has(pid));
      const missing = stable.filter((pid) => !known.has(pid));
      const tooMany = answer.pids.filter((pid) => !earlier.includes(pid) && !after.has(pid));
      if (missing.length + tooMany.length === 0 && answer.lost > before) break;
      assert(tries < 50, `missing ${missing}, too many ${tooMany}, lost ${answer.lost}`);
    }
    for (const child of young) assert(answer.pids.includes(child.pid!), `${child.pid} is missing`);
    for (const child of old) assert(!answer.pids.includes(child.pid!), `${child.pid} is still there`);
    assert(answer.synthetic > 20, `${answer.synthetic} synthetic events`);
    assert.equal(answer.lossKnownBy, "drops and sequence");
    // Each number of each CPU was an event, an acknowledgement, or is lost. Acknowledgements before the first
    // and after the last event are not included.
    const accounted = answer.seen + answer.lost;
    assert(
      accounted <= answer.numbers && accounted + answer.acks >= answer.numbers,
      JSON.stringify({
        ...answer,
        pids: undefined,
      }),
    );
    console.log(
      `${answer.seen} seen + ${answer.lost} lost of ${answer.numbers}, ${answer.acks} acknowledgements`,
    );
  } finally {
    reader.stdin!.end("end\n");
    for (const child of [...old, ...young]) child.kill("SIGKILL");
    const late = setTimeout(() => reader.kill("SIGKILL"), 5_000);
    await new Promise((resolve) =>
      reader.exitCode === null ? reader.on("exit", resolve) : resolve(undefined)
    );
    clearTimeout(late);
  }
});
