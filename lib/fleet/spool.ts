import process from "node:process";
import type { StatementSync } from "node:sqlite";
import { HistoryError } from "../history/history_error.ts";
import type { Image, ImageGap, OpenImage } from "../history/images.ts";
import { openWritable } from "../history/open_writable.ts";
import type { ImageStore, StoreTools } from "../history/recorder.ts";
import { openImageOf, rowOf } from "../history/rows.ts";
import { ENDED } from "../history/schema.ts";
import { type Database, explained, toStored, transaction } from "../history/sqlite.ts";
import { encodeSegment, type SegmentGap, type SegmentHeader, type SegmentRow } from "./segment.ts";
import { loadState, prepareSpool, SAVE_STATE, type SpoolState, storeState } from "./spool_state.ts";

/** The size of the rows of a segment, as JSON, from which on another one is begun. */
const SEGMENT_CHARS = 256 << 10;
/** How long nothing is sealed while nothing happens: a sign of life. */
const IDLE_US = 60_000_000;
/** How often everything that runs is sent again, so that what was lost on the way is mended. */
const ALL_US = 3_600_000_000;

/** A segment that waits to be sent. */
export interface SealedSegment {
  readonly segment: number;
  readonly body: Uint8Array;
}

/** How full a spool is. */
export interface SpoolStats {
  readonly segments: number;
  readonly bytes: number;
  /** Segments that were removed before they were sent, as the spool was full, and the programs that ended in them. */
  readonly droppedSegments: number;
  readonly droppedPrograms: number;
}

/**
 * What this machine records until a server has it: segments in an SQLite database, whose bytes never change once they
 * are sealed. Numbers go on over restarts, and so does what runs.
 */
export class Spool implements ImageStore {
  readonly #database: Database;
  readonly #tools: StoreTools;
  readonly #action: string;
  readonly #maxBytes: number;
  readonly #header: Pick<SegmentHeader, "boot" | "run">;
  readonly #insert: StatementSync;
  readonly #open: StatementSync;
  readonly #close: StatementSync;
  readonly #save: StatementSync;
  #state: SpoolState;
  #gaps: SegmentGap[] = [];
  #bytes = 0;
  #segments = 0;
  /** The segment that is on its way, and the last one that has arrived. */
  #sending = 0;
  #acknowledged = 0;
  /** Called when a segment was sealed. */
  onSealed: (() => void) | undefined;
  wantsAll = true;
  readonly open: readonly OpenImage[];

