import assert from "node:assert/strict";
import { spawn, spawnSync } from "node:child_process";
import { join } from "node:path";
import process from "node:process";
import { test } from "node:test";
import { jsonReplacer, openConnector, watchProcesses } from "../mod.ts";
import { randomId, whyNoBus } from "./connector/kernel.ts";
import { whyNoProcessEvents } from "./support/kernel.ts";
import { command, root, runtime } from "./support/runtimes.ts";

/** Whatever of `value` JSON would lose or refuse, by its path. */
function notJson(value: unknown, path = "it"): string[] {
  if (typeof value !== "object" || value === null) {
    return ["string", "number", "boolean", "undefined"].includes(typeof value) || value === null
      ? []
      : [path];
  }
  const prototype: unknown = Object.getPrototypeOf(value);
  if (prototype !== Object.prototype && !Array.isArray(value)) return [path];
  return Object.entries(value).flatMap(([name, inner]) => notJson(inner, `${path}.${name}`));
}

test("events and stats() of a watch are written as JSON", { skip: await whyNoProcessEvents() }, async () => {
  await using watch = await watchProcesses({ events: ["exec", "exit"], processInfo: true });
  const child = spawn("/bin/sh", ["-c", "exit 3"], { stdio: "ignore" });
  for await (const event of watch) {
    if (event.type !== "exit" || event.pid !== child.pid) continue;
    const parsed = JSON.parse(JSON.stringify(event, jsonReplacer));
    assert.equal(parsed.timestampNs, String(event.timestampNs));
    assert.equal(parsed.process.startNs, String(event.process?.startNs));
    assert.deepEqual([parsed.type, parsed.pid, parsed.exitCode], ["exit", child.pid, 3]);
    break;
  }
  assert.deepEqual(notJson(watch.stats()), []);
});

test("messages and stats() of a connector are written as JSON", { skip: await whyNoBus() }, async () => {
  await using service = await openConnector();
  await using client = await openConnector();
  const id = randomId();
  service.addCallback(id, "json", (_message, reply) => reply(Uint8Array.of(1, 255)));
  const reply = await client.request(id, new Uint8Array(1), { port: service.port });
  assert.equal(JSON.parse(JSON.stringify(reply, jsonReplacer)).data, "01ff");
  for (const bus of [service, client]) assert.deepEqual(notJson(bus.stats()), []);
});

test("jsonReplacer leaves alone what JSON knows", () => {
  const value = { a: [1, "b", null, true, { c: 0.5 }], big: -1n, bytes: new Uint8Array() };
  assert.equal(
    JSON.stringify(value, jsonReplacer),
    '{"a":[1,"b",null,true,{"c":0.5}],"big":"-1","bytes":""}',
  );
});

test("console.log shows what a watch, a connector and an event hold", { skip: await whyNoBus() }, () => {
  const [program, ...args] = command(runtime, join(root, "tests/kernel/programs/prints.ts"));
  const env = { ...process.env, NO_COLOR: "1" };
  const { status, stdout, stderr } = spawnSync(program!, args, { encoding: "utf8", env, timeout: 60_000 });
  assert.equal(status, 0, stderr);
  const [event, watch, connector] = stdout.split("---\n");
  assert.match(event!, /type: ["']exit["'],/);
  assert.match(event!, /timestampNs: \d+n,/);
  assert.match(event!, /exitCode: 3,/);
  assert.match(watch!, /^ProcessWatch \{\n {2}received: \d+,/);
  assert.match(connector!, /^Connector \{\n {2}port: \d+,/);
  assert.doesNotMatch(stdout, /\[Function|Map/);
});
