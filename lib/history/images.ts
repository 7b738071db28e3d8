import type { ExecEvent, ExitEvent, ForkEvent, ProcessEvent } from "../processes/event.ts";
import { mayBeStart, SAME_START_TICKS, SETTLED_NS } from "../processes/identity.ts";
import type { ProcessInfo } from "../processes/info.ts";
import type { ProcessUsage } from "../processes/usage.ts";
import { withoutDeleted } from "../processes/program_file.ts";
import { ENDED, FLAG } from "./schema.ts";

/** A program that a process ran, as a row of the database. Texts are read from `process` when it is written. */
export interface Image {
  readonly id: number;
  readonly pid: number;
  process: ProcessInfo | undefined;
  /** The program that it came from: of its parent, or the earlier one of the same process. */
  parent: number | undefined;
  parentComm: string | undefined;
  /** When the process started, in hundredths of a second since the boot. */
  startTicks: number | undefined;
  /** CLOCK_MONOTONIC. */
  startNs: bigint;
  endNs: bigint | undefined;
  /** Whether the time between the two was seen. */
  measured: boolean;
  ended: number;
  status: number | null;
  usage: ProcessUsage | undefined;
  flags: number;
  /** What of it the database has: nothing, another program or user, or all but its end. */
  stored: "no" | "changed" | "yes";
  /** Whether it waits to be written. */
  queued: boolean;
}

/** A program without an end that an earlier run has left in the database. */
export interface OpenImage {
  readonly id: number;
  readonly pid: number;
  readonly startTicks: number | undefined;
  readonly startNs: bigint;
  readonly comm: string | undefined;
  readonly exe: string | undefined;
  readonly flags: number;
}

/** A time of which something is missing. */
export interface ImageGap {
  readonly fromNs: bigint;
  readonly toNs: bigint;
  /** How many, if that is known. */
  readonly lost: number | undefined;
  readonly reason: GapReason;
}

/**
 * Why something is missing:
 * - `"lost"`: the kernel dropped events;
 * - `"off"`: no recorder ran;
 * - `"down"`: no recorder ran, and the machine was started anew;
 * - `"dropped"`: the database could not be written for so long that processes had to be given up;
 * - `"undelivered"`: what a machine had recorded did not reach the collector.
 */
export type GapReason = "lost" | "off" | "down" | "dropped" | "undelivered";

/**
 * Makes rows out of the events of a watch with `processInfo` and `snapshot`. An image that began or ended since the last
 * {@linkcode takeQueued} is in there once.
 */
export class ImageTracker {
  readonly #live = new Map<number, Image>();
  readonly #open: Map<number, OpenImage>;
  readonly #ticksOf: (startNs: bigint) => number;
  #nextId: number;
  #queue: Image[] = [];
  #gaps: ImageGap[] = [];
  /** The time of the snapshot. */
  #sinceNs: bigint | undefined;
  /** Up to when everything that was received has been applied, CLOCK_MONOTONIC. */
  appliedNs: bigint = 0n;

  /**
   * @param nextId The first id that is free.
   * @param open What runs according to the database.
   * @param ticksOf Turns CLOCK_MONOTONIC into hundredths of a second since the boot.
   */
  constructor(nextId: number, open: readonly OpenImage[], ticksOf: (startNs: bigint) => number) {
    this.#nextId = nextId;
    this.#open = new Map(open.map((image) => [image.pid, image]));
    this.#ticksOf = ticksOf;
  }

  /** Whether the snapshot has been applied. */
  get started(): boolean {
    return this.#sinceNs !== undefined;
  }

  /** How many processes run. */
  get running(): number {
    return this.#live.size;
  }

  /** How many rows wait to be written. */
  get queued(): number {
    return this.#queue.length;
  }

