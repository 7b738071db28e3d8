import {
  F_GETFL,
  F_OWNER_EX,
  F_OWNER_TID,
  F_SETFL,
  F_SETOWN_EX,
  F_SETSIG,
  O_ASYNC,
  O_CLOEXEC,
  O_RDONLY,
  POLLIN,
} from "./constants.ts";
import { DescriptorPoll } from "./descriptor_poll.ts";
import type { Poller, SignalCalls } from "./libc.ts";
import { SIGURG, type WakeSignal } from "./wake_signal.ts";

const EEXIST = 17;

interface Added {
  readonly onReady: (error?: Error) => void;
  /** File status flags without O_ASYNC, and with it. */
  readonly off: bigint;
  readonly on: bigint;
  /** Whether O_ASYNC is on. */
  signals: boolean;
  armed: boolean;
  alive: boolean;
}

/** What a descriptor is after {@linkcode SignalPoller.add}. */
const IDLE = { signals: false, armed: false, alive: true } as const;

/**
 * Wakes the event loop by a signal: an armed descriptor has O_ASYNC, and the kernel sends SIGURG whenever something
 * arrives. There is no second thread, which saves a wake-up and the memory of a worker.
 *
 * Whoever makes a descriptor readable pays for the signal. So the first signal that comes while nobody waits switches
 * O_ASYNC off, and only {@linkcode arm} switches it on again. The signal is an edge: what came before that sends none,
 * so `arm` looks once more after it. While O_ASYNC stays on, as on a quiet system, the listener is called after every
 * arrival, and no look is needed.
 *
 * Descriptors that cannot signal (pidfds), and all of them where SIGURG is not ours, go to the poller with a thread.
 */
export class SignalPoller implements Poller {
  readonly #libc: SignalCalls;
  readonly #signal: WakeSignal;
  readonly #thread: Poller;
  readonly #added = new Map<number, Added>();
  readonly #poll: DescriptorPoll;
  readonly #owner = new Int32Array(new ArrayBuffer(F_OWNER_EX.SIZE * 4));
  #thisThread: Thread | undefined;
  failedCall = "fcntl";

  constructor(libc: SignalCalls, signal: WakeSignal, thread: Poller) {
    this.#libc = libc;
    this.#poll = new DescriptorPoll(libc);
    this.#signal = signal;
    this.#thread = thread;
  }

