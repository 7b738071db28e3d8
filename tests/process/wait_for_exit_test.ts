import assert from "node:assert/strict";
import { test } from "node:test";
import { ERRNO } from "../../lib/errors/errno.ts";
import { ProcessGoneError } from "../../lib/process/gone_error.ts";
import { ProcFs } from "../../lib/process/proc_fs.ts";
import { type ExitStatus, type ExitWatch, waitWith } from "../../lib/process/wait_for_exit.ts";
import type { ProcEvent } from "../../lib/protocols/proc/event.ts";
import { Events } from "./events.ts";
import { FakeProc } from "./fake_proc.ts";

/** A step of a story: events that come, or something that happens to the machine, with events or without. */
type Step = readonly ProcEvent[] | (() => readonly ProcEvent[] | void);

/** A watch that plays a story and then waits until it is closed. */
class ScriptedWatch implements ExitWatch {
  closed = 0;
  readonly #story: Step[];
  #wake: () => void = () => {};

  constructor(story: readonly Step[]) {
    this.#story = [...story];
  }

  async *batches(): AsyncGenerator<readonly ProcEvent[]> {
    for (const step of this.#story) {
      if (this.closed > 0) return;
      const batch = typeof step === "function" ? step() : step;
      if (batch !== undefined) yield batch;
    }
    if (this.closed === 0) await new Promise<void>((resolve) => this.#wake = resolve);
  }

  close(): void {
    this.closed++;
    this.#wake();
  }
}

interface Scene {
  readonly fake: FakeProc;
  readonly make: Events;
  /** Waits for process 7 while the story is played. */
  wait(story: readonly Step[], onOpen?: () => void): Promise<ExitStatus>;
  watch: ScriptedWatch | undefined;
}

function scene(): Scene {
  const fake = new FakeProc();
  fake.add(7);
  const scene: Scene = {
    fake,
    make: new Events(() => fake.nowNs += 1_000_000n),
    watch: undefined,
    async wait(story, onOpen): Promise<ExitStatus> {
      const open = (): ExitWatch => {
        onOpen?.();
        return scene.watch = new ScriptedWatch(story);
      };
      try {
        return await waitWith(open, new ProcFs(fake.libc), 7, 1);
      } finally {
        if (scene.watch !== undefined) assert(scene.watch.closed > 0, "the watch was not closed");
        assert.equal(fake.openCount, 0);
      }
    },
  };
  return scene;
}

const status = (exitCode: number | null, signal: string | null = null): ExitStatus => {
  return { exitCode, signal, coreDumped: false };
};

test("the exit of a process: code or signal, without a further look at /proc", async () => {
  const one = scene();
  const exit = one.make.exit(7, 7, 3 << 8);
  assert.deepEqual(
    await one.wait([[one.make.exit(8)], () => void (one.fake.calls.length = 0), [exit]]),
    status(3),
  );
  assert.deepEqual(one.fake.calls, []);
  const two = scene();
  assert.deepEqual(await two.wait([[two.make.exit(7, 7, 9)]]), status(null, "signal 9"));
});

test("the main thread's end is not the process's: the last thread's status counts", async () => {
  const { fake, make, wait } = scene();
  const process = fake.processes.get(7)!;
  process.threads = 2;
  const told = await wait([
    () => [make.thread(7, 9)],
    () => void Object.assign(process, { state: "Z", threads: 3 }),
    () => [make.exit(7)],
    () => void (process.threads = 2),
    () => [make.exit(7, 8)],
    () => void fake.processes.delete(7),
    () => [make.exit(7, 9, 7 << 8)],
  ]);
  assert.deepEqual(told, status(7));
});

test("a killed process: its threads end in any order", async () => {
  const { fake, make, wait } = scene();
  fake.processes.get(7)!.threads = 3;
  const story = [
    () => [make.exit(7, 8, 9), make.exit(7, 7, 9)],
    () => void fake.processes.delete(7),
    () => [make.exit(7, 9, 9)],
  ];
  assert.deepEqual(await wait(story), status(null, "signal 9"));
});

test("an exec by another thread: the main thread's exit before it is not the end", async () => {
  const { make, wait } = scene();
  const story = [
    () => [make.thread(7, 8)],
    () => [make.exit(7)],
    () => [make.exec(7)],
    () => [make.exit(7, 7, 5 << 8)],
  ];
  assert.deepEqual(await wait(story), status(5));
});

test("a thread that ended while threads were counted: no end before the end", async () => {
  const { fake, make, wait } = scene();
  const process = fake.processes.get(7)!;
  process.threads = 2; // one more had just ended, and its exit is still to come
  const told = await wait([
    () => [make.exit(7, 9)],
    () => void (process.state = "Z"),
    () => [make.exit(7)],
    () => void fake.processes.delete(7),
    () => [make.exit(7, 8, 6 << 8)],
  ]);
  assert.deepEqual(told, status(6));
});

test("the end of a thread that nobody had counted is not the process's", async () => {
  const { make, wait } = scene();
  assert.deepEqual(
    await wait([[make.exit(7, 9)], () => [make.exit(7, 9)], () => [make.exit(7, 7, 3 << 8)]]),
    status(3),
  );
});

test("a thread too many in the count does not make it wait for ever", async () => {
  const { fake, make, wait } = scene();
  fake.processes.get(7)!.threads = 2;
  assert.deepEqual(
    await wait([() => void fake.processes.delete(7), () => [make.exit(7, 7, 2 << 8)]]),
    status(2),
  );
});

test("what is gone is an error at once, and nothing is subscribed", async () => {
  const one = scene();
  one.fake.processes.delete(7);
  await assert.rejects(one.wait([]), (error) => {
    assert(error instanceof ProcessGoneError);
    assert.deepEqual([error.pid, error.reason], [7, "absent"]);
    assert.equal(error.message, "Cannot wait for process 7: there is no such process");
    return true;
  });
  assert.equal(one.watch, undefined);
  const two = scene();
  two.fake.processes.get(7)!.state = "Z";
  await assert.rejects(two.wait([]), /it has ended already; only its parent/);
});

test("a process that ends while its exit is subscribed to: its status if the event came, else an error", async () => {
  const one = scene();
  const exit = one.make.exit(7, 7, 4 << 8);
  assert.deepEqual(await one.wait([[exit]], () => one.fake.processes.delete(7)), status(4));
  const two = scene();
  await assert.rejects(
    two.wait([], () => two.fake.processes.delete(7)),
    (error) => error instanceof ProcessGoneError && error.reason === "just-ended",
  );
  const three = scene();
  const reuse = (): void => {
    three.fake.nowNs += 1_000_000_000n;
    three.fake.add(7);
  };
  await assert.rejects(three.wait([], reuse), /it ended while its exit was being subscribed to/);
});

test("after a loss /proc is asked: still there, gone without a word, or gone with the word behind it", async () => {
  const one = scene();
  assert.deepEqual(await one.wait([[one.make.lost(1)], [one.make.exit(7, 7, 3 << 8)]]), status(3));
  const two = scene();
  const story = [(): void => void two.fake.processes.delete(7), [two.make.lost(undefined)]];
  assert.deepEqual(await two.wait(story), status(null));
  const three = scene();
  const reuse = (): void => {
    three.fake.nowNs += 1_000_000_000n;
    three.fake.add(7);
  };
  assert.deepEqual(await three.wait([reuse, [three.make.lost(2)]]), status(null));
  const four = scene();
  const late = [
    (): void => void four.fake.processes.delete(7),
    [four.make.lost(1)],
    [four.make.exit(7, 7, 8 << 8)],
  ];
  assert.deepEqual(await four.wait(late), status(8));
});

test("what cannot be waited for is refused before anything is opened", async () => {
  const fake = new FakeProc();
  fake.add(7);
  fake.add(8, { tgid: 7 });
  const procFs = new ProcFs(fake.libc);
  const never = (): ExitWatch => assert.fail("opened");
  for (const pid of [0, -1, 1.5, NaN, 2 ** 31]) {
    await assert.rejects(
      waitWith(never, procFs, pid, 1),
      /^TypeError: Cannot wait for process .*: that is no process id$/,
    );
  }
  await assert.rejects(waitWith(never, procFs, 7, 7), /that is this process/);
  await assert.rejects(waitWith(never, procFs, 8, 1), /^TypeError: .*: that is a thread of process 7$/);
  const reason = new Error("no");
  await assert.rejects(
    waitWith(never, procFs, 7, 1, { signal: AbortSignal.abort(reason) }),
    (error) => error === reason,
  );
  fake.files.set("/proc/7/stat", -ERRNO["EMFILE"]!);
  await assert.rejects(waitWith(never, procFs, 7, 1), /\/proc\/7\/stat cannot be read/);
});

test("a watch that fails is closed, and its error is handed on", async () => {
  const { wait } = scene();
  const fail = (): void => {
    throw new Error("broken");
  };
  await assert.rejects(wait([fail]), /broken/);
});
