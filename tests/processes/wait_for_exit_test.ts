import assert from "node:assert/strict";
import { test } from "node:test";
import type { Libc, Poller } from "../../ffi/libc.ts";
import { ERRNO } from "../../lib/errors/errno.ts";
import { ProcessGoneError } from "../../lib/errors/process_gone_error.ts";
import { type ExitStatus, type ExitWatch, waitWith } from "../../lib/processes/wait_for_exit.ts";
import type { ProcessEvent } from "../../lib/processes/event.ts";
import { LITTLE, viewOf } from "../../lib/wire/bytes.ts";
import { Events } from "./events.ts";
import { FakeProc, type FakeProcess } from "./fake_proc.ts";

/** A step of a story: events that come, or something that happens to the machine, with events or without. */
type Step = readonly ProcessEvent[] | (() => readonly ProcessEvent[] | void);

/** A watch that plays a story and then waits until it is closed. */
class ScriptedWatch implements ExitWatch {
  closed = 0;
  /** What is read only when the watch is drained: the reader is slow. */
  queued: ProcessEvent | undefined;
  readonly #story: Step[];
  #wake: () => void = () => {};

  constructor(story: readonly Step[]) {
    this.#story = [...story];
  }

  async *batches(): AsyncGenerator<readonly ProcessEvent[]> {
    for (const step of this.#story) {
      if (this.closed > 0) return;
      const batch = typeof step === "function" ? step() : step;
      if (batch !== undefined) yield batch;
    }
    if (this.closed === 0) await new Promise<void>((resolve) => this.#wake = resolve);
    if (this.queued !== undefined && this.closed === 0) yield [this.queued];
  }

  drain(): void {
    this.#wake();
  }

  close(): void {
    this.closed++;
    this.#wake();
  }
}

const PIDFD_INFO_EXIT = 8;

/** A machine with a process, 7, that is not its child, and pidfds as a kernel has them that tells little. */
class Context {
  readonly fake = new FakeProc();
  readonly make = new Events(() => this.fake.nowNs += 1_000_000n);
  readonly process: FakeProcess = this.fake.add(7);
  /** What pidfd_open answers where it fails. */
  pidfdFails = 0;
  /** What waitid says: si_code and si_status. */
  waited: readonly [code: number, status: number] | undefined;
  /** What PIDFD_GET_INFO says of a process that was reaped, on a kernel that can. */
  exitInfo: number | undefined;
  watch: ScriptedWatch | undefined;
  readonly #held = new Map<number, FakeProcess>();
  readonly #polled = new Map<number, () => void>();

