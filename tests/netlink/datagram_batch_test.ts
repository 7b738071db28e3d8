import assert from "node:assert/strict";
import process from "node:process";
import { test } from "node:test";
import fc from "fast-check";
import { openSystem } from "../../lib/system.ts";
import { encodeDatagram } from "../../lib/connector/message.ts";
import { ERRNO, errnoName } from "../../lib/errors/errno.ts";
import { groupMask } from "../../lib/netlink/message.ts";
import { DatagramBatch, UNKNOWN_PORT } from "../../lib/netlink/datagram_batch.ts";
import { NetlinkSocket } from "../../lib/netlink/socket.ts";
import { FakeLibc, type FakeSender } from "../support/fake_libc.ts";

const { libc } = await openSystem("test the ring");
const action = "test the ring";

/** An identifier that nobody serves: what is sent to a group goes to the kernel, too, and ends there. */
const GROUP = 20;
const id = { idx: GROUP, val: 0x7e57 };

function datagram(length: number, fill: number = length): Uint8Array {
  return encodeDatagram({ id, seq: 1, ack: 2, flags: 0, data: new Uint8Array(length).fill(fill) });
}

/** Sending to a program and to a group wants CAP_NET_ADMIN. */
function whyNotSend(): string | false {
  using receiver = NetlinkSocket.open(libc, action);
  using sender = NetlinkSocket.open(libc, action);
  const result = sender.send(datagram(0), receiver.port);
  if (result >= 0) return false;
  const reason = `sending to a program failed with ${errnoName(-result)}`;
  if (process.env.CONNECTOR_KERNEL_TESTS === "required") throw new Error(reason);
  return reason;
}

const skip = whyNotSend();

function bytesAt(datagrams: DatagramBatch, i: number): Uint8Array {
  return new Uint8Array(
    datagrams.view.buffer,
    datagrams.view.byteOffset + datagrams.at(i),
    datagrams.end(i) - datagrams.at(i),
  )
    .slice();
}

test("receive() tells the sender's port of a unicast, and its bytes", { skip }, () => {
  using receiver = NetlinkSocket.open(libc, action);
  using one = NetlinkSocket.open(libc, action);
  using two = NetlinkSocket.open(libc, action);
  const datagrams = new DatagramBatch(libc, 4, 128);
  assert.equal(datagrams.receive(receiver.fd), -ERRNO.EAGAIN!);
  one.send(datagram(5), receiver.port);
  two.send(datagram(6), receiver.port);
  assert.equal(datagrams.receive(receiver.fd), 2);
  assert.deepEqual([datagrams.senderPort(0), datagrams.senderPort(1)], [one.port, two.port]);
  assert.deepEqual([datagrams.senderGroups(0), datagrams.senderGroups(1)], [0, 0]);
  assert.deepEqual(bytesAt(datagrams, 0), datagram(5));
  assert.deepEqual(bytesAt(datagrams, 1), datagram(6));
  assert.equal(datagrams.credentials(0), undefined, "not asked for");
  assert.equal(new Set([receiver.port, one.port, two.port]).size, 3);
});

test("receive() tells the group of a multicast", { skip }, () => {
  using receiver = NetlinkSocket.open(libc, action);
  using sender = NetlinkSocket.open(libc, action);
  receiver.join(GROUP);
  assert.equal(receiver.memberships(), groupMask(GROUP));
  const datagrams = new DatagramBatch(libc, 4, 128);
  assert(sender.send(datagram(5), 0, groupMask(GROUP)) > 0);
  assert.equal(datagrams.receive(receiver.fd), 1);
  assert.equal(datagrams.senderPort(0), sender.port);
  assert.equal(datagrams.senderGroups(0), groupMask(GROUP));
  receiver.leave(GROUP);
  assert.equal(receiver.memberships(), 0);
  sender.send(datagram(5), 0, groupMask(GROUP));
  assert.equal(datagrams.receive(receiver.fd), -ERRNO.EAGAIN!);
});