  /** Applies events, in the order of the watch. */
  apply(batch: readonly ProcessEvent[]): void {
    let at = 0;
    if (this.#sinceNs === undefined && batch.length > 0) at = this.#applySnapshot(batch);
    for (; at < batch.length; at++) this.#apply(batch[at]!);
    const last = batch.at(-1);
    if (last !== undefined && last.timestampNs > this.appliedNs) this.appliedNs = last.timestampNs;
  }

  /** Everything that runs is to be written again. */
  enqueueAll(): void {
    for (const image of this.#live.values()) this.#enqueue(image);
  }

  /** What is to be written now; an image may come again when it has changed. */
  takeQueued(): Image[] {
    const queue = this.#queue;
    this.#queue = [];
    for (const image of queue) image.queued = false;
    return queue;
  }

  /** Puts back what could not be written. Of more than `most`, the oldest that have ended are given up. */
  putBack(images: readonly Image[], gaps: readonly ImageGap[], most: number): void {
    const later = this.#queue;
    this.#queue = [];
    for (const image of later) image.queued = false;
    for (const image of images) this.#enqueue(image);
    for (const image of later) this.#enqueue(image);
    this.#gaps = [...gaps, ...this.#gaps];
    let excess = this.#queue.length - most;
    if (excess <= 0) return;
    let lost = 0;
    let toNs = 0n;
    let fromNs: bigint | undefined;
    this.#queue = this.#queue.filter((image) => {
      if (excess <= 0 || image.endNs === undefined || image.stored !== "no") return true;
      excess--;
      lost++;
      if (fromNs === undefined || image.startNs < fromNs) fromNs = image.startNs;
      if (image.endNs > toNs) toNs = image.endNs;
      return false;
    });
    if (lost > 0) this.#addDropped({ fromNs: fromNs!, toNs, lost, reason: "dropped" });
  }

  /** The gaps since the last call. */
  takeGaps(): ImageGap[] {
    const gaps = this.#gaps;
    this.#gaps = [];
    return gaps;
  }

