// Without memory the kernel cannot even make the message of an event: no socket's counter says so, but the event has
// taken its number.

import assert from "node:assert/strict";
import { spawnSync } from "node:child_process";
import { readdirSync, readlinkSync, writeFileSync } from "node:fs";
import { test } from "node:test";
import { openSystem } from "../../../lib/system.ts";
import { readBusSockets } from "../../../lib/connector/proc_net.ts";
import { type ProcessEvent, type ProcessWatch, watchProcesses } from "../../../mod.ts";
import { eventually, runProgram, skipWithout } from "./support.ts";

const PROGRAM = "/run/tools/famine";
/** Events while memory is short, more than what is left has room for; and after it, more than a queue takes. */
const SCARCE = 60_000;
const PLENTY = 100_000;

const { libc } = await openSystem("test");

/** The sockets that this process has open, by inode. */
function ownSockets(): Set<number> {
  const inodes = new Set<number>();
  for (const fd of readdirSync("/proc/self/fd")) {
    try {
      const inode = /^socket:\[(\d+)\]$/.exec(readlinkSync(`/proc/self/fd/${fd}`))?.[1];
      if (inode !== undefined) inodes.add(Number(inode));
    } catch {
      // the folder's own descriptor, which is closed by now
    }
  }
  return inodes;
}

/** A watch that nobody reads until it is followed, its socket's own counter, and what came out of it. */
class Reader {
  readonly watch: ProcessWatch;
  readonly #inode: number;
  readonly #numbers = new Map<number, { readonly first: number; readonly last: number }>();
  /** Events, and of them how often each process was named. */
  came = 0;
  readonly names = new Map<number, number>();
  lostInStream = 0;

  private constructor(watch: ProcessWatch, inode: number) {
    this.watch = watch;
    this.#inode = inode;
  }

  static async open(events?: readonly ["comm"]): Promise<Reader> {
    const before = ownSockets();
    const watch = await watchProcesses({ events, threads: true }); // every number, also of threads
    const own = ownSockets();
    const [socket, ...more] = readBusSockets(libc)!.filter(({ inode }) =>
      own.has(inode) && !before.has(inode)
    );
    assert(socket !== undefined && more.length === 0);
    return new Reader(watch, socket.inode);
  }

  /** What the kernel says that this socket missed. */
  drops(): number {
    return readBusSockets(libc)!.find(({ inode }) => inode === this.#inode)!.drops;
  }

  /** How many events there were: every event takes the next number of its processor. */
  generated(): number {
    return [...this.#numbers.values()].reduce((sum, { first, last }) => sum + last - first + 1, 0);
  }

  async follow(): Promise<void> {
    for await (const events of this.watch.batches()) for (const event of events) this.#note(event);
  }

  #note(event: ProcessEvent): void {
    if (event.type === "lost") {
      this.lostInStream += event.count!;
      return;
    }
    this.came++;
    const first = this.#numbers.get(event.cpu)?.first ?? event.seq;
    this.#numbers.set(event.cpu, { first, last: event.seq });
    if (event.type === "comm") this.names.set(event.pid, (this.names.get(event.pid) ?? 0) + 1);
  }
}

test("events for which the kernel had no memory appear in no counter, only as gaps", {
  skip: skipWithout(),
  timeout: 280_000,
}, async () => {
  // The one behind a filter first: the kernel's acknowledgement to it takes a number, too.
  const filtered = await Reader.open(["comm"]);
  const all = await Reader.open();
  await using _filtered = filtered.watch;
  await using _all = all.watch;
  let famine: { readonly pid: number; readonly freeKiB: readonly number[] };
  try {
    famine = JSON.parse(await runProgram(PROGRAM, [`${SCARCE}`, `${PLENTY}`]));
  } finally {
    // where it could not give the memory back itself
    writeFileSync("/proc/sys/vm/nr_hugepages", "0\n");
  }
  const following = [filtered.follow(), all.follow()];
  const witnesses: number[] = [];
  let cameBefore = -1;
  await eventually("both are up to date", () => {
    if (witnesses.some((pid) => filtered.names.has(pid) && all.names.has(pid))) return true;
    // An event for either, once what was queued has been read: before that it might find the queue full, and a program
    // that is awaited here holds the readers up.
    const came = filtered.came + all.came;
    if (came === cameBefore) witnesses.push(spawnSync(PROGRAM, ["0", "1"]).pid);
    cameBefore = came;
    return false;
  }, 120_000);

  const drops = all.drops();
  const dropsBehind = filtered.drops();
  // what is queued is still handed out
  filtered.watch.drain();
  all.watch.drain();
  await Promise.all(following);

  const { lost, delivered, lossKnownBy } = all.watch.stats();
  const generated = all.generated();
  const named = SCARCE + PLENTY;
  const come = all.names.get(famine.pid)!;
  const behind = filtered.watch.stats();
  const comeBehind = filtered.names.get(famine.pid)!;
  console.log(
    `${generated} generated: ${delivered} delivered + ${lost} lost, of which the socket counted ${drops}; ` +
      `behind a filter of ${named}: ${comeBehind} delivered, ${behind.lost} lost; ` +
      `free memory in KiB before, at the lowest, and after: ${famine.freeKiB}`,
  );
  // Every number came or is lost, and more is lost than the socket counted.
  assert.equal(lossKnownBy, "drops and sequence");
  assert.equal(delivered, all.came);
  assert.equal(lost, all.lostInStream);
  assert.equal(delivered + lost, generated);
  assert(come + lost >= named);
  assert(drops > 0, "the queue overflowed when there was memory again");
  assert(lost > drops);

  // Behind a filter the numbers say nothing: what the kernel had no memory for stays unknown, and the watch says so.
  assert.equal(behind.lossKnownBy, "drops");
  assert.equal(behind.lost, dropsBehind);
  assert(behind.lost > 0);
  assert(comeBehind + behind.lost < named);
});
