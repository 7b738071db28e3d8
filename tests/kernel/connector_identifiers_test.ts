import assert from "node:assert/strict";
import { test } from "node:test";
import { type CbId, type IdentifierEvent, openConnector, watchIdentifiers } from "../../mod.ts";
import { emulated, Peer, randomId, whyNoBus } from "../connector/kernel.ts";
import { runtime } from "../support/runtimes.ts";

const skip = await whyNoBus();
const limits = { skip, timeout: emulated ? 120_000 : 30_000 };

/** The next event of this port. */
async function next(
  events: AsyncIterator<IdentifierEvent, undefined>,
  port: number,
): Promise<IdentifierEvent> {
  while (true) {
    const { value } = await events.next();
    assert.ok(value !== undefined);
    if (value.port === port) return value;
  }
}

test("watchIdentifiers() reports the kernel's identifiers", limits, async () => {
  await using watch = await watchIdentifiers({ agents: false });
  for await (const event of watch) {
    if (event.name !== "cn_proc") continue;
    assert.deepEqual(event, {
      type: "registered",
      id: { idx: 1, val: 1 },
      where: "kernel",
      port: 0,
      name: "cn_proc",
      existing: true,
    });
    break;
  }
});

test(
  "watchIdentifiers() reports when an agent in another process registers, changes and unregisters",
  limits,
  async () => {
    const id = randomId();
    const more = randomId();
    await using agent = Peer.start(runtime === "bun" ? "deno" : "bun", "agent", id.idx, id.val);
    const { port } = await agent.line<{ port: number }>();
    await using watch = await watchIdentifiers({ pollMs: 50, agents: true });
    const there = await next(watch, port);
    assert.deepEqual([there.type, there.id, there.where, there.existing], ["registered", id, "agent", true]);
    agent.tell({ add: more });
    const added = await next(watch, port);
    assert.deepEqual([added.type, added.id, added.existing], ["registered", more, false]);
    agent.tell({ del: id });
    const deleted = await next(watch, port);
    assert.deepEqual([deleted.type, deleted.id], ["unregistered", id]);
    agent.child.kill("SIGKILL"); // without a notification
    const gone = await next(watch, port);
    assert.deepEqual([gone.type, gone.id], ["unregistered", more]);
  },
);

test(
  "watchIdentifiers() reports agents that start later, and every watch reports the same",
  limits,
  async () => {
    const id = randomId();
    const ranges = { idx: [{ first: id.idx, range: 1 }], val: [{ first: id.val, range: 1 }] };
    await using first = await watchIdentifiers({ pollMs: 30, agents: true, ...ranges });
    await using second = await watchIdentifiers({ pollMs: 40, agents: true, ...ranges });
    const seen: [string, CbId][][] = [[], []];
    const reading = [first, second].map(async (watch, i) => {
      for await (const { type, id } of watch) if (seen[i]!.push([type, id]) === 2) break;
    });
    const agent = await openConnector({ announce: true });
    agent.addCallback(id, "late", () => {});
    agent.addCallback(randomId(), "not meant", () => {});
    while (seen.some((events) => events.length === 0)) {
      await new Promise((resolve) => setTimeout(resolve, 10));
    }
    agent.close();
    await Promise.all(reading);
    assert.deepEqual(seen, [[["registered", id], ["unregistered", id]], [["registered", id], [
      "unregistered",
      id,
    ]]]);
  },
);

test(
  "watchIdentifiers() is notified when an agent's program ends, without polling",
  limits,
  async () => {
    const id = randomId();
    await using agent = Peer.start(runtime === "node" ? "bun" : "node", "agent", id.idx, id.val);
    const { port } = await agent.line<{ port: number }>();
    await using watch = await watchIdentifiers({ pollMs: 1_000_000, agents: true });
    assert.equal((await next(watch, port)).type, "registered");
    agent.child.stdin!.end(); // it calls process.exit
    const gone = await next(watch, port);
    assert.deepEqual([gone.type, gone.id], ["unregistered", id]);
  },
);