  /** What was dropped one after the other is one gap. */
  #addDropped(gap: ImageGap): void {
    const before = this.#gaps.findIndex(({ reason }) => reason === "dropped");
    if (before < 0) {
      this.#gaps.push(gap);
      return;
    }
    const { fromNs, toNs, lost } = this.#gaps[before]!;
    this.#gaps[before] = {
      fromNs: fromNs < gap.fromNs ? fromNs : gap.fromNs,
      toNs: toNs > gap.toNs ? toNs : gap.toNs,
      lost: lost! + gap.lost!,
      reason: "dropped",
    };
  }

  /** Takes in what existed at the start; returns how many events that were. */
  #applySnapshot(batch: readonly ProcessEvent[]): number {
    const sinceNs = this.#sinceNs = batch[0]!.timestampNs;
    let count = 0;
    const found: Image[] = [];
    for (const event of batch) {
      if ((event as ForkEvent).synthetic !== true || event.timestampNs > sinceNs) break;
      count++;
      if (event.type === "fork" && !event.thread) found.push(this.#found(event));
    }
    // A parent may have a larger pid.
    for (const image of found) {
      if (image.parent !== undefined || image.stored !== "no") continue;
      const parent = this.#live.get(image.process?.parentPid ?? 0);
      image.parent = parent?.id;
      image.parentComm = parent?.process?.comm ?? image.process?.parentComm;
    }
    for (const { id, pid, startNs, startTicks, flags } of this.#open.values()) {
      // It ended while nobody looked.
      this.#enqueue({
        ...inDatabase({ id, pid, startNs, flags }),
        startTicks,
        endNs: sinceNs,
        measured: false,
        ended: ENDED.UNKNOWN,
      });
    }
    this.#open.clear();
    return count;
  }

  /** A process that exists at the start: an earlier run may have recorded its beginning. */
  #found({ pid, process, timestampNs }: ForkEvent): Image {
    const startNs = process?.startNs ?? timestampNs;
    const startTicks = process?.startTimeTicks ?? this.#ticksOf(startNs);
    const before = this.#open.get(pid);
    const same = before?.startTicks !== undefined &&
      Math.abs(before.startTicks - startTicks) <= SAME_START_TICKS;
    let image: Image;
    if (same) this.#open.delete(pid);
    if (same && isSameProgram(before, process)) {
      image = { ...inDatabase(before), process, startTicks };
      this.#live.set(pid, image);
      return image;
    }
    if (same) {
      this.#enqueue({
        ...inDatabase(before),
        startTicks,
        endNs: timestampNs,
        measured: false,
        ended: ENDED.EXEC,
      });
    }
    image = this.#begin(pid, process, same ? timestampNs : startNs, FLAG.EXISTED);
    image.startTicks = startTicks;
    if (same) {
      image.parent = before.id;
      image.parentComm = before.comm;
    }
    return image;
  }

  #apply(event: ProcessEvent): void {
    switch (event.type) {
      case "lost": {
        const { count: lost, sinceNs: fromNs, timestampNs: toNs } = event;
        this.#gaps.push({ fromNs, toNs, lost, reason: "lost" });
        return;
      }
      case "fork":
        if (!event.thread) this.#fork(event);
        return;
      case "exec":
        return this.#exec(event);
      case "exit":
        if (!event.thread) this.#exit(event);
        return;
      case "uid":
      case "comm": {
        const image = this.#live.get(event.pid);
        if (image === undefined || event.tid !== event.pid) return;
        // A program keeps the name that it was executed under; a copy of its parent may give itself one.
        if (event.type === "comm" && (image.flags & FLAG.FORKED) === 0) return;
        this.#change(image, event.process);
      }
    }
  }

  #fork(event: ForkEvent): void {
    const { pid, process, timestampNs, synthetic } = event;
    const before = this.#live.get(pid);
    if (before !== undefined) {
      if (mayBeStart(before.process?.startNs ?? before.startNs, timestampNs)) {
        // It was found in /proc before its event came.
        before.flags &= ~FLAG.EXISTED;
        return;
      }
      this.#end(before, timestampNs, ENDED.UNKNOWN, false); // its exit was lost, and the pid reused
    }
    const startNs = synthetic === true ? process?.startNs ?? timestampNs : timestampNs;
    const image = this.#begin(pid, process, startNs, FLAG.FORKED | (synthetic ? FLAG.EXISTED : 0));
    image.parent = this.#live.get(event.parentPid)?.id;
  }

  #exec(event: ExecEvent): void {
    const { pid, process, timestampNs } = event;
    const before = this.#live.get(pid);
    if (before === undefined) {
      this.#begin(pid, process, timestampNs, FLAG.EXISTED);
      return;
    }
    const isForked = (before.flags & FLAG.FORKED) !== 0;
    if (isForked && timestampNs - before.startNs < SETTLED_NS) {
      before.flags &= ~FLAG.FORKED;
      return this.#change(before, process);
    }
    if ((before.flags & FLAG.EXISTED) !== 0 && timestampNs <= this.#sinceNs!) {
      before.startNs = timestampNs; // it had been read from /proc before its event came
      return;
    }
    this.#end(before, timestampNs, ENDED.EXEC, true);
    const image = this.#begin(pid, process, timestampNs, 0);
    image.startTicks = before.startTicks;
    image.parent = before.id;
    image.parentComm = before.process?.comm;
  }

  #exit(event: ExitEvent): void {
    const { pid, process, timestampNs } = event;
    let image = this.#live.get(pid);
    if (image === undefined) {
      const startNs = process?.startNs;
      image = this.#begin(pid, process, startNs ?? timestampNs, FLAG.EXISTED);
      image.measured = startNs !== undefined;
      image.parent = this.#live.get(process?.parentPid ?? 0)?.id;
    }
    image.process ??= process;
    image.usage = event.usage;
    image.status = event.status;
    const seen = event.synthetic !== true;
    this.#end(image, timestampNs, seen ? ENDED.EXIT : ENDED.UNKNOWN, seen && image.measured);
  }

  #begin(pid: number, process: ProcessInfo | undefined, startNs: bigint, flags: number): Image {
    const image = blank(this.#nextId++, pid, startNs, flags);
    image.process = process;
    image.parentComm = process?.parentComm;
    image.startTicks = process?.startTimeTicks ?? this.#ticksOf(process?.startNs ?? startNs);
    this.#live.set(pid, image);
    this.#enqueue(image);
    return image;
  }

  #change(image: Image, process: ProcessInfo | undefined): void {
    image.process = process;
    if (image.stored === "yes") image.stored = "changed";
    this.#enqueue(image);
  }

  #end(image: Image, endNs: bigint, ended: number, measured: boolean): void {
    image.endNs = endNs;
    image.ended = ended;
    image.measured = measured;
    this.#live.delete(image.pid);
    this.#enqueue(image);
  }

  #enqueue(image: Image): void {
    if (image.queued) return;
    image.queued = true;
    this.#queue.push(image);
  }
}

function blank(id: number, pid: number, startNs: bigint, flags: number): Image {
  return {
    id,
    pid,
    process: undefined,
    parent: undefined,
    parentComm: undefined,
    startTicks: undefined,
    startNs,
    endNs: undefined,
    measured: true,
    ended: ENDED.RUNNING,
    status: null,
    usage: undefined,
    flags,
    stored: "no",
    queued: false,
  };
}

/** An image of an earlier run. */
function inDatabase(
  { id, pid, startNs, flags }: Pick<OpenImage, "id" | "pid" | "startNs" | "flags">,
): Image {
  return { ...blank(id, pid, startNs, flags), stored: "yes" };
}

/** Whether a process still runs the program that was recorded. Its name and arguments it may have changed itself. */
function isSameProgram(before: OpenImage, process: ProcessInfo | undefined): boolean {
  if (process === undefined) return true;
  if (before.exe !== undefined && process.exe !== undefined) {
    return withoutDeleted(before.exe) === withoutDeleted(process.exe);
  }
  return before.comm === undefined || process.comm === undefined || before.comm === process.comm;
}
