import assert from "node:assert/strict";
import { test } from "node:test";
import { ERRNO } from "../../lib/errors/errno.ts";
import { Receiver } from "../../lib/netlink/receiver.ts";
import { DatagramBatch, UNKNOWN_PORT } from "../../lib/netlink/datagram_batch.ts";
import { NetlinkSocket } from "../../lib/netlink/socket.ts";
import { readFile, readLink, readTextFile } from "../../lib/procfs/file.ts";
import { FakeLibc } from "./fake_libc.ts";
import { fakeSystem } from "./fake_poller.ts";

function bytes(...values: number[]): Uint8Array {
  return Uint8Array.from(values);
}

test("FakeLibc delivers datagrams with their senders to the real batch", () => {
  const libc = new FakeLibc();
  const socket = NetlinkSocket.open(libc, "test");
  socket.passCredentials();
  const datagrams = new DatagramBatch(libc, 4, 8, true);
  libc.receives(
    socket.fd,
    { bytes: bytes(1, 2, 3), from: { port: 77, group: 12, credentials: { pid: 5, uid: 6, gid: 7 } } },
    { bytes: bytes(9, 8, 7, 6, 5, 4, 3, 2, 1, 0) },
    { bytes: bytes(), from: { nameBytes: 0 } },
    { bytes: bytes(4), from: { family: 2 } },
    { bytes: bytes(5) },
  );
  assert.equal(datagrams.receive(socket.fd), 4);
  assert.deepEqual([datagrams.end(0) - datagrams.at(0), datagrams.view.getUint8(datagrams.at(0) + 2)], [
    3,
    3,
  ]);
  assert.deepEqual([datagrams.senderPort(0), datagrams.senderGroups(0)], [77, 1 << 11]);
  assert.deepEqual(datagrams.credentials(0), { pid: 5, uid: 6, gid: 7 });
  assert.deepEqual([datagrams.truncated(0), datagrams.truncated(1), datagrams.end(1) - datagrams.at(1)], [
    false,
    true,
    8,
  ]);
  assert.equal(datagrams.senderPort(1), 0);
  assert.deepEqual([datagrams.senderPort(2), datagrams.senderPort(3)], [UNKNOWN_PORT, UNKNOWN_PORT]);
  assert.equal(datagrams.receive(socket.fd), 1);
  assert.equal(datagrams.receive(socket.fd), -ERRNO.EAGAIN!);
});

test("FakeLibc returns the datagrams before an error, then the error", () => {
  const libc = new FakeLibc();
  libc.receives(
    "all",
    { bytes: bytes(1) },
    -ERRNO.ENOBUFS!,
    -ERRNO.EINTR!,
    { bytes: bytes(2) },
    -ERRNO.EAGAIN!,
  );
  libc.receives("all", { bytes: bytes(3) });
  const socket = NetlinkSocket.open(libc, "test");
  const datagrams = new DatagramBatch(libc, 4, 8);
  const results = Array.from({ length: 7 }, () => datagrams.receive(socket.fd));
  assert.deepEqual(results, [1, -ERRNO.ENOBUFS!, -ERRNO.EINTR!, 1, -ERRNO.EAGAIN!, 1, -ERRNO.EAGAIN!]);
});

test("FakeLibc returns each scripted result once, and records calls with copies of their bytes", () => {
  const libc = new FakeLibc();
  const socket = NetlinkSocket.open(libc, "test");
  libc.answers("sendto", -ERRNO.EPERM!, () => undefined);
  const datagram = bytes(1, 2);
  assert.equal(socket.send(datagram, 9), -ERRNO.EPERM!);
  assert.equal(socket.send(datagram, 9, 8), 2);
  datagram[0] = 99;
  assert.equal(libc.sent.length, 1);
  assert.deepEqual([...libc.sent[0]!.bytes, libc.sent[0]!.port, libc.sent[0]!.groups], [1, 2, 9, 8]);
  assert.deepEqual(libc.names("socket", "bind", "getsockname", "sendto"), [
    "socket",
    "bind",
    "getsockname",
    "sendto",
    "sendto",
  ]);
  assert.deepEqual([...libc.calls.at(-1)!.args[1] as Uint8Array], [1, 2]);
  assert.throws(() => libc.assertAllClosed(), /Still open: socket/);
  socket.close();
  libc.assertAllClosed();
  assert.throws(() => libc.close(socket.fd), /not open/);
});

test("FakeLibc tracks the groups, buffers and drops of a socket", () => {
  const libc = new FakeLibc();
  const socket = NetlinkSocket.open(libc, "test");
  socket.join(12);
  socket.join(32);
  socket.leave(12);
  libc.receiveBufferLimit = 5000;
  assert.equal(socket.setReceiveBuffer(2000), 4000);
  assert.equal(socket.setReceiveBuffer(4000), 5000);
  libc.sockets[0]!.drops = 3;
  assert.equal(socket.drops(), 3);
  assert.deepEqual([...libc.sockets[0]!.groups], [32]);
});

test("FakeLibc reads files in pieces, links and directories", () => {
  const libc = new FakeLibc();
  libc.readBytes = 3;
  libc.files.write("/proc/1/comm", "systemd\n");
  libc.files.link("/proc/1/fd/4", "socket:[99]");
  assert.equal(readTextFile(libc, "/proc/1/comm"), "systemd\n");
  assert.equal(readLink(libc, "/proc/1/fd/4"), "socket:[99]");
  assert.equal(readFile(libc, "/proc/2/comm"), -ERRNO.ENOENT!);
  assert.deepEqual([...libc.files.folder("/proc/1")!], [["fd", 4], ["comm", 8]]);
  libc.assertAllClosed();
});

test("FakePoller wakes the real receiver for scripted datagrams", { timeout: 60_000 }, async () => {
  const system = fakeSystem();
  const { libc, poller } = system;
  const socket = NetlinkSocket.open(libc, "test");
  const datagrams = new DatagramBatch(libc, 4, 8);
  const receiver = new Receiver(system, socket, datagrams, "test", () => 0);
  assert.equal(receiver.receive(), 0);
  const waited = receiver.wait();
  libc.receives(socket.fd, -ERRNO.ENOBUFS!, { bytes: bytes(1) });
  await waited;
  assert.equal(receiver.receive(), 1);
  assert.deepEqual(libc.names("recvmmsg", "recvfrom"), ["recvmmsg", "recvmmsg", "recvfrom"]);
  const failing = receiver.wait();
  poller.die(new Error("gone"));
  await failing;
  assert.throws(() => receiver.receive(), /Cannot test: gone/);
});