  readonly libc: Libc = {
    ...this.fake.libc,
    getpid: () => 1,
    pidfd_open: (pid) => this.#hold(pid),
    poll: (poll) => {
      const view = viewOf(poll);
      const ended = this.#ended(this.#held.get(view.getInt32(0, LITTLE))!);
      view.setInt16(6, ended ? 1 : 0, LITTLE);
      return ended ? 1 : 0;
    },
    waitid: (idType, id, info, options) => {
      assert.deepEqual([idType, this.#held.has(id), options], [3, true, 0x0100_0005]);
      if (this.waited === undefined) return -ERRNO["ECHILD"]!;
      const view = viewOf(info);
      view.setInt32(0, 17, LITTLE);
      view.setInt32(8, this.waited[0], LITTLE);
      view.setInt32(24, this.waited[1], LITTLE);
      return 0;
    },
    ioctl: (fd, request, info) => {
      assert.deepEqual([this.#held.has(fd), request, info.length], [true, 0xc040_ff0b, 64]);
      if (this.exitInfo === undefined) return -ERRNO["ENOTTY"]!;
      const view = viewOf(info);
      assert.equal(view.getUint32(0, LITTLE), PIDFD_INFO_EXIT);
      const reaped = !this.#isThere(this.#held.get(fd)!);
      view.setUint32(0, reaped ? PIDFD_INFO_EXIT : 7, LITTLE);
      if (reaped) view.setInt32(60, this.exitInfo, LITTLE);
      return 0;
    },
    close: (fd) => {
      if (!this.#held.has(fd)) return this.fake.libc.close(fd);
      assert(!this.#polled.has(fd), "closed before it was removed");
      this.#held.delete(fd);
      return 0;
    },
  };

  readonly poller: Poller = {
    add: (fd, onReady) => {
      this.#polled.set(fd, onReady);
      return 0;
    },
    arm: () => 0,
    failedCall: "epoll_ctl",
    keepAlive: () => {},
    remove: (fd) => void this.#polled.delete(fd),
  };

  /** Waits for process 7 while the story is played. */
  async wait(story: readonly Step[], onOpen?: () => void): Promise<ExitStatus> {
    const open = (): ExitWatch => {
      onOpen?.();
      return this.watch = new ScriptedWatch(story);
    };
    try {
      return await waitWith(open, this, [7])[0]!;
    } finally {
      if (this.watch !== undefined) assert(this.watch.closed > 0, "the watch was not closed");
      assert.deepEqual([this.fake.openCount, this.#held.size, this.#polled.size], [0, 0, 0]);
    }
  }

  /** It ends, and somebody collects its status. */
  reap(): void {
    this.fake.processes.delete(7);
    for (const onReady of [...this.#polled.values()]) onReady();
  }

  /** It ends, and nobody collects its status, which this user may read or not. */
  die(status: number, mayRead = true): void {
    this.process.state = "Z";
    this.process.status = mayRead ? status : 0;
    if (!mayRead) this.fake.files.set("/proc/7/exe", -ERRNO["EACCES"]!);
    for (const onReady of [...this.#polled.values()]) onReady();
  }

  #hold(pid: number): number {
    if (this.pidfdFails < 0) return this.pidfdFails;
    const process = this.fake.processes.get(pid);
    if (process === undefined) return -ERRNO["ESRCH"]!;
    const fd = 1000 + this.#held.size;
    this.#held.set(fd, process);
    return fd;
  }

  #isThere(process: FakeProcess): boolean {
    return [...this.fake.processes.values()].includes(process);
  }

  #ended(process: FakeProcess): boolean {
    return !this.#isThere(process) || (process.state === "Z" && process.threads <= 1);
  }
}

const status = (exitCode: number | null, signal: string | null = null): ExitStatus => {
  return { exitCode, signal, coreDumped: false };
};
const unknown = (unknownBecause: ExitStatus["unknownBecause"]): ExitStatus => {
  return { ...status(null), unknownBecause: unknownBecause! };
};
const NO_PIDFD = -ERRNO["ENOSYS"]!;

test("the exit of a process: code or signal, without a further look at /proc", async () => {
  const one = new Context();
  const exit = one.make.exit(7, 7, 3 << 8);
  assert.deepEqual(
    await one.wait([[one.make.exit(8)], () => void (one.fake.calls.length = 0), [exit]]),
    status(3),
  );
  assert.deepEqual(one.fake.calls, []);
  const two = new Context();
  assert.deepEqual(await two.wait([[two.make.exit(7, 7, 9)]]), status(null, "SIGKILL"));
});

test("the exit of a thread is not the end", async () => {
  const scene = new Context();
  const { make } = scene;
  const thread = { ...make.exit(7, 8, 1 << 8), thread: true };
  assert.deepEqual(await scene.wait([[thread], [make.exit(7, 7, 3 << 8)]]), status(3));
});

test("everything up to the subscription happens within the call", async () => {
  const scene = new Context();
  const exit = scene.make.exit(7, 7, 15);
  let opened = false;
  const end = scene.wait([[exit]], () => void (opened = true));
  assert(opened);
  scene.reap();
  assert.deepEqual(await end, status(null, "SIGTERM"));
});

test("what is not there is an error at once, and nothing is subscribed", async () => {
  for (const pidfdFails of [0, NO_PIDFD]) {
    const scene = new Context();
    scene.pidfdFails = pidfdFails;
    scene.reap();
    await assert.rejects(scene.wait([]), (error) => {
      assert(error instanceof ProcessGoneError);
      assert.equal(error.pid, 7);
      assert.equal(error.message, "Cannot wait for process 7: there is no such process");
      return true;
    });
    assert.equal(scene.watch, undefined);
  }
});

test("what has ended and waits for its parent has a status, where it may be known", async () => {
  for (const pidfdFails of [0, NO_PIDFD]) {
    const ends: readonly [number, boolean, ExitStatus][] = [
      [3 << 8, true, status(3)],
      [0, true, status(0)],
      [0x80 | 11, true, { ...status(null, "SIGSEGV"), coreDumped: true }],
      [3 << 8, false, unknown("refused")],
    ];
    for (const [raw, mayRead, end] of ends) {
      const scene = new Context();
      scene.pidfdFails = pidfdFails;
      scene.die(raw, mayRead);
      assert.deepEqual(await scene.wait([]), end);
      assert.equal(scene.watch, undefined);
    }
  }
});

test("before 5.17 /proc has the status of the main thread, which may not be the process's", async () => {
  for (
    const [release, end] of [["5.16.20", unknown("failed")], ["5.17.0-1", status(3)], [
      "6.1.0",
      status(3),
    ]] as const
  ) {
    const scene = new Context();
    scene.fake.files.set("/proc/sys/kernel/osrelease", new TextEncoder().encode(`${release}\n`));
    scene.die(3 << 8);
    assert.deepEqual(await scene.wait([]), end, release);
  }
});

test("a child's status is asked of waitid, which knows it whatever user the child became", async () => {
  const ends: readonly [number, number, ExitStatus][] = [
    [1, 3, status(3)],
    [2, 9, status(null, "SIGKILL")],
    [3, 6, { ...status(null, "SIGABRT"), coreDumped: true }],
  ];
  for (const [code, raw, end] of ends) {
    const scene = new Context();
    scene.waited = [code, raw];
    scene.die(0, false);
    assert.deepEqual(await scene.wait([]), end);
  }
});

test("a main thread that has ended is not the process", async () => {
  const scene = new Context();
  Object.assign(scene.process, { state: "Z", threads: 2 });
  const exit = scene.make.exit(7, 7, 7 << 8);
  assert.deepEqual(await scene.wait([[exit]]), status(7));
});

test("one that ends before the subscription stands: by its event, by the kernel, or not known", async () => {
  const story = (scene: Context): Step[] => [[scene.make.exit(7, 7, 4 << 8)]];
  const byEvent = new Context();
  assert.deepEqual(await byEvent.wait(story(byEvent), () => byEvent.reap()), status(4));
  const byPidfd = new Context();
  byPidfd.exitInfo = 5 << 8;
  assert.deepEqual(await byPidfd.wait([], () => byPidfd.reap()), status(5));
  const byProc = new Context();
  assert.deepEqual(await byProc.wait([], () => byProc.die(6 << 8)), status(6));
  for (const pidfdFails of [0, NO_PIDFD]) {
    const unseen = new Context();
    unseen.pidfdFails = pidfdFails;
    assert.deepEqual(await unseen.wait([], () => unseen.reap()), unknown("gone"));
    const untrusted = new Context();
    untrusted.pidfdFails = pidfdFails;
    assert.deepEqual(await untrusted.wait([], () => untrusted.die(1 << 8, false)), unknown("refused"));
    const reused = new Context();
    reused.pidfdFails = pidfdFails;
    const reuse = (): void => {
      reused.fake.nowNs += 1_000_000_000n;
      reused.fake.add(7);
    };
    assert.deepEqual(await reused.wait([], reuse), unknown("gone"));
  }
});

test("an exit whose event never comes is seen by the pidfd", async () => {
  const scene = new Context();
  scene.exitInfo = 9;
  assert.deepEqual(await scene.wait([() => scene.reap()]), status(null, "SIGKILL"));
  const early = new Context();
  assert.deepEqual(
    await early.wait([() => early.reap(), [early.make.exit(7, 7, 2 << 8)]]),
    status(2),
    "and where the event does come, it counts",
  );
});

test("an event that is queued when the waiting for it ends is read all the same", async () => {
  const scene = new Context();
  const exit = scene.make.exit(7, 7, 2 << 8);
  const story: Step[] = [() => {
    scene.watch!.queued = exit;
    scene.reap();
  }];
  assert.deepEqual(await scene.wait(story), status(2));
});

test("after a loss, without pidfds, /proc is asked: still there, or gone with or without a word", async () => {
  const scene = (): Context => Object.assign(new Context(), { pidfdFails: NO_PIDFD });
  const one = scene();
  assert.deepEqual(await one.wait([[one.make.lost(1)], [one.make.exit(7, 7, 3 << 8)]]), status(3));
  const two = scene();
  assert.deepEqual(await two.wait([() => two.reap(), [two.make.lost(undefined)]]), unknown("gone"));
  const three = scene();
  const reuse = (): void => {
    three.fake.nowNs += 1_000_000_000n;
    three.fake.add(7);
  };
  assert.deepEqual(await three.wait([reuse, [three.make.lost(2)]]), unknown("gone"));
  const four = scene();
  const late = [() => four.reap(), [four.make.lost(1)], [four.make.exit(7, 7, 8 << 8)]];
  assert.deepEqual(await four.wait(late), status(8));
});

test("what cannot be waited for is refused before anything is opened", async () => {
  const scene = new Context();
  const { fake } = scene;
  fake.add(8, { tgid: 7 });
  const never = (): ExitWatch => assert.fail("opened");
  await assert.rejects(waitWith(never, scene, [1])[0]!, /that is this process/);
  await assert.rejects(waitWith(never, scene, [8])[0]!, /^TypeError: .*: that is a thread of process 7$/);
  const reason = new Error("no");
  await assert.rejects(
    waitWith(never, scene, [7], { signal: AbortSignal.abort(reason) })[0]!,
    (error) => error === reason,
  );
  fake.files.set("/proc/7/stat", -ERRNO["EMFILE"]!);
  await assert.rejects(waitWith(never, scene, [7])[0]!, /\/proc\/7\/stat cannot be read/);
  fake.files.set("/proc/7/stat", -ERRNO["ENOENT"]!);
  await assert.rejects(
    waitWith(never, scene, [7])[0]!,
    /^Error: .*: \/proc hides it from this user \(hidepid\)$/,
  );
});

test("a watch that fails is closed, and its error is handed on", async () => {
  const fail = (): void => {
    throw new Error("broken");
  };
  await assert.rejects(new Context().wait([fail]), /broken/);
  await assert.rejects(new Context().wait([], fail), /broken/);
});

test("several processes have one watch; when an event does not come, a second one takes over before it ends", async () => {
  const scene = new Context();
  scene.exitInfo = 5 << 8;
  scene.fake.add(8);
  const watches = [
    new ScriptedWatch([() => scene.reap()]),
    new ScriptedWatch([[scene.make.exit(8, 8, 3 << 8)]]),
  ];
  const opened: (readonly number[])[] = [];
  const open = (pids: readonly number[]): ExitWatch => {
    if (opened.length > 0) assert.equal(watches[0]!.closed, 0);
    return watches[opened.push(pids) - 1]!;
  };
  const waits = waitWith(open, scene, [7, 8, 7, 9]);
  await assert.rejects(waits[3]!, ProcessGoneError);
  assert.deepEqual(await Promise.all(waits.slice(0, 3)), [status(5), status(3), status(5)]);
  assert.deepEqual(opened, [[7, 8], [7, 8]]);
  for (const { closed } of watches) assert(closed > 0);
});
