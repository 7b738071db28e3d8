import assert from "node:assert/strict";
import { writeFileSync } from "node:fs";
import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { test } from "node:test";
import { sendOptions } from "../../lib/cli/commands/bus/send.ts";
import { openConnector } from "../../mod.ts";
import { emulated, randomId, whyNoBus } from "../connector/kernel.ts";
import { cnctl, end, LIMIT_MS, type Run } from "../support/cnctl.ts";
import { eventually } from "../support/kernel.ts";

const skip = emulated ? "starts too many programs for an emulated processor" : await whyNoBus();
const limits = { skip, timeout: 3 * LIMIT_MS };

async function listening(run: Run): Promise<void> {
  await eventually("listening", () => /listening as port \d+\n/.test(run.said.error), LIMIT_MS);
}

test("cnctl listen shows what cnctl send sends: text, hex and a file", limits, async () => {
  const { idx, val } = randomId();
  const id = `${idx}:${val}`;
  const all = cnctl(["listen", String(idx), "--json"]);
  const some = cnctl(["listen", id, "--count", "3"]);
  await Promise.all([listening(all), listening(some)]);
  const folder = await mkdtemp(join(tmpdir(), "cnctl-"));
  try {
    writeFileSync(join(folder, "payload"), Uint8Array.from([0, 255]));
    for (
      const [args, input] of [
        [["send", id, "héllo", "--seq", "5", "--ack", "0x6", "--flags", "7"]],
        [["send", `${idx}:${(val ^ 1) >>> 0}`, "another's"]],
        [["send", id, "--file", join(folder, "payload")]],
        [["send", id, "--group", String(idx), "--file", "-"], "from standard input"],
      ] as const
    ) {
      const sent = cnctl(args, { stdio: ["pipe", "pipe", "pipe"] });
      sent.child.stdin!.end(input ?? "");
      assert.deepEqual([await sent.ended, sent.said], [0, { out: "", error: "" }]);
    }
  } finally {
    await rm(folder, { recursive: true });
  }
  assert.equal(await some.ended, 0);
  assert.match(
    some.said.out,
    new RegExp(`^\\S+ ${id} from port \\d+ .* to group ${idx}, seq 5 ack 6 flags 0x7, 6 bytes\n`),
  );
  assert.match(some.said.out, /68 c3 a9 6c 6c 6f +h\.\.llo\n/);
  assert.match(some.said.out, /\n {2}0000 {2}00 ff +\.\.\n/);
  assert.doesNotMatch(some.said.out, /another/);
  await eventually("all four", () => all.said.out.split("\n").length > 4, LIMIT_MS);
  end(all, "SIGTERM");
  assert.equal(await all.ended, 0);
  const own = all.said.out.trim().split("\n").map((line) => JSON.parse(line)).filter((it) =>
    it.id.val >>> 1 === val >>> 1
  );
  assert.deepEqual(own.map(({ data }) => Buffer.from(data, "hex").toString("latin1")), [
    "h\xc3\xa9llo",
    "another's",
    "\0\xff",
    "from standard input",
  ]);
  assert.ok(own.every(({ from }) => from.uid === process.getuid!() && from.group === idx));
});

test("cnctl listen --trust kernel leaves out and counts the messages of programs", limits, async () => {
  const { idx, val } = randomId();
  const id = `${idx}:${val}`;
  const run = cnctl(["listen", id, "--trust", "kernel"]);
  await listening(run);
  const sent = cnctl(["send", id, "text"]);
  assert.deepEqual([await sent.ended, sent.said], [0, { out: "", error: "" }]);
  end(run, "SIGTERM");
  assert.equal(await run.ended, 0);
  assert.equal(run.said.out, "");
  assert.match(run.said.error, /\ncnctl: \d+ lost, [1-9]\d* from untrusted senders, 0 malformed\n$/);
});

