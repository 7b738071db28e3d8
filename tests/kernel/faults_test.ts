import assert from "node:assert/strict";
import { spawn } from "node:child_process";
import { test } from "node:test";
import type { Libc, System } from "../../ffi/libc.ts";
import { openSystem } from "../../lib/system.ts";
import { SyscallError, UnsupportedError } from "../../mod.ts";
import { ERRNO } from "../../lib/errors/errno.ts";
import { openProcessWatch } from "../../lib/processes/open.ts";
import type { WatchProcessesOptions } from "../../lib/processes/options.ts";
import { PROC_CN_MCAST_LISTEN } from "../../lib/processes/constants.ts";
import { viewOf } from "../../lib/wire/bytes.ts";
import { inVirtualMachine } from "../support/runtimes.ts";
import { whyNoProcessEvents } from "../support/kernel.ts";

const skip = await whyNoProcessEvents();

const OPENERS = ["socket", "open", "epoll_create1", "eventfd"];
/** Commands of bpf(2) that answer a descriptor: BPF_MAP_CREATE, BPF_PROG_LOAD, BPF_RAW_TRACEPOINT_OPEN, BPF_BTF_GET_FD_BY_ID. */
const BPF_OPENERS = [0, 5, 17, 19];
const RECEIVERS = ["recvmmsg", "recvfrom"];
/** Calls that cannot fail in the kernel. */
const NEVER_FAILS = ["arch", "addressOf", "getpid"];

/** The real system, where one call fails; it records what is open. */
class FaultyMachine implements System {
  readonly libc: Libc;
  readonly poller: System["poller"];
  readonly replyPoller: System["poller"];
  readonly descriptors = new Set<number>();
  readonly added = new Set<number>();
  hooks = 0;
  calls: string[] = [];
  /** LISTENs sent, and IGNOREs at least attempted. */
  listens = 0;
  ignores = 0;
  readonly #system: System;

  /** Call number `failAt` returns `-errno` and does nothing. */
  constructor(system: System, failAt: number, errno: number) {
    this.#system = system;
    const fails = (name: string): boolean => {
      // Of a queue with something in it the kernel never says EAGAIN: a signal that came before would not come again.
      const isPossible = errno !== ERRNO.EAGAIN || !RECEIVERS.includes(name);
      return this.calls.push(name) - 1 === failAt && isPossible;
    };
    // deno-lint-ignore no-explicit-any -- every function of libc alike
    const wrap = (name: string, call: (...args: any[]) => number) => (...args: any[]): number => {
      if (name === "close") {
        this.calls.push(name);
        // A close that fails has still closed the descriptor.
        assert(this.descriptors.delete(args[0]), `${args[0]} is closed twice`);
        return call(...args);
      }
      const listens = name === "sendto" && viewOf(args[1]).getUint32(36, true) === PROC_CN_MCAST_LISTEN;
      if (name === "sendto" && !listens) this.ignores++;
      if (fails(name)) return -errno;
      const result = call(...args);
      const opens = OPENERS.includes(name) || (name === "bpf" && BPF_OPENERS.includes(args[0]));
      if (opens && result >= 0) this.descriptors.add(result);
      if (listens && result > 0) this.listens++;
      return result;
    };
    this.libc = Object.fromEntries(
      Object.entries(system.libc).map((
        [name, call],
      ) => [name, NEVER_FAILS.includes(name) ? call : wrap(name, call)]),
    ) as unknown as Libc;
    this.poller = this.replyPoller = {
      add: (fd, onReady) => {
        if (fails("poller.add")) return -errno;
        this.added.add(fd);
        return system.poller.add(fd, onReady);
      },
      arm: (fd) => fails("poller.arm") ? -errno : system.poller.arm(fd),
      remove: (fd) => {
        this.added.delete(fd);
        system.poller.remove(fd);
      },
      keepAlive: (fd, alive) => system.poller.keepAlive(fd, alive),
      failedCall: "epoll_ctl",
    };
  }

  onExit(hook: Parameters<System["onExit"]>[0]): () => void {
    this.hooks++;
    const forget = this.#system.onExit(hook);
    return () => {
      this.hooks--;
      forget();
    };
  }
}

/** Opens a watch, reads until an exec is seen, and closes it. */
async function session(system: FaultyMachine, options: WatchProcessesOptions): Promise<unknown> {
  const limit = AbortSignal.timeout(30_000);
  try {
    await using watch = openProcessWatch(system, { ...options, signal: limit });
    spawn("/bin/true");
    for await (const event of watch) {
      if (event.type === "exec") break;
      if (event.type === "lost") spawn("/bin/true");
    }
    return undefined;
  } catch (error) {
    assert(!limit.aborted, `it hangs after ${system.calls.join(", ")}`);
    return error;
  }
}

const sessions: Readonly<Record<string, WatchProcessesOptions>> = {
  "events": { events: ["exec"] },
  "everything, with processes": { processInfo: true },
};

for (const [name, options] of Object.entries(sessions)) {
  test(
    `a failing call at every point leaves nothing behind: ${name}`,
    { skip, timeout: 300_000 },
    async () => {
      const system = await openSystem("inject faults");
      const whole = new FaultyMachine(system, -1, 0);
      assert.equal(await session(whole, options), undefined);
      // Files and all of /proc are read by many calls in a row that are the same.
      const { calls } = whole;
      const points = [...calls.keys()].filter((i) => calls[i] !== calls[i - 1] || calls[i] !== calls[i - 2])
        .slice(0, inVirtualMachine ? 30 : 60);
      let failures = 0;
      for (const point of points) {
        for (const code of ["EINTR", "EAGAIN", "ENOMEM", "ENOBUFS", "EBADF", "EPERM"]) {
          const faulty = new FaultyMachine(system, point, ERRNO[code]!);
          const error = await session(faulty, options);
          const where = `${code} from call ${point}, ${faulty.calls[point]}`;
          if (error !== undefined) {
            failures++;
            assert(error instanceof SyscallError || error instanceof UnsupportedError, `${where}: ${error}`);
            if (error instanceof SyscallError) assert.equal(error.code, code, where);
          }
          assert.deepEqual([...faulty.descriptors], [], `${where}: descriptors are open`);
          assert.deepEqual([...faulty.added], [], `${where}: the poller knows the socket`);
          assert.equal(faulty.hooks, 0, `${where}: a leaver is registered`);
          if (faulty.listens > 0) assert(faulty.ignores > 0, `${where}: the subscription was not taken back`);
          assert(faulty.ignores <= Math.max(faulty.listens, 1), `${where}: taken back more than once`);
        }
      }
      assert(failures > 0, "no fault was felt");
      console.log(`${points.length} points, 6 errors each, ${failures} felt`);
    },
  );
}
