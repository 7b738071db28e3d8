import assert from "node:assert/strict";
import { test } from "node:test";
import { UntrustedSenders } from "../../lib/connector/untrusted_senders.ts";
import { encodeDatagram } from "../../lib/connector/message.ts";
import { DatagramBatch } from "../../lib/netlink/datagram_batch.ts";
import { PROC_EVENT_COMM, PROC_EVENT_SID } from "../../lib/processes/constants.ts";
import type { ProcessEvent } from "../../lib/processes/event.ts";
import { checkFilter } from "../../lib/processes/event_filter.ts";
import { EventDecoder } from "../../lib/processes/decoder.ts";
import { LivenessProbe } from "../../lib/processes/liveness.ts";
import { LossCounter } from "../../lib/processes/loss.ts";
import { LITTLE, viewOf } from "../../lib/wire/bytes.ts";
import { FakeLibc } from "../support/fake_libc.ts";

/** A received datagram. */
function received(bytes: Uint8Array): DatagramBatch {
  const libc = new FakeLibc();
  const fd = libc.socket(16, 3, 11);
  libc.receives(fd, { bytes });
  const datagrams = new DatagramBatch(libc, 1, 512);
  assert.equal(datagrams.receive(fd), 1);
  return datagrams;
}

/** An event of process `pid`. */
function messageBytes(what: number, pid: number = 7): Uint8Array {
  const data = new Uint8Array(40);
  const view = viewOf(data);
  view.setUint32(0, what, LITTLE);
  for (const at of [16, 20]) view.setUint32(at, pid, LITTLE);
  return encodeDatagram({ id: { idx: 1, val: 1 }, seq: 0, ack: 0, flags: 0, data });
}

function decode(what: number, heartbeat: boolean): { events: ProcessEvent[]; alive: boolean } {
  const datagrams = received(messageBytes(what));
  const decoder = new EventDecoder(
    datagrams,
    new LossCounter(false, 0),
    new UntrustedSenders(new FakeLibc()),
    checkFilter({ events: ["sid"] }, "test"),
    false,
  );
  const events: ProcessEvent[] = [];
  const probe = new LivenessProbe({ commPid: 7 });
  if (heartbeat) {
    decoder.startProbe(probe);
    decoder.decode(1, events);
    decoder.endProbe();
  }
  decoder.decode(1, events);
  return { events, alive: probe.seen };
}

test("what passed the filter before the queue is not judged again", () => {
  assert.deepEqual(decode(PROC_EVENT_COMM, false).events.map(({ type }) => type), ["comm"]);
});

test("a sign of life is seen and not shown, nor is what came past the filter with it", () => {
  assert.deepEqual(decode(PROC_EVENT_COMM, true), { events: [], alive: true });
});

test("what is wanted is shown during a heartbeat and after it", () => {
  const { events, alive } = decode(PROC_EVENT_SID, true);
  assert.deepEqual(events.map(({ type }) => type), ["sid", "sid"]);
  assert.equal(alive, false);
});

/** What comes of one datagram of the kernel, with what was counted. */
function decodeBytes(bytes: Uint8Array): { types: string[]; malformed: number } {
  const datagrams = received(bytes);
  const untrusted = new UntrustedSenders(new FakeLibc());
  const decoder = new EventDecoder(
    datagrams,
    new LossCounter(false, 0),
    untrusted,
    checkFilter({ events: ["sid"] }, "test"),
    false,
  );
  const events: ProcessEvent[] = [];
  decoder.decode(1, events);
  return { types: events.map(({ type }) => type), malformed: decoder.malformed };
}

function join(...parts: Uint8Array[]): Uint8Array {
  return new Uint8Array(parts.flatMap((part) => [...part]));
}

test("a second netlink message in a datagram is decoded as well, and judged: no filter before the queue saw it", () => {
  const [sid, comm] = [messageBytes(PROC_EVENT_SID), messageBytes(PROC_EVENT_COMM)];
  assert.deepEqual(decodeBytes(join(sid, sid)), { types: ["sid", "sid"], malformed: 0 });
  assert.deepEqual(decodeBytes(join(sid, comm, sid)), { types: ["sid", "sid"], malformed: 0 });
});

test("a netlink message of another type is no event, and counted; what follows it is decoded", () => {
  const sid = messageBytes(PROC_EVENT_SID);
  const error = messageBytes(PROC_EVENT_SID);
  viewOf(error).setUint16(4, 2, LITTLE); // NLMSG_ERROR
  assert.deepEqual(decodeBytes(error), { types: [], malformed: 1 });
  assert.deepEqual(decodeBytes(join(error, sid)), { types: ["sid"], malformed: 1 });
});

test("a second message that is cut, or of length 0, is counted, and nothing is read beyond the datagram", () => {
  const sid = messageBytes(PROC_EVENT_SID);
  for (const length of [0, 15, sid.length + 4, 0xffff_ffff]) {
    const second = sid.slice();
    viewOf(second).setUint32(0, length, LITTLE);
    assert.deepEqual(decodeBytes(join(sid, second)), { types: ["sid"], malformed: 1 }, `${length}`);
  }
  assert.deepEqual(decodeBytes(join(sid, sid.subarray(0, 40))), { types: ["sid"], malformed: 1 });
  assert.deepEqual(decodeBytes(join(sid, new Uint8Array(8))), { types: ["sid"], malformed: 0 }, "padding");
  assert.deepEqual(decodeBytes(new Uint8Array(8)), { types: [], malformed: 1 });
});