test("receive() tells who sent it, as the kernel vouches", { skip }, () => {
  using receiver = NetlinkSocket.open(libc, action);
  using sender = NetlinkSocket.open(libc, action);
  receiver.passCredentials();
  const datagrams = new DatagramBatch(libc, 4, 128, true);
  const expected = { pid: process.pid, uid: process.getuid!(), gid: process.getgid!() };
  for (let round = 0; round < 3; round++) {
    sender.send(datagram(round), receiver.port);
    sender.send(datagram(round), receiver.port);
    assert.equal(datagrams.receive(receiver.fd), 2, "room for credentials is given anew each time");
    assert.deepEqual(datagrams.credentials(0), expected);
    assert.deepEqual(datagrams.credentials(1), expected);
    sender.send(datagram(round), receiver.port);
    assert.equal(datagrams.receiveOne(receiver.fd), 1);
    assert.deepEqual(datagrams.credentials(0), expected);
  }
});

test("a datagram that is longer than its slot is cut, and known by it", { skip }, () => {
  using receiver = NetlinkSocket.open(libc, action);
  using sender = NetlinkSocket.open(libc, action);
  const datagrams = new DatagramBatch(libc, 3, 64);
  const long = datagram(100);
  const fits = datagram(64 - 36);
  sender.send(fits, receiver.port);
  sender.send(long, receiver.port);
  sender.send(fits, receiver.port);
  assert.equal(datagrams.receive(receiver.fd), 3);
  assert.deepEqual([0, 1, 2].map((i) => datagrams.truncated(i)), [false, true, false]);
  assert.deepEqual([0, 1, 2].map((i) => datagrams.end(i) - datagrams.at(i)), [64, 64, 64]);
  assert.deepEqual(bytesAt(datagrams, 1), long.slice(0, 64));
  assert.deepEqual(bytesAt(datagrams, 2), fits, "the one behind is untouched");
  sender.send(fits, receiver.port);
  sender.send(datagram(1), receiver.port);
  assert.equal(datagrams.receive(receiver.fd), 2);
  assert.equal(datagrams.truncated(1), false, "not for ever");
  sender.send(long, receiver.port);
  assert.equal(datagrams.receiveOne(receiver.fd), 1);
  assert.equal(datagrams.truncated(0), true);
  assert.equal(datagrams.end(0) - datagrams.at(0), 64);
  sender.send(datagram(4), receiver.port);
  assert.equal(datagrams.receiveOne(receiver.fd), 1);
  assert.equal(datagrams.truncated(0), false);
  assert.deepEqual(bytesAt(datagrams, 0), datagram(4), "as long as it is, and not as the last one was");
});

test("receive() takes as many as there are slots, and the rest next time", { skip }, () => {
  using receiver = NetlinkSocket.open(libc, action);
  using sender = NetlinkSocket.open(libc, action);
  receiver.setReceiveBuffer(1 << 20);
  const datagrams = new DatagramBatch(libc, 16, 128);
  fc.assert(
    fc.property(fc.array(fc.nat(90), { maxLength: 60 }), (lengths) => {
      for (const length of lengths) assert.equal(sender.send(datagram(length), receiver.port) > 0, true);
      const expected = lengths.map((length) => [...datagram(length)]);
      const got: number[][] = [];
      for (let count = 0; (count = datagrams.receive(receiver.fd)) > 0;) {
        assert.equal(count, Math.min(16, expected.length - got.length));
        for (let i = 0; i < count; i++) {
          assert.equal(datagrams.senderPort(i), sender.port);
          got.push([...bytesAt(datagrams, i)]);
        }
      }
      assert.deepEqual(got, expected);
    }),
    { numRuns: 50 },
  );
});