  /**
   * Opens or makes it, and begins a run in it.
   *
   * @throws {HistoryError} If it is something else, of another version, or another shipper uses it.
   */
  constructor(path: string, version: string, maxBytes: number, tools: StoreTools) {
    const { machine, recorder, startedUs } = tools;
    this.#tools = tools;
    this.#action = `ship by way of ${path}`;
    this.#maxBytes = maxBytes;
    this.#header = {
      boot: { id: machine.bootId, kernel: machine.kernel, bootedUs: machine.bootedUs },
      run: { pid: recorder.pid, startTicks: recorder.startTicks, version, startedUs },
    };
    const database = this.#database = openWritable(path, this.#action);
    try {
      prepareSpool(database, this.#action);
      this.#insert = database.prepare("INSERT INTO segment(id, ended, body) VALUES (?,?,?)");
      this.#open = database.prepare("INSERT OR REPLACE INTO open VALUES (?,?,?,?,?,?,?)");
      this.#close = database.prepare("DELETE FROM open WHERE id = ?");
      this.#save = database.prepare(SAVE_STATE);
      const before = loadState(database);
      if (before !== undefined) this.#checkAlone(before);
      this.#state = this.#begin(before);
      this.open = before?.bootId === machine.bootId ? this.#openImages() : [];
      transaction(database, () => {
        // What ran before a reboot is closed by the list of all that runs.
        if (this.open.length === 0) database.exec("DELETE FROM open");
        storeState(this.#save, this.#state);
      });
      const { segments, bytes } = database.prepare(
        "SELECT count(*) AS segments, coalesce(sum(length(body)), 0) AS bytes FROM segment",
      ).get()!;
      this.#segments = Number(segments);
      this.#bytes = Number(bytes);
    } catch (error) {
      database.close();
      throw explained(error, this.#action);
    }
  }

  /** What names the spool. */
  get id(): string {
    return this.#state.spool;
  }

  get nextId(): number {
    return this.#state.nextId;
  }

  /** The number of the last segment that was sealed. */
  get lastSegment(): number {
    return this.#state.nextSegment - 1;
  }

  stats(): SpoolStats {
    const { droppedSegments, droppedPrograms } = this.#state;
    return { segments: this.#segments, bytes: this.#bytes, droppedSegments, droppedPrograms };
  }

  write(images: readonly Image[], gaps: readonly ImageGap[], recordedUs: number, all: boolean): void {
    const { wallUs } = this.#tools;
    const newGaps = gaps.map(({ fromNs, toNs, lost, reason }) => ({
      fromUs: wallUs(fromNs),
      toUs: wallUs(toNs),
      lost,
      reason,
    }));
    const state = { ...this.#state, recordedUs: Math.max(recordedUs, this.#state.recordedUs) };
    const idle = images.length === 0 && newGaps.length === 0 && this.#gaps.length === 0 && !all;
    try {
      if (idle && recordedUs - state.sealedUs < IDLE_US) {
        transaction(this.#database, () => storeState(this.#save, state));
        this.#state = state;
        return;
      }
      this.#seal(images, [...this.#gaps, ...newGaps], state, all);
    } catch (error) {
      throw explained(error, this.#action);
    }
    this.#gaps = [];
    for (const image of images) image.stored = "yes";
    this.wantsAll = this.#state.droppedSegments > state.droppedSegments || (this.wantsAll && !all);
    this.onSealed?.();
  }

  tidy(nowUs: number): boolean {
    if (nowUs - this.#state.allUs >= ALL_US) this.wantsAll = true;
    return false;
  }

  finish(stoppedUs: number): void {
    const state = { ...this.#state, stoppedUs };
    transaction(this.#database, () => storeState(this.#save, state));
    this.#state = state;
  }

  /** The oldest segment that has not arrived. From now on it is on its way, and is not dropped. */
  next(): SealedSegment | undefined {
    const row = this.#database.prepare("SELECT id, body FROM segment WHERE id > ? ORDER BY id LIMIT 1")
      .get(this.#acknowledged);
    if (row === undefined) return undefined;
    this.#sending = Number(row.id);
    return { segment: this.#sending, body: row.body as Uint8Array };
  }

  /** This one and those before it have arrived: they are removed with the next write. */
  acknowledge(segment: number): void {
    this.#acknowledged = Math.max(this.#acknowledged, segment);
  }

  /** The recorder has ended. What is there may still be sent: close() closes it. */
  [Symbol.dispose](): void {}

  /** Removes what has arrived, and closes the file. */
  close(): void {
    if (!this.#database.isOpen) return;
    try {
      transaction(this.#database, () => {
        const { segments, bytes } = this.#removeAcknowledged();
        this.#segments -= segments;
        this.#bytes -= bytes;
      });
    } finally {
      this.#database.close();
    }
  }

  /** Seals rows as one or more segments, in one transaction with what it changes. */
  #seal(images: readonly Image[], gaps: readonly SegmentGap[], state: SpoolState, all: boolean): void {
    const { users, wallUs } = this.#tools;
    let { nextId, nextSegment, ended, sealedUs } = state;
    const segments: { readonly ended: number; readonly body: Uint8Array }[] = [];
    const running: number[] = [];
    let rows: string[] = [];
    let chars = 0;
    let endedHere = 0;
    const seal = (isLast: boolean): void => {
      const body = encodeSegment({
        spool: state.spool,
        segment: nextSegment++,
        beganUs: state.beganUs,
        endedBefore: ended,
        sinceUs: sealedUs,
        recordedUs: state.recordedUs,
        ...this.#header,
        gaps: isLast ? gaps : [],
        running: isLast && all ? running : undefined,
      }, rows);
      segments.push({ ended: endedHere, body });
      ended += endedHere;
      sealedUs = state.recordedUs;
      rows = [];
      chars = endedHere = 0;
    };
    for (const image of images) {
      const row = rowOf(image, wallUs);
      const shipped = row as { -readonly [Name in keyof SegmentRow]: SegmentRow[Name] };
      if (image.stored === "yes" && image.process === undefined) shipped.endOnly = true;
      else if (row.uid !== undefined) shipped.user = users.get(row.uid);
      const text = JSON.stringify(shipped);
      rows.push(text);
      chars += text.length;
      if (row.ended === ENDED.RUNNING) running.push(row.id);
      else endedHere++;
      nextId = Math.max(nextId, row.id + 1);
      if (chars >= SEGMENT_CHARS) seal(false);
    }
    seal(true);
    let next: SpoolState = { ...state, nextId, nextSegment, ended, sealedUs };
    if (all) next = { ...next, allUs: state.recordedUs };
    let bytes = this.#bytes;
    let count = this.#segments;
    transaction(this.#database, () => {
      const removed = this.#removeAcknowledged();
      bytes -= removed.bytes;
      count -= removed.segments;
      segments.forEach(({ ended, body }, i) => {
        this.#insert.run(state.nextSegment + i, ended, body);
        bytes += body.length;
        count++;
      });
      for (const image of images) this.#keepOpen(image);
      const dropped = this.#drop(bytes - this.#maxBytes);
      bytes -= dropped.bytes;
      count -= dropped.segments;
      next = {
        ...next,
        droppedSegments: next.droppedSegments + dropped.segments,
        droppedPrograms: next.droppedPrograms + dropped.programs,
      };
      storeState(this.#save, next);
    });
    this.#state = next;
    this.#bytes = bytes;
    this.#segments = count;
  }

  /** Remembers what runs, for a later run. */
  #keepOpen(image: Image): void {
    const { id, pid, startTicks, startNs, process, flags, stored, ended } = image;
    if (ended !== ENDED.RUNNING) {
      if (stored !== "no") this.#close.run(id);
      return;
    }
    const startUs = this.#tools.wallUs(startNs);
    this.#open.run(
      id,
      pid,
      startTicks ?? null,
      startUs,
      toStored(process?.comm),
      toStored(process?.exe),
      flags,
    );
  }

  #removeAcknowledged(): { readonly segments: number; readonly bytes: number } {
    if (this.#acknowledged === 0) return { segments: 0, bytes: 0 };
    const { bytes } = this.#database.prepare(
      "SELECT coalesce(sum(length(body)), 0) AS bytes FROM segment WHERE id <= ?",
    ).get(this.#acknowledged)!;
    const { changes } = this.#database.prepare("DELETE FROM segment WHERE id <= ?").run(this.#acknowledged);
    return { segments: Number(changes), bytes: Number(bytes) };
  }

  /** Drops the oldest segments until this many bytes are free, but not the one that is on its way. */
  #drop(excess: number): { readonly segments: number; readonly bytes: number; readonly programs: number } {
    let segments = 0;
    let bytes = 0;
    let programs = 0;
    if (excess <= 0) return { segments, bytes, programs };
    const remove = this.#database.prepare("DELETE FROM segment WHERE id = ?");
    const oldest = this.#database.prepare(
      "SELECT id, ended, length(body) AS bytes FROM segment WHERE id > ? ORDER BY id",
    ).all(this.#sending);
    // The latest stays, however large it is.
    for (const { id, ended, bytes: its } of oldest.slice(0, -1)) {
      if (bytes >= excess) break;
      remove.run(id!);
      segments++;
      bytes += Number(its);
      programs += Number(ended);
    }
    return { segments, bytes, programs };
  }

  #begin(before: SpoolState | undefined): SpoolState {
    const { machine, recorder, startedUs } = this.#tools;
    const own = {
      bootId: machine.bootId,
      pid: recorder.pid,
      startTicks: recorder.startTicks,
      stoppedUs: null,
    };
    if (before === undefined) {
      return {
        ...own,
        spool: process.getBuiltinModule("node:crypto").randomBytes(16).toString("hex"),
        beganUs: startedUs,
        recordedUs: startedUs,
        sealedUs: startedUs,
        allUs: startedUs,
        nextId: 1,
        nextSegment: 1,
        ended: 0,
        droppedSegments: 0,
        droppedPrograms: 0,
      };
    }
    const reason = before.bootId === machine.bootId ? "off" : "down";
    const toUs = Math.max(startedUs, before.recordedUs);
    this.#gaps.push({ fromUs: before.recordedUs, toUs, reason });
    return { ...before, ...own };
  }

  /** Refuses a second shipper: the first one still lives. */
  #checkAlone({ bootId, pid, startTicks, stoppedUs }: SpoolState): void {
    if (stoppedUs !== null || bootId !== this.#tools.machine.bootId) return;
    if (this.#tools.startTicksOf(pid) !== startTicks) return;
    throw new HistoryError(`Cannot ${this.#action}: process ${pid} already does; stop it first`);
  }

  #openImages(): OpenImage[] {
    return this.#database.prepare("SELECT * FROM open").all().map((row) =>
      openImageOf(row, this.#tools.monotonicNs)
    );
  }
}