test("cnctl request shows replies in every format", limits, async () => {
  const id = randomId();
  const text = `${id.idx}:${id.val}`;
  // The second reply may arrive after the requester has exited.
  await using service = await openConnector({ onError: () => {} });
  service.addCallback(id, "reverses twice", ({ data }, reply) => {
    reply(data.toReversed());
    reply(new Uint8Array());
  });
  const asked = cnctl(["request", text, "abc"]);
  assert.equal(await asked.ended, 0, asked.said.error);
  assert.match(
    asked.said.out,
    new RegExp(`^\\S+ ${text} from port ${service.port} .*, 3 bytes\n  0000  63 62 61 +cba\n$`),
  );
  const raw = cnctl(["request", text, "--hex", "00 41", "--port", String(service.port), "--raw"]);
  assert.deepEqual([await raw.ended, raw.said.out], [0, "A\0"]);
  const all = cnctl(["request", text, "--group", String(id.idx), "--all", "--count", "2", "--json"]);
  assert.equal(await all.ended, 0, all.said.error);
  assert.deepEqual(all.said.out.trim().split("\n").map((line) => JSON.parse(line).from.port), [
    service.port,
    service.port,
  ]);
});

test(
  "cnctl request without a reply and cnctl send without a receiver exit with status 1",
  limits,
  async () => {
    const id = randomId();
    const text = `${id.idx}:${id.val}`;
    await using silent = await openConnector();
    silent.addCallback(id, "silent", () => {});
    const asked = cnctl(["request", text, "--timeout", "0.2", "--retries", "1"]);
    assert.deepEqual([await asked.ended, asked.said.out], [1, ""]);
    assert.match(
      asked.said.error,
      new RegExp(`^cnctl: Cannot get a reply from ${text}: none arrived within 0\\.2 s: .*\n$`),
    );
    for (
      const [args, expected] of [
        [["send", text, "--kernel"], /^cnctl: Cannot send to .* the kernel does not serve /],
        [
          ["send", text, "--port", "4294967281"],
          /^cnctl: Cannot send to .* no socket of the connector has port/,
        ],
        [["request", "4000:1"], /^cnctl: Cannot send to 4000:1: .*4000 is not a group \(1 to 32\)/],
        [["send", text, "--file", "/nonexistent"], /^cnctl: Cannot read the payload: /],
      ] as const
    ) {
      const run = cnctl(args);
      assert.deepEqual([await run.ended, run.said.out], [1, ""]);
      assert.match(run.said.error, expected);
    }
  },
);

test(
  "by default a message goes to the kernel if it serves the identifier, else to the group",
  limits,
  async () => {
    assert.deepEqual((await sendOptions({ idx: 1, val: 1 }, {})).port, 0);
    assert.deepEqual((await sendOptions({ idx: 20, val: 4711 }, {})).group, 20);
    assert.deepEqual(await sendOptions({ idx: 1, val: 1 }, { group: 5, seq: 7 }), {
      seq: 7,
      ack: undefined,
      flags: undefined,
      group: 5,
    });
    assert.equal((await sendOptions({ idx: 20, val: 4711 }, { kernel: true })).port, 0);
    await assert.rejects(
      sendOptions({ idx: 0, val: 0 }, {}),
      /^Error: Cannot send to 0:0: .*0 is not a group \(1 to 32\): .*--kernel, --port or --group$/,
    );
  },
);

test("cnctl bus lists the kernel's identifiers and our own socket", limits, async () => {
  const id = randomId();
  await using bus = await openConnector({ announce: true });
  bus.addCallback(id, "mine", () => {});
  const shown = cnctl(["bus"]);
  assert.equal(await shown.ended, 0);
  assert.match(shown.said.out, /^ {2}1:1 +cn_proc +\S+/m);
  assert.match(shown.said.out, new RegExp(`^ *${bus.port} +\\d+ +\\d+ ${id.idx},31 +${process.pid} `, "m"));
  const json = cnctl(["bus", "--json"]);
  assert.equal(await json.ended, 0);
  const own = JSON.parse(json.said.out).sockets.find(({ port }: { port: number }) => port === bus.port);
  assert.deepEqual(own.groups, [id.idx, 31]);
});
