import assert from "node:assert/strict";
import { test } from "node:test";
import { CONNECTOR_ID, encodeNotifyRequest } from "../../lib/connector/notification.ts";
import { ERRNO } from "../../lib/errors/errno.ts";
import { busList, bytes, ID, settle, type Stage, stage } from "./support.ts";

const EVERYTHING = { idx: [{ first: 0, range: 0xffff_ffff }], val: [{ first: 0, range: 0xffff_ffff }] };
const OTHER = { idx: 22, val: 5 };

/** Port 7 requests notifications in a group; the request has the sequence number 77. */
async function ask(s: Stage, group: number, request = EVERYTHING, port = 7): Promise<void> {
  const data = encodeNotifyRequest({ ...request, group });
  s.arrive({ id: CONNECTOR_ID, seq: 77, data }, { port, group: 31 });
  await settle();
}

/** What was sent, as "idx:val ack → where". */
function announcements(s: Stage): string[] {
  return s.sent().map(({ id, ack, port, groups, data }) => {
    assert.equal(data.length, 0);
    return `${id.idx}:${id.val} ${ack} → ${groups === 0 ? `port ${port}` : `mask ${groups.toString(16)}`}`;
  });
}

/** A stage on which somebody listens to groups 30 and 31. */
function heardStage(): Stage {
  const s = stage({ announce: true });
  s.system.libc.files.write("/proc/net/netlink", busList([[7, 0xe000_0000]]));
  return s;
}

test("an agent with callbacks is in group 31, and notifies requesters of its identifiers and their changes", async () => {
  await using s = heardStage();
  assert.deepEqual(s.bus.groups(), []);
  s.bus.addCallback(ID, "mine", () => {});
  assert.deepEqual([s.bus.groups(), announcements(s)], [[20, 31], []]);
  await ask(s, 31);
  assert.deepEqual(announcements(s), ["20:1 0 → port 7"]);
  assert.equal(s.sent()[0]!.seq, 77);
  s.bus.addCallback(OTHER, "other", () => {});
  s.bus.delCallback(ID);
  s.bus.close();
  const mask = "mask 40000000";
  assert.deepEqual(announcements(s).slice(1), [`22:5 0 → ${mask}`, `20:1 1 → ${mask}`, `22:5 1 → ${mask}`]);
});

test("an agent notifies only about matching identifiers, and each group once", async () => {
  await using s = heardStage();
  s.bus.addCallback(ID, "mine", () => {});
  const only22 = { idx: [{ first: 22, range: 1 }], val: EVERYTHING.val };
  await ask(s, 31, only22);
  await ask(s, 31, only22, 8);
  await ask(s, 30, only22, 9);
  assert.deepEqual(announcements(s), []);
  s.bus.addCallback(OTHER, "other", () => {});
  assert.deepEqual(announcements(s).sort(), ["22:5 0 → mask 20000000", "22:5 0 → mask 40000000"]);
});

test("a request is cancelled by the same request for group 0", async () => {
  await using s = heardStage();
  s.bus.addCallback(ID, "mine", () => {});
  await ask(s, 31);
  await ask(s, 0, EVERYTHING, 8);
  s.bus.addCallback(OTHER, "other", () => {});
  assert.equal(announcements(s).length, 2, "another's taking back is not ours");
  await ask(s, 0);
  s.bus.delCallback(OTHER);
  assert.equal(announcements(s).length, 2);
});

test("malformed requests count as unexpected messages", async () => {
  await using s = heardStage();
  s.bus.addCallback(ID, "mine", () => {});
  const stream = s.bus.messages({ groups: [31] });
  s.arrive({ id: CONNECTOR_ID, data: bytes(1, 2, 3) }, { port: 7, group: 31 });
  await ask(s, 33);
  assert.deepEqual(announcements(s), []);
  const lengths = [(await stream.next()).value, (await stream.next()).value].map((it) =>
    it?.type === "message" ? it.data.length : it
  );
  assert.deepEqual(lengths, [3, 32]);
});

