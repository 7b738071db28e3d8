import assert from "node:assert/strict";
import { readdirSync, readFileSync, readlinkSync } from "node:fs";
import { test } from "node:test";
import type { ExitHook, Libc } from "../../ffi/libc.ts";
import { openSystem } from "../../lib/system.ts";
import { type StartWaiting, ThreadError } from "../../ffi/epoll_thread.ts";
import { EpollPoller } from "../../ffi/poller.ts";
import { ERRNO } from "../../lib/errors/errno.ts";
import { fixedBytes, LITTLE, viewOf } from "../../lib/wire/bytes.ts";
import { FakeLibc } from "../support/fake_libc.ts";
import { eventually, sleep } from "../support/kernel.ts";

const { libc, poller } = await openSystem("test the poller");

const EFD_CLOEXEC_NONBLOCK = 0o2004000;

/** A descriptor that is readable as long as it was written to and not read. */
class EventFd {
  readonly fd: number;
  readonly #libc: Libc;

  constructor(libc: Libc) {
    this.#libc = libc;
    this.fd = libc.eventfd(0, EFD_CLOEXEC_NONBLOCK);
    assert(this.fd >= 0);
  }

  signal(): void {
    const one = fixedBytes(8);
    viewOf(one).setBigUint64(0, 1n, LITTLE);
    assert.equal(this.#libc.write(this.fd, one), 8);
  }

  clear(): void {
    assert.equal(this.#libc.read(this.fd, fixedBytes(8)), 8);
  }

  close(): void {
    assert.equal(this.#libc.close(this.fd), 0);
  }
}

function linkOf(fd: string): string {
  try {
    return readlinkSync(`/proc/self/fd/${fd}`);
  } catch {
    return ""; // the one that lists the folder
  }
}

/** How many descriptors of this process are epoll sets and eventfds. */
function descriptors(): { sets: number; events: number } {
  const kinds = readdirSync("/proc/self/fd").map(linkOf);
  const count = (kind: string): number => kinds.filter((name) => name === `anon_inode:[${kind}]`).length;
  return { sets: count("eventpoll"), events: count("eventfd") };
}

test("arm() wakes at once where the descriptor is readable already", async () => {
  const eventFd = new EventFd(libc);
  eventFd.signal();
  let woken = 0;
  assert.equal(poller.add(eventFd.fd, () => woken++), 0);
  await sleep(20);
  assert.equal(woken, 0, "added is not armed");
  assert.equal(poller.arm(eventFd.fd), 0);
  await eventually("the wake-up", () => woken === 1);
  poller.remove(eventFd.fd);
  eventFd.close();
});

test("one arm() gives one wake-up, and the next gives another", async () => {
  const eventFd = new EventFd(libc);
  let woken = 0;
  poller.add(eventFd.fd, () => woken++);
  poller.arm(eventFd.fd);
  await sleep(20);
  assert.equal(woken, 0, "nothing to read yet");
  eventFd.signal();
  await eventually("the wake-up", () => woken === 1);
  eventFd.signal();
  await sleep(30);
  assert.equal(woken, 1, "readable still, but not armed");
  poller.arm(eventFd.fd);
  await eventually("the second wake-up", () => woken === 2);
  eventFd.clear();
  poller.arm(eventFd.fd);
  await sleep(30);
  assert.equal(woken, 2, "nothing to read any more");
  for (let round = 3; round < 60; round++) {
    eventFd.signal();
    await eventually(`wake-up ${round}`, () => woken === round);
    eventFd.clear();
    poller.arm(eventFd.fd);
  }
  poller.remove(eventFd.fd);
  eventFd.close();
});

test("two descriptors wake each its own callback", async () => {
  const eventFds = [new EventFd(libc), new EventFd(libc)];
  const woken = [0, 0];
  for (const [i, eventFd] of eventFds.entries()) {
    poller.add(eventFd.fd, () => woken[i]!++);
    poller.arm(eventFd.fd);
  }
  eventFds[1]!.signal();
  await eventually("the second", () => woken[1] === 1);
  assert.deepEqual(woken, [0, 1]);
  eventFds[0]!.signal();
  await eventually("the first", () => woken[0] === 1);
  poller.remove(eventFds[0]!.fd);
  poller.arm(eventFds[1]!.fd);
  await eventually("the second again, without the first", () => woken[1] === 2);
  assert.deepEqual(woken, [1, 2]);
  poller.remove(eventFds[1]!.fd);
  for (const eventFd of eventFds) eventFd.close();
});

test("remove() forgets: a wake-up that is under way reaches nobody", async () => {
  const other = new EventFd(libc); // keeps the thread, so that it may well have posted already
  poller.add(other.fd, () => assert.fail("never readable"));
  poller.arm(other.fd);
  for (let round = 0; round < 100; round++) {
    const eventFd = new EventFd(libc);
    let woken = 0;
    poller.add(eventFd.fd, () => woken++);
    poller.arm(eventFd.fd);
    eventFd.signal();
    // Time for the thread, not for the event loop.
    const end = performance.now() + round % 3;
    while (performance.now() < end);
    poller.remove(eventFd.fd);
    poller.remove(eventFd.fd);
    eventFd.close();
    await sleep(0);
    assert.equal(woken, 0);
  }
  poller.remove(other.fd);
  other.close();
});

test("a descriptor that comes back under the same number is another one", async () => {
  const keep = new EventFd(libc);
  let started = false;
  poller.add(keep.fd, () => started = true);
  keep.signal();
  poller.arm(keep.fd);
  await eventually("the thread, which opens descriptors of its own", () => started);
  const first = new EventFd(libc);
  poller.add(first.fd, () => assert.fail("removed"));
  poller.arm(first.fd);
  poller.remove(first.fd);
  first.close();
  const second = new EventFd(libc);
  assert.equal(second.fd, first.fd);
  let woken = 0;
  assert.equal(poller.add(second.fd, () => woken++), 0);
  second.signal();
  poller.arm(second.fd);
  await eventually("the wake-up", () => woken === 1);
  for (const eventFd of [keep, second]) {
    poller.remove(eventFd.fd);
    eventFd.close();
  }
});

test("the kernel's refusals are answered, and leave nothing behind", async () => {
  const before = descriptors();
  assert.equal(poller.add(1_000_000, () => {}), -ERRNO.EBADF!);
  await eventually("nothing left", () => descriptors().sets <= before.sets);
  const eventFd = new EventFd(libc);
  assert.equal(poller.add(eventFd.fd, () => {}), 0);
  assert.equal(poller.add(eventFd.fd, () => {}), -ERRNO.EEXIST!);
  assert.equal(poller.arm(1_000_000), -ERRNO.EBADF!);
  poller.remove(1_000_000);
  poller.remove(eventFd.fd);
  eventFd.close();
  await eventually("nothing left", () => descriptors().sets <= before.sets);
});

test("the last remove() gives everything back, and another add() starts anew", async () => {
  let woken = 0;
  async function cycle(): Promise<void> {
    const eventFd = new EventFd(libc);
    poller.add(eventFd.fd, () => woken++);
    eventFd.signal();
    poller.arm(eventFd.fd);
    const goal = woken + 1;
    await eventually("the wake-up", () => woken === goal);
    poller.remove(eventFd.fd);
    eventFd.close();
  }
  await cycle(); // what a runtime opens once for its first thread is its own
  await sleep(100);
  const before = descriptors();
  for (let round = 0; round < 12; round++) await cycle();
  await eventually("as many as before", () => {
    const now = descriptors();
    return now.sets <= before.sets && now.events <= before.events;
  });
});

test("removed at once, before its thread has started", async () => {
  await sleep(100);
  const before = descriptors();
  for (let round = 0; round < 8; round++) {
    const eventFd = new EventFd(libc);
    poller.add(eventFd.fd, () => assert.fail("removed"));
    poller.arm(eventFd.fd);
    eventFd.signal();
    poller.remove(eventFd.fd);
    eventFd.close();
  }
  await eventually("as many as before", () => {
    const now = descriptors();
    return now.sets <= before.sets && now.events <= before.events;
  });
});

/** A waiting thread under the control of the test. */
interface ScriptedThread {
  readonly start: StartWaiting;
  readonly started: { epollFd: number; stopFd: number }[];
  ready(fd: number): void;
  die(error: Error): void;
  /** Lets the thread leave, after it was asked to stop. */
  leave(): void;
  stops: number;
  alive: boolean;
}

function scriptedThread(): ScriptedThread {
  let onReadyNow: (fd: number) => void = () => assert.fail("not started");
  let onDeathNow: (error: Error) => void = () => assert.fail("not started");
  let resolveStop: () => void = () => {};
  const thread: ScriptedThread = {
    start(epollFd, stopFd, onReady, onDeath) {
      thread.started.push({ epollFd, stopFd });
      onReadyNow = onReady;
      onDeathNow = onDeath;
      const stopped = new Promise<void>((resolve) => resolveStop = resolve);
      return {
        stop() {
          thread.stops++;
          return stopped;
        },
        keepAlive(alive) {
          thread.alive = alive;
        },
      };
    },
    started: [],
    stops: 0,
    alive: true,
    ready: (fd) => onReadyNow(fd),
    die: (error) => onDeathNow(error),
    leave: () => resolveStop(),
  };
  return thread;
}

test("the thread starts with the first arm(), once, and ends after the last remove()", async () => {
  const fake = new FakeLibc();
  const thread = scriptedThread();
  const poller = new EpollPoller(fake, thread.start);
  assert.equal(poller.add(7, () => {}), 0);
  assert.equal(poller.add(8, () => {}), 0);
  assert.equal(thread.started.length, 0);
  poller.arm(7);
  poller.arm(8);
  assert.equal(thread.started.length, 1);
  poller.remove(7);
  assert.equal(thread.stops, 0);
  poller.remove(8);
  assert.equal(thread.stops, 1);
  assert.deepEqual(
    fake.names("write", "close"),
    ["write"],
    "it is woken, and its descriptors are still open",
  );
  const { stopFd } = thread.started[0]!;
  assert.equal(fake.calls.find(({ name }) => name === "write")!.args[0], stopFd);
  await sleep(1);
  assert.deepEqual(fake.names("close"), []);
  thread.leave();
  await sleep(1);
  fake.assertAllClosed();
});

test("what is added waits for nothing, is armed for reading once, and removed", () => {
  const fake = new FakeLibc();
  const poller = new EpollPoller(fake, scriptedThread().start);
  poller.add(7, () => {});
  poller.arm(7);
  poller.remove(7);
  const controls = fake.calls.filter(({ name }) => name === "epoll_ctl").map(({ args }) => {
    const event = viewOf(args[3] as Uint8Array);
    return [args[1], args[2], event.getUint32(0, LITTLE), event.getInt32(4, LITTLE)];
  });
  const [EPOLLIN, EPOLLONESHOT] = [1, 1 << 30];
  const stopFd = controls[0]![1];
  assert.deepEqual(controls, [
    [1, stopFd, EPOLLIN, stopFd],
    [1, 7, EPOLLONESHOT, 7],
    [3, 7, EPOLLIN | EPOLLONESHOT, 7],
    [2, 7, 0, 7],
  ]);
});

test("the death of the waiting thread is reported to every descriptor, once", async () => {
  const fake = new FakeLibc();
  const thread = scriptedThread();
  const poller = new EpollPoller(fake, thread.start);
  const reported: string[] = [];
  for (const fd of [7, 8]) poller.add(fd, (error) => reported.push(`${fd} ${error?.message}`));
  poller.arm(7);
  thread.die(new Error("gone"));
  thread.leave();
  thread.die(new Error("gone again"));
  thread.ready(7);
  assert.deepEqual(reported, ["7 gone", "8 gone"]);
  poller.remove(7);
  poller.remove(8);
  await sleep(1);
  fake.assertAllClosed();
});

test("after the thread's death a descriptor can be added anew, from its own callback too", async () => {
  const fake = new FakeLibc();
  const thread = scriptedThread();
  const poller = new EpollPoller(fake, thread.start);
  const reported: string[] = [];
  poller.add(7, () => {
    poller.add(7, (error) => reported.push(error === undefined ? "ready" : "dead"));
    assert.equal(poller.arm(7), 0);
  });
  poller.arm(7);
  const dead = thread.started[0]!;
  const leaveFirst = thread.leave;
  thread.die(new Error("gone"));
  leaveFirst();
  assert.equal(thread.started.length, 2);
  assert.notEqual(thread.started[1]!.epollFd, dead.epollFd);
  thread.ready(7);
  assert.deepEqual(reported, ["ready"]);
  poller.remove(7);
  thread.leave();
  await sleep(1);
  assert.equal(fake.names("epoll_create1").length, 2);
});

test("arm() after the thread's death answers an error", () => {
  const thread = scriptedThread();
  const poller = new EpollPoller(new FakeLibc(), thread.start);
  poller.add(7, () => {});
  poller.arm(7);
  thread.die(new Error("gone"));
  assert.equal(poller.arm(7), -ERRNO.ENOENT!, "as for a descriptor that was never added");
  assert.equal(new EpollPoller(new FakeLibc(), thread.start).arm(7), -ERRNO.ENOENT!);
});

test("a failing call in add() is answered, and what was opened is closed", () => {
  const cases: [(fake: FakeLibc) => void, number][] = [
    [(fake) => fake.answers("epoll_create1", -ERRNO.EMFILE!), -ERRNO.EMFILE!],
    [(fake) => fake.answers("eventfd", -ERRNO.ENFILE!), -ERRNO.ENFILE!],
    [(fake) => fake.answers("epoll_ctl", -ERRNO.ENOMEM!), -ERRNO.ENOMEM!],
    [(fake) => fake.answers("epoll_ctl", 0, -ERRNO.ENOSPC!), -ERRNO.ENOSPC!],
  ];
  for (const [prepare, expected] of cases) {
    const fake = new FakeLibc();
    prepare(fake);
    const poller = new EpollPoller(fake, scriptedThread().start);
    assert.equal(poller.add(7, () => {}), expected);
    fake.assertAllClosed();
    poller.remove(7);
    assert.equal(poller.add(7, () => {}), 0, "the next one may succeed");
  }
});

test("arm() that fails starts no thread", () => {
  const fake = new FakeLibc();
  const thread = scriptedThread();
  const poller = new EpollPoller(fake, thread.start);
  poller.add(7, () => {});
  fake.answers("epoll_ctl", -ERRNO.ENOMEM!);
  assert.equal(poller.arm(7), -ERRNO.ENOMEM!);
  assert.equal(thread.started.length, 0);
  poller.remove(7);
  fake.assertAllClosed();
});

test("where the program's end asks for it, the thread is woken: while there is one, and not after", async () => {
  const fake = new FakeLibc();
  const thread = scriptedThread();
  const hooks = new Set<ExitHook>();
  const poller = new EpollPoller(fake, thread.start, (hook) => {
    hooks.add(hook);
    return () => void hooks.delete(hook);
  });
  poller.add(7, () => {});
  assert.equal(hooks.size, 0, "no thread yet");
  poller.arm(7);
  assert.equal(hooks.size, 1);
  for (const { leave } of hooks) leave();
  const { args } = fake.calls.at(-1)!;
  assert.equal(args[0], thread.started[0]!.stopFd);
  assert.equal(viewOf(args[1] as Uint8Array).getBigUint64(0, LITTLE), 1n);
  poller.remove(7);
  assert.equal(hooks.size, 0);
  thread.leave();
  await sleep(1);
  fake.assertAllClosed();
});

test("a thread that cannot be started is reported to every descriptor, after the call, and the next add() tries again", async () => {
  const fake = new FakeLibc();
  const thread = scriptedThread();
  let unsupported = true;
  const poller = new EpollPoller(fake, (...args) => {
    if (unsupported) throw new Error("EAGAIN");
    return thread.start(...args);
  });
  const errors: (Error | undefined)[] = [];
  for (const fd of [7, 8]) poller.add(fd, (error) => errors.push(error));
  assert.equal(poller.arm(7), 0);
  assert.equal(poller.arm(8), 0);
  assert(errors.length < 1, "not within the call");
  await sleep(1);
  assert.equal(errors.length, 2);
  for (const error of errors) {
    assert(error instanceof ThreadError);
    assert.equal(error.message, "EAGAIN");
  }
  fake.assertAllClosed();
  unsupported = false;
  poller.add(7, () => {});
  assert.equal(poller.arm(7), 0);
  assert.equal(thread.started.length, 1);
  poller.remove(7);
});

test("the thread keeps the process alive while any descriptor does", () => {
  const thread = scriptedThread();
  const poller = new EpollPoller(new FakeLibc(), thread.start);
  for (const fd of [7, 8]) poller.add(fd, () => {});
  poller.keepAlive(7, false);
  poller.keepAlive(8, false);
  poller.arm(7);
  assert.equal(thread.alive, false, "said before there was a thread");
  poller.keepAlive(8, true);
  assert.equal(thread.alive, true);
  poller.remove(8);
  assert.equal(thread.alive, false);
  poller.add(9, () => {});
  assert.equal(thread.alive, true, "what is added keeps it alive");
  poller.keepAlive(1_000, false);
  poller.remove(9);
  poller.remove(7);
});

test("an idle thread of the main program sits in one epoll_wait without a timeout, and never wakes", async (context) => {
  const eventFd = new EventFd(libc);
  poller.add(eventFd.fd, () => {});
  poller.arm(eventFd.fd);
  const set = readdirSync("/proc/self/fd").find((fd) =>
    linkOf(fd) === "anon_inode:[eventpoll]" && watches(fd, eventFd.fd)
  );
  assert(set !== undefined);
  const call = new RegExp(`^(232|22|281) 0x${Number(set).toString(16)} `); // epoll_wait, epoll_pwait (arm64, x86-64)
  const sitting = (): string | undefined =>
    readdirSync("/proc/self/task").find((tid) =>
      call.test(readFileSync(`/proc/self/task/${tid}/syscall`, "latin1"))
    );
  try {
    readFileSync("/proc/self/syscall");
  } catch {
    return context.skip("this kernel does not show the system calls of threads");
  }
  await eventually("the thread in epoll_wait", () => sitting() !== undefined);
  const tid = sitting()!;
  const timeout = readFileSync(`/proc/self/task/${tid}/syscall`, "latin1").split(" ")[4]!;
  assert.equal(BigInt(timeout) & 0xffff_ffffn, 0xffff_ffffn, "-1");
  const switches = (): string =>
    /^voluntary_ctxt_switches:\s+(\d+)$/m.exec(readFileSync(`/proc/self/task/${tid}/status`, "utf8"))![1]!;
  const before = switches();
  await sleep(1500);
  assert.equal(switches(), before);
  poller.remove(eventFd.fd);
  eventFd.close();
});

function watches(set: string, fd: number): boolean {
  return readFileSync(`/proc/self/fdinfo/${set}`, "utf8").split("\n").some((line) =>
    line.startsWith("tfd:") && Number(line.split(/\s+/)[1]) === fd
  );
}

test("a death in the real kernel: the epoll set is closed under the thread's feet", async () => {
  // The set's number is that of another kind of file afterwards: epoll_wait fails at every call.
  const opened: number[] = [];
  const spy: Libc = {
    ...libc,
    epoll_create1(flags) {
      const fd = libc.epoll_create1(flags);
      opened.push(fd);
      return fd;
    },
  };
  const { startWaiting } = await runtimeOf(spy);
  const own = new EpollPoller(spy, startWaiting);
  const eventFd = new EventFd(libc);
  let failure: Error | undefined;
  let woken = 0;
  own.add(eventFd.fd, (error) => error === undefined ? woken++ : failure = error);
  eventFd.signal();
  own.arm(eventFd.fd);
  await eventually("the wake-up", () => woken === 1);
  const set = opened[0]!;
  const stop = libc.eventfd(0, EFD_CLOEXEC_NONBLOCK);
  // Wakes the thread by another descriptor, once the set is gone: it cannot be interrupted otherwise.
  eventFd.clear();
  own.arm(eventFd.fd);
  await sleep(20);
  assert.equal(libc.close(set), 0);
  const taken = libc.eventfd(0, EFD_CLOEXEC_NONBLOCK);
  eventFd.signal();
  await sleep(20);
  libc.close(stop);
  if (taken !== set) libc.close(taken);
  await eventually("the error", () => failure !== undefined);
  assert.match(failure!.message, /waiting thread/);
  eventFd.close();
});

/** What this runtime waits with. */
async function runtimeOf({ arch }: Libc): Promise<{ startWaiting: StartWaiting }> {
  const { runtime } = await import("../support/runtimes.ts");
  if (runtime === "bun") return (await import("../../ffi/bun.ts")).openInBun(arch);
  if (runtime === "deno") return (await import("../../ffi/deno.ts")).openInDeno(arch);
  return await (await import("../../ffi/node.ts")).openInNode(arch);
}