  add(fd: number, onReady: (error?: Error) => void): number {
    if (this.#added.has(fd)) return -EEXIST;
    const isFirst = this.#added.size === 0;
    if (isFirst && !this.#isOurs()) return this.#byThread(() => this.#thread.add(fd, onReady));
    const flags = this.#control(fd, F_GETFL, 0n);
    if (flags < 0) return flags;
    const added = { onReady, off: BigInt(flags), on: BigInt(flags | O_ASYNC), ...IDLE };
    if (!this.#canSignal(fd, added)) return this.#byThread(() => this.#thread.add(fd, onReady));
    if (isFirst) this.#signal.listen(this.#onSignal);
    this.#added.set(fd, added);
    this.#signal.keepAlive(true);
    return 0;
  }

  arm(fd: number): number {
    const added = this.#added.get(fd);
    if (added === undefined) return this.#byThread(() => this.#thread.arm(fd));
    this.#signal.insist();
    if (!added.signals) {
      const result = this.#control(fd, F_SETFL, added.on);
      if (result < 0) return result;
      added.signals = true;
      if (this.#isReadable(fd)) return 1;
    }
    added.armed = true;
    return 0;
  }

  remove(fd: number): void {
    const added = this.#added.get(fd);
    if (added === undefined) return this.#thread.remove(fd);
    this.#switchOff(fd, added);
    this.#added.delete(fd);
    if (this.#added.size === 0) this.#signal.ignore();
    this.#applyAlive();
  }

  keepAlive(fd: number, alive: boolean): void {
    const added = this.#added.get(fd);
    if (added === undefined) return this.#thread.keepAlive(fd, alive);
    added.alive = alive;
    this.#applyAlive();
  }

  /**
   * The signal does not say for which descriptor it was sent. Where there is only one, its reader looks anyway, and a look
   * that finds nothing is cheaper than asking poll(2) before each one that does.
   */
  readonly #onSignal = (): void => {
    for (const [fd, added] of this.#added) {
      if (!added.armed) {
        this.#switchOff(fd, added);
      } else if (this.#added.size === 1 || this.#isReadable(fd)) {
        added.armed = false;
        added.onReady();
      }
    }
  };

  #switchOff(fd: number, added: Added): void {
    if (!added.signals) return;
    added.signals = false;
    this.#libc.fcntl(fd, F_SETFL, added.off);
  }

  /** Where poll(2) fails, the reader finds out why. */
  #isReadable(fd: number): boolean {
    return this.#poll.ready(fd, POLLIN) !== 0;
  }

  #applyAlive(): void {
    this.#signal.keepAlive([...this.#added.values()].some(({ alive }) => alive));
  }

  #isOurs(): boolean {
    const thread = this.#thisThread ??= readThread(this.#libc);
    const reaches = !thread.isBlocked && (thread.isMain || this.#signal.reachesWorkers);
    return reaches && !this.#signal.isTaken();
  }

  /**
   * Makes the descriptor send SIGURG to this thread: one for the whole process would wake whichever thread the kernel
   * chooses. False where descriptors of its kind send no signals.
   */
  #canSignal(fd: number, { off, on }: Added): boolean {
    const libc = this.#libc;
    this.#owner[F_OWNER_EX.type] = F_OWNER_TID;
    this.#owner[F_OWNER_EX.pid] = this.#thisThread!.tid;
    const owner = libc.addressOf(new Uint8Array(this.#owner.buffer));
    if (libc.fcntl(fd, F_SETOWN_EX, owner) < 0 || libc.fcntl(fd, F_SETSIG, BigInt(SIGURG)) < 0) return false;
    libc.fcntl(fd, F_SETFL, on);
    const can = (libc.fcntl(fd, F_GETFL, 0n) & O_ASYNC) !== 0;
    libc.fcntl(fd, F_SETFL, off);
    return can;
  }

  #control(fd: number, operation: number, argument: bigint): number {
    this.failedCall = "fcntl";
    return this.#libc.fcntl(fd, operation, argument);
  }

  #byThread(call: () => number): number {
    const result = call();
    this.failedCall = this.#thread.failedCall;
    return result;
  }
}

/** What the kernel says of this thread. */
interface Thread {
  /** Its number in its own pid namespace, which need not be that of /proc. */
  readonly tid: number;
  readonly isMain: boolean;
  /** A program can be started with SIGURG blocked, and no runtime unblocks it. */
  readonly isBlocked: boolean;
}

/**
 * The lines of proc(5)'s status file that are read: the thread by all pid namespaces from that of /proc to its own, and
 * the mask in hexadecimal.
 */
const STATUS = /^Tgid:\s*(\d+)$.*^Pid:\s*(\d+)$.*^NSpid:[\d\s]*?(\d+)$.*^SigBlk:\s*([\da-f]+)$/ms;

/** Reads it; without /proc nothing is certain, which counts as blocked. */
function readThread(libc: SignalCalls): Thread {
  const [, process, thread, tid, mask] = STATUS.exec(readStatus(libc)) ?? [];
  const isBlocked = mask === undefined || ((BigInt(`0x${mask}`) >> BigInt(SIGURG - 1)) & 1n) === 1n;
  return { tid: Number(tid), isMain: thread === process, isBlocked };
}

function readStatus(libc: SignalCalls): string {
  const fd = libc.open(new TextEncoder().encode("/proc/thread-self/status\0"), O_RDONLY | O_CLOEXEC);
  if (fd < 0) return "";
  const bytes = new Uint8Array(new ArrayBuffer(4096));
  const length = libc.read(fd, bytes);
  libc.close(fd);
  return new TextDecoder().decode(bytes.subarray(0, Math.max(length, 0)));
}
