import assert from "node:assert/strict";
import { test } from "node:test";
import { ThreadError } from "../../ffi/epoll_thread.ts";
import { ERRNO } from "../../lib/errors/errno.ts";
import { SyscallError } from "../../lib/errors/syscall_error.ts";
import { Receiver } from "../../lib/netlink/receiver.ts";
import { DatagramBatch } from "../../lib/netlink/datagram_batch.ts";
import { NetlinkSocket } from "../../lib/netlink/socket.ts";
import type { FakeDatagram } from "../support/fake_libc.ts";
import { type FakeSystem, fakeSystem } from "../support/fake_poller.ts";
import { sleep } from "../support/kernel.ts";

interface Bench {
  readonly system: FakeSystem;
  readonly fd: number;
  readonly receiver: Receiver;
  readonly armed: () => boolean;
  latencyMs: number;
  /** How often the latency was asked for. */
  asked: number;
}

/** A receiver on a scripted system. */
function bench(latencyMs: number = 20): Bench {
  const system = fakeSystem();
  const socket = NetlinkSocket.open(system.libc, "test receiving");
  const self: Bench = {
    system,
    fd: socket.fd,
    receiver: new Receiver(
      system,
      socket,
      new DatagramBatch(system.libc, 8, 64),
      "test receiving",
      () => {
        self.asked++;
        return self.latencyMs;
      },
    ),
    armed: () => system.poller.armed(socket.fd),
    latencyMs,
    asked: 0,
  };
  return self;
}

const datagram: FakeDatagram = { bytes: new Uint8Array(36) };

/** Whether a promise has resolved. */
async function resolved(promise: Promise<void>): Promise<boolean> {
  let done = false;
  void promise.then(() => done = true);
  await new Promise((resolve) => setImmediate(resolve));
  return done;
}

test("quiet: wait() arms, and the first datagram wakes", async () => {
  const { system, fd, receiver, armed, asked } = bench();
  assert.equal(receiver.receive(), 0);
  assert.deepEqual(system.poller.added, [], "nothing is waited for yet");
  const wait = receiver.wait();
  assert.equal(armed(), true);
  assert.equal(await resolved(wait), false);
  system.libc.receives(fd, datagram, datagram);
  await wait;
  assert.equal(receiver.wakeUps, 1);
  assert.equal(receiver.receive(), 2);
  assert.equal(asked, 0);
  receiver.close();
});

test("busy: wait() pauses without being woken, and only an empty look goes back to waiting", async () => {
  const { system, fd, receiver, armed } = bench();
  for (let round = 0; round < 3; round++) {
    system.libc.receives(fd, datagram);
    assert.equal(receiver.receive(), 1);
    const started = performance.now();
    const wait = receiver.wait();
    system.libc.receives(fd, datagram);
    assert.equal(armed(), false);
    assert.equal(await resolved(wait), false, "a datagram does not end the pause");
    await wait;
    assert(performance.now() - started >= 18, "the pause");
    assert.equal(receiver.receive(), 1);
  }
  await receiver.wait();
  assert.equal(receiver.wakeUps, 0);
  assert.deepEqual(system.poller.added, []);
  assert.equal(receiver.receive(), 0, "empty after the pause");
  const wait = receiver.wait();
  assert.equal(armed(), true);
  system.libc.receives(fd, datagram);
  await wait;
  assert.equal(receiver.wakeUps, 1);
  receiver.close();
});

test("the more arrives, the shorter is the pause", async () => {
  const { system, fd, receiver } = bench(1_000_000);
  system.libc.receives(fd, datagram);
  receiver.receive();
  const long = receiver.wait();
  assert.equal(await resolved(long), false);
  receiver.wake();
  await long;
  system.libc.receives(fd, ...Array.from({ length: 1024 }, () => datagram));
  while (receiver.receive() > 0);
  await receiver.wait();
  receiver.close();
});

test("quiet: each of the first eight datagrams wakes, and then they are waited for together", async () => {
  const { system, fd, receiver, armed } = bench(60_000); // which earns no wake-up back within this test
  for (let wakeUp = 1; wakeUp <= 8; wakeUp++) {
    const wait = receiver.wait();
    assert.equal(armed(), true, `before wake-up ${wakeUp}`);
    system.libc.receives(fd, datagram);
    await wait;
    assert.equal(receiver.receive(), 1);
    assert.equal(receiver.wakeUps, wakeUp);
  }
  void receiver.wait();
  assert.equal(armed(), false, "a pause");
  receiver.close();
});

