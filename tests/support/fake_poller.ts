import type { ExitHook, Poller, System } from "../../ffi/libc.ts";
import { FakeLibc } from "./fake_libc.ts";

interface Added {
  readonly onReady: (error?: Error) => void;
  armed: boolean;
  alive: boolean;
  /** A callback is scheduled: like the real one, it runs once, however much arrives. */
  looking: boolean;
}

/**
 * A poller without a thread: an armed socket of a {@linkcode FakeLibc} is ready, in a task of its own as the real
 * one's are, as soon as its script holds anything.
 *
 * ```ts
 * const libc = new FakeLibc();
 * const poller = new FakePoller(libc);
 * poller.armResult = -ERRNO.EBADF!;              // what `arm` returns from now on
 * poller.die(new Error("the thread is gone"));   // like the real one, when waiting has become impossible
 * ```
 */
class FakePoller implements Poller {
  /** The result of {@linkcode add}. */
  addResult: number = 0;
  /** The result of {@linkcode arm}. */
  armResult: number = 0;
  /** As the real pollers' name of a call that failed. */
  failedCall: string = "epoll_ctl";
  /** The number of callbacks. */
  wakeUps: number = 0;
  readonly #libc: FakeLibc;
  readonly #added = new Map<number, Added>();

  constructor(libc: FakeLibc) {
    this.#libc = libc;
    libc.onReadable = (fd) => this.#look(fd);
  }

  /** The added descriptors. */
  get added(): readonly number[] {
    return [...this.#added.keys()];
  }

  /** Whether a descriptor is armed. */
  armed(fd: number): boolean {
    return this.#added.get(fd)?.armed ?? false;
  }

  add(fd: number, onReady: (error?: Error) => void): number {
    if (this.#added.has(fd)) throw new Error(`add(${fd}): added twice`);
    if (this.addResult >= 0) this.#added.set(fd, { onReady, armed: false, alive: true, looking: false });
    return this.addResult;
  }

  arm(fd: number): number {
    const added = this.#added.get(fd);
    if (added === undefined) throw new Error(`arm(${fd}): not added`);
    if (this.armResult >= 0) {
      added.armed = true;
      this.#look(fd);
    }
    return this.armResult;
  }

  remove(fd: number): void {
    this.#added.delete(fd);
  }

  keepAlive(fd: number, alive: boolean): void {
    const added = this.#added.get(fd);
    if (added !== undefined) added.alive = alive;
  }

  /** Whether an added descriptor keeps the process alive. */
  get alive(): boolean {
    return [...this.#added.values()].some(({ alive }) => alive);
  }

  /** Wakes an armed descriptor although nothing has arrived. */
  wake(fd: number): void {
    const added = this.#added.get(fd);
    if (added?.armed !== true) return;
    added.armed = false;
    this.wakeUps++;
    added.onReady();
  }

  /** Reports to every descriptor that waiting has become impossible, and forgets them. */
  die(error: Error): void {
    const all = [...this.#added.values()];
    this.#added.clear();
    for (const { onReady } of all) onReady(error);
  }

  #look(fd: number): void {
    const added = this.#added.get(fd);
    if (added === undefined || !added.armed || added.looking || !this.#libc.readable(fd)) return;
    added.looking = true;
    setImmediate(() => {
      added.looking = false;
      if (this.#libc.readable(fd)) this.wake(fd);
    });
  }
}

/** A system made of fakes. */
export interface FakeSystem extends System {
  readonly libc: FakeLibc;
  readonly poller: FakePoller;
  /** The registered exit hooks. */
  readonly hooks: ReadonlySet<ExitHook>;
  /** Runs the exit hooks, as at the end of the program. */
  leave(): void;
}

/** A system with a scripted libc and its poller. */
export function fakeSystem(libc: FakeLibc = new FakeLibc()): FakeSystem {
  const hooks = new Set<ExitHook>();
  const poller = new FakePoller(libc);
  return {
    libc,
    poller,
    replyPoller: poller,
    hooks,
    onExit(hook) {
      hooks.add(hook);
      return () => void hooks.delete(hook);
    },
    leave() {
      for (const hook of hooks) hook.leave();
    },
  };
}
