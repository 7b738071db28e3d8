import assert from "node:assert/strict";
import { type ChildProcess, spawn } from "node:child_process";
import { join } from "node:path";
import process from "node:process";
import { test } from "node:test";
import { setTimeout as sleep } from "node:timers/promises";
import { emulated, randomId, whyNoBus } from "../connector/kernel.ts";
import { eventually } from "../support/kernel.ts";
import { command, root, runtime } from "../support/runtimes.ts";
import { openConnector } from "../../mod.ts";

const skip = emulated ? "starts too many programs for an emulated processor" : await whyNoBus();
const limitMs = 60_000;
const limits = { skip, timeout: limitMs * 2 };

/** A running example, and its output so far. */
class Example implements AsyncDisposable {
  readonly child: ChildProcess;
  out = "";
  readonly ended: Promise<number | null>;

  constructor(name: string, ...args: (string | number)[]) {
    const [file, ...own] = command(runtime, join(root, "examples", `${name}.ts`));
    this.child = spawn(file!, [...own, ...args.map(String)], { stdio: ["ignore", "pipe", "pipe"] });
    for (const stream of [this.child.stdout!, this.child.stderr!]) {
      stream.setEncoding("utf8").on("data", (text: string) => this.out += text);
    }
    this.ended = new Promise((resolve) => this.child.once("close", (status) => resolve(status)));
  }

  async says(what: RegExp): Promise<void> {
    await eventually(`${what} in ${JSON.stringify(this.out)}`, () => what.test(this.out), limitMs);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.child.kill("SIGKILL");
    await this.ended;
  }
}

test(
  "the thermostat client reads and sets the temperature, and reports a missing thermostat",
  limits,
  async () => {
    const alone = new Example("thermostat_client");
    assert.equal(await alone.ended, 1);
    // Another test may be in its group.
    assert.match(alone.out, /no thermostat is running|but not a thermostat/);
    await using service = new Example("thermostat_service");
    await service.says(/^thermostat: port \d+, groups 12, 31\n/);
    // A busy machine may delay either of them.
    process.kill(service.child.pid!, "SIGSTOP");
    const asking = new Example("thermostat_client");
    await sleep(1500);
    process.kill(service.child.pid!, "SIGCONT");
    assert.equal(await asking.ended, 0, asking.out);
    assert.match(asking.out, /^port \d+: measured (19|20|21)\.\d wanted 20\.0\n$/);
    const setting = new Example("thermostat_client", "set", "25.5");
    assert.equal(await setting.ended, 0, setting.out);
    assert.match(setting.out, /wanted 25\.5\n$/);
    await service.says(/wants 25\.5 degrees/);
  },
);

test("ucon sends to its group and prints what arrives there", limits, async () => {
  const { idx, val } = randomId();
  await using first = new Example("ucon", idx, val, 2);
  await first.says(/nobody else listens to group \d+|^sent /m);
  await using second = new Example("ucon", idx, val);
  await first.says(/: "counter 1"/);
  assert.equal(await first.ended, 0);
  await second.says(/^sent /m);
  assert.match(first.out, new RegExp(`^${idx}:${val} seq \\d+ ack \\d+ from port \\d+: "counter 0"$`, "m"));
});

test("identifiers prints those that are registered and unregistered", limits, async () => {
  const id = randomId();
  await using watch = new Example("identifiers", id.idx);
  await using bus = await openConnector({ announce: true });
  bus.addCallback(id, "comes and goes", () => {});
  await watch.says(new RegExp(`^\\+ ${id.idx}:${id.val} port ${bus.port}'s$`, "m"));
  bus.delCallback(id);
  await watch.says(new RegExp(`^- ${id.idx}:${id.val} port ${bus.port}'s$`, "m"));
});