test("wake-ups that come no closer than the pauses would are never paused for", async () => {
  const { system, fd, receiver, armed } = bench(1);
  for (let wakeUp = 1; wakeUp <= 30; wakeUp++) {
    const wait = receiver.wait();
    assert.equal(armed(), true, `before wake-up ${wakeUp}`);
    await sleep(2);
    system.libc.receives(fd, datagram);
    await wait;
    assert.equal(receiver.receive(), 1);
  }
  receiver.close();
});

test("without latency wait() arms although it is busy", async () => {
  const { system, fd, receiver, armed } = bench(0);
  for (let round = 1; round <= 5; round++) {
    system.libc.receives(fd, datagram);
    assert.equal(receiver.receive(), 1);
    const wait = receiver.wait();
    assert.equal(armed(), true);
    system.libc.receives(fd, datagram);
    await wait;
    assert.equal(receiver.wakeUps, round);
    assert.equal(receiver.receive(), 1);
  }
  receiver.close();
});

test("the latency is asked for before each pause and at each wake-up, and only then", async () => {
  const own = bench(1);
  const { system, fd, receiver } = own;
  for (let round = 1; round <= 3; round++) {
    system.libc.receives(fd, datagram);
    receiver.receive();
    await receiver.wait();
    assert.equal(own.asked, round);
  }
  own.latencyMs = 0;
  system.libc.receives(fd, datagram);
  receiver.receive();
  system.libc.receives(fd, datagram);
  await receiver.wait();
  assert.equal(own.asked, 5);
  assert.equal(receiver.wakeUps, 1);
  receiver.close();
});

test("after ENOBUFS one recvfrom follows: it ends the congestion, which recvmmsg does not", () => {
  const { system, fd, receiver } = bench();
  system.libc.receives(fd, -ERRNO.ENOBUFS!, datagram, datagram);
  system.libc.calls.length = 0;
  assert.equal(receiver.receive(), 1);
  assert.deepEqual(system.libc.names("recvmmsg", "recvfrom"), ["recvmmsg", "recvfrom"]);
  assert.equal(receiver.receive(), 1);
  system.libc.receives(fd, -ERRNO.ENOBUFS!);
  assert.equal(receiver.receive(), 0, "recvfrom finds nothing");
  system.libc.receives(fd, -ERRNO.ENOBUFS!, -ERRNO.ENOBUFS!, datagram);
  assert.equal(receiver.receive(), 1, "and may meet the next overrun");
});

test("EINTR and ENOMEM are tried again, but not for ever", () => {
  const { system, fd, receiver } = bench();
  system.libc.receives(fd, -ERRNO.EINTR!, -ERRNO.ENOMEM!, -ERRNO.EINTR!, datagram);
  assert.equal(receiver.receive(), 1);
  system.libc.receives(fd, ...Array.from({ length: 1_000 }, () => -ERRNO.EINTR!));
  system.libc.calls.length = 0;
  assert.equal(receiver.receive(), 0);
  const tries = system.libc.names("recvmmsg").length;
  assert(tries > 1 && tries <= 200, `${tries} tries`);
});

test("any other error is thrown, with the call and what it kept us from", () => {
  const { system, fd, receiver } = bench();
  system.libc.receives(fd, -ERRNO.EBADF!);
  assert.throws(
    () => receiver.receive(),
    (error: unknown) =>
      error instanceof SyscallError && error.call === "recvmmsg" && error.code === "EBADF" &&
      error.message.startsWith("Cannot test receiving: "),
  );
});

test("close() ends a wait for the poller, and takes the descriptor out", async () => {
  const { system, fd, receiver } = bench();
  const wait = receiver.wait();
  assert.deepEqual(system.poller.added, [fd]);
  receiver.close();
  await wait;
  assert.deepEqual(system.poller.added, []);
  receiver.close();
  await receiver.wait();
  receiver.start();
  assert.deepEqual(system.poller.added, [], "closed for ever");
  assert.equal(receiver.wakeUps, 0);
  const closed = bench();
  closed.receiver.close();
  closed.receiver.start();
  await closed.receiver.wait();
  assert.deepEqual(closed.system.poller.added, []);
});

test("close() ends a pause at once", async () => {
  const { system, fd, receiver } = bench(60_000); // which would keep the program alive, too
  system.libc.receives(fd, datagram);
  receiver.receive();
  const wait = receiver.wait();
  const started = performance.now();
  receiver.close();
  await wait;
  assert(performance.now() - started < 30_000);
  assert.deepEqual(system.poller.added, []);
});

test("several may wait", async () => {
  const { system, fd, receiver } = bench();
  const waits = [receiver.wait(), receiver.wait(), receiver.wait()];
  system.libc.receives(fd, datagram);
  await Promise.all(waits);
  assert.equal(receiver.wakeUps, 1);
  receiver.close();
});

