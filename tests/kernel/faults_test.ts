import assert from "node:assert/strict";
import { spawn } from "node:child_process";
import { test } from "node:test";
import type { Libc, Machine } from "../../ffi/libc.ts";
import { openMachine } from "../../ffi/open.ts";
import { SyscallError, UnsupportedError } from "../../mod.ts";
import { ERRNO } from "../../lib/errors/errno.ts";
import { openProcessWatch, type WatchProcessesOptions } from "../../lib/process/watch.ts";
import { PROC_CN_MCAST_LISTEN } from "../../lib/protocols/proc/constants.ts";
import { viewOf } from "../../lib/wire/host.ts";
import { inVirtualMachine } from "../support/storm.ts";
import { whyNoProcessEvents } from "../support/kernel.ts";

const skip = await whyNoProcessEvents();

const OPENERS = ["socket", "open", "epoll_create1", "eventfd"];
/** No call into the kernel that could fail. */
const NEVER_FAILS = ["arch", "addressOf", "getpid"];

/** The real machine, of which one call fails; it keeps the books of what is open. */
class FaultyMachine implements Machine {
  readonly libc: Libc;
  readonly poller: Machine["poller"];
  readonly descriptors = new Set<number>();
  readonly added = new Set<number>();
  leavers = 0;
  calls: string[] = [];
  /** LISTENs that were sent, and IGNOREs that were at least tried. */
  listens = 0;
  ignores = 0;
  readonly #machine: Machine;

  /** Call number `failAt` answers `-errno` and does nothing. */
  constructor(machine: Machine, failAt: number, errno: number) {
    this.#machine = machine;
    const fails = (name: string): boolean => this.calls.push(name) - 1 === failAt;
    // deno-lint-ignore no-explicit-any -- every function of libc alike
    const wrap = (name: string, call: (...args: any[]) => number) => (...args: any[]): number => {
      if (name === "close") {
        this.calls.push(name);
        // A close that fails has closed all the same.
        assert(this.descriptors.delete(args[0]), `${args[0]} is closed twice`);
        return call(...args);
      }
      const listens = name === "sendto" && viewOf(args[1]).getUint32(36, true) === PROC_CN_MCAST_LISTEN;
      if (name === "sendto" && !listens) this.ignores++;
      if (fails(name)) return -errno;
      const result = call(...args);
      if (OPENERS.includes(name) && result >= 0) this.descriptors.add(result);
      if (listens && result > 0) this.listens++;
      return result;
    };
    this.libc = Object.fromEntries(
      Object.entries(machine.libc).map((
        [name, call],
      ) => [name, NEVER_FAILS.includes(name) ? call : wrap(name, call)]),
    ) as unknown as Libc;
    this.poller = {
      add: (fd, onReady) => {
        if (fails("poller.add")) return -errno;
        this.added.add(fd);
        return machine.poller.add(fd, onReady);
      },
      arm: (fd) => fails("poller.arm") ? -errno : machine.poller.arm(fd),
      remove: (fd) => {
        this.added.delete(fd);
        machine.poller.remove(fd);
      },
      keepAlive: (fd, alive) => machine.poller.keepAlive(fd, alive),
    };
  }

  soon(start: () => void): void {
    this.#machine.soon(start);
  }

  atLeaving(leaver: Parameters<Machine["atLeaving"]>[0]): () => void {
    this.leavers++;
    const forget = this.#machine.atLeaving(leaver);
    return () => {
      this.leavers--;
      forget();
    };
  }
}

/** Opens a watch, reads until an exec is seen, and closes it. */
async function session(machine: Machine, options: WatchProcessesOptions): Promise<unknown> {
  const limit = AbortSignal.timeout(10_000);
  try {
    await using watch = openProcessWatch(machine, { ...options, signal: limit });
    spawn("/bin/true");
    for await (const event of watch) {
      if (event.type === "exec") break;
      if (event.type === "lost") spawn("/bin/true");
    }
    return undefined;
  } catch (error) {
    assert(!limit.aborted, "it hangs");
    return error;
  }
}

const sessions: Readonly<Record<string, WatchProcessesOptions>> = {
  "events": { events: ["exec"] },
  "everything, with processes": { processes: true },
};

for (const [name, options] of Object.entries(sessions)) {
  test(
    `a failing call at every point leaves nothing behind: ${name}`,
    { skip, timeout: 300_000 },
    async () => {
      const machine = await openMachine("inject faults");
      const whole = new FaultyMachine(machine, -1, 0);
      assert.equal(await session(whole, options), undefined);
      // Reading all of /proc at the start makes many calls that are alike.
      const points = Math.min(whole.calls.length, inVirtualMachine ? 30 : 60);
      let failures = 0;
      for (let point = 0; point < points; point++) {
        for (const code of ["EINTR", "EAGAIN", "ENOMEM", "ENOBUFS", "EBADF", "EPERM"]) {
          const faulty = new FaultyMachine(machine, point, ERRNO[code]!);
          const error = await session(faulty, options);
          const where = `${code} from call ${point}, ${faulty.calls[point]}`;
          if (error !== undefined) {
            failures++;
            assert(error instanceof SyscallError || error instanceof UnsupportedError, `${where}: ${error}`);
            if (error instanceof SyscallError) assert.equal(error.code, code, where);
          }
          assert.deepEqual([...faulty.descriptors], [], `${where}: descriptors are open`);
          assert.deepEqual([...faulty.added], [], `${where}: the poller knows the socket`);
          assert.equal(faulty.leavers, 0, `${where}: a leaver is registered`);
          if (faulty.listens > 0) assert(faulty.ignores > 0, `${where}: the subscription was not taken back`);
          assert(faulty.ignores <= Math.max(faulty.listens, 1), `${where}: taken back more than once`);
        }
      }
      assert(failures > 0, "no fault was felt");
      console.log(`${points} points, 6 errors each, ${failures} felt`);
    },
  );
}