test("bystander messages in group 31 reach no callback and no stream, unless the user joined the group", async () => {
  await using s = heardStage();
  let calls = 0;
  s.bus.addCallback(ID, "mine", () => calls++);
  const stream = s.bus.messages();
  s.arrive({ ack: 0 }, { port: 7, group: 31 }); // port 7 has registered 20:1 for itself
  s.arrive({ ack: 0, data: bytes(1) }, { port: 7, group: 20 });
  const { value } = await stream.next();
  assert.deepEqual([calls, value?.type === "message" && value.data.length], [1, 1]);
  s.bus.join(31);
  s.arrive({ ack: 0 }, { port: 7, group: 31 });
  await settle();
  assert.equal(calls, 2);
});

test("at most 64 requests are kept: the oldest is dropped", async () => {
  await using s = heardStage();
  s.bus.addCallback(ID, "mine", () => {});
  for (let first = 0; first < 70; first++) {
    await ask(s, 31, { idx: [{ first, range: 1 }], val: EVERYTHING.val });
  }
  s.bus.addCallback({ idx: 5, val: 1 }, "forgotten", () => {});
  s.bus.addCallback({ idx: 6, val: 1 }, "remembered", () => {});
  assert.deepEqual(announcements(s).slice(1), ["6:1 0 → mask 40000000"]);
});

test("callbacks work without permission to join group 31 or to send", async () => {
  await using s = heardStage();
  s.system.libc.answers("setsockopt", () => undefined, -ERRNO.EPERM!);
  s.bus.addCallback(ID, "mine", () => {});
  assert.deepEqual(s.bus.groups(), [20]);
  s.bus.addCallback(OTHER, "other", () => {});
  assert.deepEqual(s.bus.groups(), [20, 22, 31]);
  s.system.libc.answers("sendto", -ERRNO.EPERM!, -ERRNO.EPERM!);
  await ask(s, 31);
  assert.deepEqual([announcements(s), s.failures], [[], []]);
});

test("an agent leaves group 31 with its last callback, and joins again with the next one", async () => {
  await using s = heardStage();
  s.bus.addCallback(ID, "mine", () => {});
  s.bus.addCallback(OTHER, "other", () => {});
  s.bus.delCallback(ID);
  assert.deepEqual(s.bus.groups(), [22, 31]);
  s.bus.delCallback(OTHER);
  assert.deepEqual(s.bus.groups(), []);
  s.bus.addCallback(ID, "again", () => {});
  assert.deepEqual(s.bus.groups(), [20, 31]);
});

test("an agent announces the end of its program, and its return if the program continues", async () => {
  const s = heardStage();
  s.bus.addCallback(ID, "mine", () => {});
  await ask(s, 31);
  s.system.leave();
  for (const hook of s.system.hooks) hook.stay?.();
  const mask = "mask 40000000";
  assert.deepEqual(announcements(s).slice(1), [`20:1 1 → ${mask}`, `20:1 0 → ${mask}`]);
  s.bus.close();
  assert.equal(s.system.hooks.size, 0);
});

test("without announce: true a connector stays out of group 31", async () => {
  await using s = stage();
  s.bus.addCallback(ID, "mine", () => {});
  assert.deepEqual(s.bus.groups(), [20]);
});

test(
  "without announce: true requests and announcements are ordinary messages",
  { timeout: 60_000 },
  async () => {
    await using s = stage();
    s.bus.addCallback(ID, "mine", () => {});
    const stream = s.bus.messages({ groups: [31] });
    await ask(s, 31);
    s.arrive({ id: OTHER }, { port: 8, group: 31 });
    const items = [(await stream.next()).value, (await stream.next()).value];
    assert.deepEqual(items.map((item) => item?.type === "message" && item.id), [CONNECTOR_ID, OTHER]);
    assert.deepEqual(announcements(s), []);
  },
);