test("wait() resolves at its limit, and is woken before where there is something", async () => {
  const { system, fd, receiver, armed } = bench();
  const started = performance.now();
  await receiver.wait(15);
  assert(performance.now() - started >= 13);
  assert.equal(receiver.wakeUps, 0);
  assert.equal(armed(), true, "the poller still knows");
  const wait = receiver.wait(60_000);
  system.libc.receives(fd, datagram);
  await wait;
  assert.equal(receiver.wakeUps, 1);
  receiver.close();
});

test("a limit ends with its own wait, and does not cut a later one short", async () => {
  const { system, fd, receiver } = bench(0);
  const first = receiver.wait(20);
  system.libc.receives(fd, datagram);
  await first;
  assert.equal(receiver.receive(), 1);
  const second = receiver.wait();
  let over = false;
  void second.then(() => over = true);
  await sleep(50);
  assert.equal(over, false);
  receiver.close();
  await second;
});

test("wake() ends every wait, and a limit that stood", async () => {
  const { receiver } = bench();
  const wait = receiver.wait(60_000);
  receiver.wake();
  await wait;
  receiver.close();
});

test("start() arms, once, and a wake-up that nobody waited for is not lost", async () => {
  const { system, fd, receiver, armed } = bench();
  receiver.start();
  receiver.start();
  assert.deepEqual(system.poller.added, [fd]);
  assert.equal(armed(), true);
  system.libc.receives(fd, datagram);
  await new Promise((resolve) => setImmediate(resolve));
  assert.equal(receiver.wakeUps, 1);
  assert.equal(armed(), false);
  await receiver.wait(); // arms again, and is woken at once
  assert.equal(receiver.receive(), 1);
  receiver.close();
});

test("the death of the poller is an error of the next receive(), and ends every wait", async () => {
  const { system, receiver } = bench();
  const wait = receiver.wait();
  const death = new Error("the waiting thread ended");
  system.poller.die(death);
  await wait;
  for (let again = 0; again < 2; again++) {
    assert.throws(
      () => receiver.receive(),
      (error: Error) =>
        error.message === "Cannot test receiving: the waiting thread ended" && error.cause === death,
    );
    await receiver.wait();
    await receiver.wait(60_000);
  }
  receiver.close();
  assert.deepEqual(system.poller.added, []);
});

test("a waiting thread that cannot be started is an error with advice", () => {
  const { system, receiver } = bench();
  receiver.start();
  system.poller.die(new ThreadError("EAGAIN"));
  assert.throws(
    () => receiver.receive(),
    /^Error: Cannot test receiving: the thread that waits for events cannot be started \(EAGAIN\): raise the limit/,
  );
  receiver.close();
});

test("what is queued is received before the error of the poller", () => {
  const { system, fd, receiver } = bench();
  receiver.start();
  system.libc.receives(fd, datagram, datagram);
  system.poller.die(new Error("the waiting thread ended"));
  assert.equal(receiver.receive(), 2);
  assert.throws(() => receiver.receive(), /the waiting thread ended/);
  receiver.close();
});

test("keepAlive() holds for what is added later, and for what waits", async () => {
  const { system, receiver } = bench();
  receiver.keepAlive(false);
  receiver.start();
  assert.equal(system.poller.alive, false);
  const wait = receiver.wait(60_000);
  receiver.keepAlive(true);
  assert.equal(system.poller.alive, true);
  receiver.keepAlive(false);
  receiver.close();
  await wait;
});

test("a poller that refuses the descriptor is an error, and no hang", async () => {
  for (const refusal of ["addResult", "armResult"] as const) {
    const { system, receiver } = bench();
    system.poller[refusal] = -ERRNO.ENOSPC!;
    await receiver.wait();
    assert.throws(
      () => receiver.receive(),
      (error: unknown) =>
        error instanceof SyscallError && error.call === "epoll_ctl" && error.code === "ENOSPC",
    );
    receiver.close();
    assert.deepEqual(system.poller.added, []);
    const starting = bench();
    starting.system.poller[refusal] = -ERRNO.ENOSPC!;
    starting.receiver.start();
    assert.throws(() => starting.receiver.receive(), SyscallError);
    starting.receiver.close();
  }
});

test("owesTurn after a while without the event loop, until turn()", async () => {
  const { receiver } = bench();
  await receiver.yieldToEventLoop();
  assert.equal(receiver.shouldYield, false);
  const end = performance.now() + 8;
  while (performance.now() < end);
  assert.equal(receiver.shouldYield, true);
  let others = 0;
  setImmediate(() => others++);
  await receiver.yieldToEventLoop();
  assert.equal(others, 1);
  assert.equal(receiver.shouldYield, false);
  await sleep(1);
});
