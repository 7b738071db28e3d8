import assert from "node:assert/strict";
import { test } from "node:test";
import { ERRNO } from "../../lib/errors/errno.ts";
import { check, SyscallError } from "../../lib/errors/syscall_error.ts";
import { Receiver } from "../../lib/netlink/receiver.ts";
import { DatagramBatch } from "../../lib/netlink/datagram_batch.ts";
import { NetlinkSocket } from "../../lib/netlink/socket.ts";
import { openProcessWatch } from "../../lib/processes/open.ts";
import { FakeLibc } from "../support/fake_libc.ts";
import { fakeSystem } from "../support/fake_poller.ts";

test("an exhausted limit has its own advice, for every call", () => {
  const error = new SyscallError("list the processes", "open", ERRNO.EMFILE!, "is /proc mounted here?");
  assert.match(error.message, /^Cannot list the processes: open failed with EMFILE: .*ulimit -n/);
  assert.equal(error.message.endsWith(error.advice!), true);
  assert.match(new SyscallError("x", "socket", ERRNO.ENFILE!).message, /ENFILE: \S/);
  assert.equal(
    new SyscallError("x", "open", ERRNO.ENOENT!, "is /proc mounted here?").advice,
    "is /proc mounted here?",
  );
  assert.equal(new SyscallError("x", "open", ERRNO.ENOENT!).advice, undefined);
  assert.throws(() => check(-ERRNO.EMFILE!, "x", "eventfd"), /ulimit -n/);
  assert.equal(check(7, "x", "eventfd"), 7);
});

test("a socket or a poller without a free descriptor has an error that says so", async () => {
  const noSocket = new FakeLibc();
  noSocket.answers("socket", -ERRNO.EMFILE!);
  assert.throws(
    () => openProcessWatch(fakeSystem(noSocket)),
    /Cannot watch processes: socket .*EMFILE.*ulimit -n/,
  );
  const system = fakeSystem();
  system.poller.addResult = -ERRNO.EMFILE!;
  system.poller.failedCall = "epoll_create1";
  const socket = NetlinkSocket.open(system.libc, "listen");
  const receiver = new Receiver(system, socket, new DatagramBatch(system.libc, 1, 64), "listen", () => 0);
  await receiver.wait();
  assert.throws(() => receiver.receive(), /^SyscallError: Cannot listen: epoll_create1 .*EMFILE.*ulimit -n/);
  receiver.close();
});