test("a slot that was not written is nobody's, and never the kernel's", () => {
  const fake = new FakeLibc();
  const fd = fake.socket(16, 3, 11);
  const datagrams = new DatagramBatch(fake, 4, 64);
  for (let i = 0; i < 4; i++) assert.equal(datagrams.senderPort(i), UNKNOWN_PORT, "before the first");
  const kernel = { bytes: datagram(1) };
  fake.receives(fd, kernel, kernel, kernel, -ERRNO.EAGAIN!, kernel);
  assert.equal(datagrams.receive(fd), 3);
  assert.deepEqual([0, 1, 2].map((i) => datagrams.senderPort(i)), [0, 0, 0]);
  assert.equal(datagrams.receive(fd), -ERRNO.EAGAIN!);
  for (let i = 0; i < 4; i++) assert.equal(datagrams.senderPort(i), UNKNOWN_PORT, "after a failure");
  assert.equal(datagrams.receive(fd), 1);
  assert.deepEqual([0, 1, 2, 3].map((i) => datagrams.senderPort(i) === 0), [true, false, false, false]);
});

test("senderPort() accepts only a complete netlink address", () => {
  const fake = new FakeLibc();
  const fd = fake.socket(16, 3, 11);
  const datagrams = new DatagramBatch(fake, 4, 64);
  const unconfirmed: FakeSender[] = [{ nameBytes: 0 }, { nameBytes: 8 }, { nameBytes: 16 }, { family: 0 }, {
    family: 2,
  }];
  for (const from of unconfirmed) {
    // Where the kernel's datagrams were a moment ago.
    fake.receives(fd, { bytes: datagram(1) }, -ERRNO.EAGAIN!, { bytes: datagram(1), from });
    assert.equal(datagrams.receive(fd), 1);
    assert.equal(datagrams.senderPort(0), 0);
    assert.equal(datagrams.receive(fd), -ERRNO.EAGAIN!);
    assert.equal(datagrams.receive(fd), 1);
    assert.equal(datagrams.senderPort(0), UNKNOWN_PORT, JSON.stringify(from));
  }
});

for (const withCredentials of [false, true]) {
  test(
    `after an overrun receiveOne() gives what is queued, and the congestion ends${
      withCredentials ? ", with credentials" : ""
    }`,
    {
      skip,
    },
    () => {
      using receiver = NetlinkSocket.open(libc, action);
      using sender = NetlinkSocket.open(libc, action);
      const group = 24;
      receiver.setReceiveBuffer(4096);
      receiver.join(group);
      if (withCredentials) receiver.passCredentials();
      const datagrams = new DatagramBatch(libc, 4, 512, withCredentials);
      const send = (): number => sender.send(datagram(300), 0, 1 << (group - 1));
      for (let i = 0; i < 1000 && receiver.drops() === 0; i++) send();
      assert(receiver.drops() > 0, "the queue is full");
      assert.equal(datagrams.receive(receiver.fd), -ERRNO.ENOBUFS!);
      let count = datagrams.receiveOne(receiver.fd);
      assert(count > 0);
      if (withCredentials) assert.equal(datagrams.credentials(0)?.pid, process.pid);
      for (let i = 0; i < 1000 && count > 0; i++) count = datagrams.receive(receiver.fd);
      assert.equal(count, -ERRNO.EAGAIN!);
      const dropped = receiver.drops();
      send();
      assert.equal(datagrams.receive(receiver.fd), 1);
      assert.equal(receiver.drops(), dropped);
    },
  );
}

test("credentials() are those of this datagram, or none", () => {
  const fake = new FakeLibc();
  const fd = fake.socket(16, 3, 11);
  fake.setsockopt(fd, 1, 16, Uint8Array.of(1, 0, 0, 0));
  const datagrams = new DatagramBatch(fake, 2, 64, true);
  const credentials = { pid: 4711, uid: 1000, gid: 100 };
  fake.receives(fd, { bytes: datagram(1), from: { port: 9, credentials } });
  assert.equal(datagrams.receive(fd), 1);
  assert.deepEqual(datagrams.credentials(0), credentials);
  assert.equal(datagrams.credentials(1), undefined);
  fake.setsockopt(fd, 1, 16, Uint8Array.of(0, 0, 0, 0));
  fake.receives(fd, { bytes: datagram(1), from: { port: 9 } });
  assert.equal(datagrams.receive(fd), 1);
  assert.equal(datagrams.credentials(0), undefined, "what the last one left is not this one's");
});
