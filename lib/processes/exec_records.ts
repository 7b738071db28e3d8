import type { Libc } from "../../ffi/libc.ts";
import type { ExecRecord } from "./exec_record.ts";
import { ExecRecorder } from "./exec_recorder.ts";

/** The most records that a consumer keeps: those of lost events are never taken. */
const MAX_RECORDS = 8192;

/** An attached program, and the consumers of its records. */
interface SharedRecorder {
  readonly recorder: ExecRecorder;
  readonly consumers: Set<ExecRecords>;
}

/** A record, and the next one of its process: hardly any has several. */
interface Waiting {
  readonly record: ExecRecord;
  next: Waiting | undefined;
}

/** One program serves all watches of this process. */
const recorders = new WeakMap<Libc, SharedRecorder>();

/**
 * The exec records of one watch, until their events are received. A record is in the ring before its event is in the
 * socket, so the record of a received exec is here.
 */
export class ExecRecords implements Disposable {
  readonly #libc: Libc;
  readonly #shared: SharedRecorder;
  readonly #wantsText: boolean;
  /** The oldest record of each process, in the order of their arrival. */
  readonly #byPid = new Map<number, Waiting>();
  #count = 0;

  private constructor(libc: Libc, shared: SharedRecorder, wantsText: boolean) {
    this.#wantsText = wantsText;
    this.#libc = libc;
    this.#shared = shared;
    shared.consumers.add(this);
  }

  /**
   * Attaches the program, or joins the watches that have it attached.
   *
   * @param action completes "Cannot …" in the errors.
   * @param wantsText Whether the path and the arguments are wanted. Records have them also if only another watch wants
   * them.
   * @throws As {@linkcode ExecRecorder.open}.
   */
  static open(libc: Libc, action: string, wantsText: boolean = true): ExecRecords {
    let shared = recorders.get(libc);
    if (shared === undefined) {
      shared = { recorder: ExecRecorder.open(libc, action), consumers: new Set() };
      recorders.set(libc, shared);
    }
    return new ExecRecords(libc, shared, wantsText);
  }

  /** Records for which the ring had no room, as far as gaps in the sequence of later ones show. */
  get dropped(): number {
    return this.#shared.recorder.dropped;
  }

  /** Reads new records from the ring. To be called before the records of a batch are taken. */
  read(): void {
    const { recorder, consumers } = this.#shared;
    let hasText = false;
    for (const consumer of consumers) hasText ||= consumer.#wantsText;
    recorder.read((record) => {
      for (const consumer of consumers) consumer.#add(record);
    }, hasText);
  }

  /** Forgets the records up to a time, because their events were lost. */
  discard(timestampNs: bigint): void {
    for (const pid of this.#byPid.keys()) this.take(pid, timestampNs);
  }

  /**
   * Takes the record of the exec whose event has `timestampNs`: the last one before that. Earlier ones of the same
   * process belong to lost events, and are dropped.
   */
  take(pid: number, timestampNs: bigint): ExecRecord | undefined {
    let waiting = this.#byPid.get(pid);
    let taken: ExecRecord | undefined;
    while (waiting !== undefined && waiting.record.timestampNs <= timestampNs) {
      taken = waiting.record;
      waiting = waiting.next;
      this.#count--;
    }
    if (taken === undefined) return undefined;
    if (waiting === undefined) this.#byPid.delete(pid);
    else this.#byPid.set(pid, waiting);
    return taken;
  }

  /** Stops using the program; the last watch detaches it. A second call does nothing. */
  [Symbol.dispose](): void {
    const { recorder, consumers } = this.#shared;
    if (!consumers.delete(this)) return;
    this.#byPid.clear();
    if (consumers.size > 0) return;
    recorders.delete(this.#libc);
    recorder[Symbol.dispose]();
  }

  #add(record: ExecRecord): void {
    const waiting: Waiting = { record, next: undefined };
    let last = this.#byPid.get(record.pid);
    if (last === undefined) {
      this.#byPid.set(record.pid, waiting);
    } else {
      while (last.next !== undefined) last = last.next;
      last.next = waiting;
    }
    if (++this.#count <= MAX_RECORDS) return;
    const [oldest] = this.#byPid.keys();
    for (let each = this.#byPid.get(oldest!); each !== undefined; each = each.next) this.#count--;
    this.#byPid.delete(oldest!);
  }
}
