import type { StatementSync } from "node:sqlite";
import { HistoryError } from "../history/history_error.ts";
import { openWritable } from "../history/open_writable.ts";
import { removeTexts, rotate, type Rotation } from "../history/rotation.ts";
import { ImageTable } from "../history/rows.ts";
import { ENDED, FLEET_TABLES, hasFleetTables, prepareSchema } from "../history/schema.ts";
import { type Database, explained, toStored, transaction } from "../history/sqlite.ts";
import { Texts } from "../history/texts.ts";
import type { Segment, SegmentRow } from "./segment.ts";

/** Ids are given to a spool in blocks: the rows of a machine lie together, and no row needs a look to find its id. */
const BLOCK = 4096;
/** Blocks that are remembered of each spool. */
const MOST_BLOCKS = 64;
const TEXTS_US = 3_600_000_000;

/** Where in the stream a collector is. */
export interface Position {
  /** When the stream was made: another one begins anew. */
  readonly created: string;
  /** The last message of it whose segment is in the database. */
  readonly sequence: number;
}

/** The process that collects. */
export interface CollectorProcess {
  readonly bootId: string;
  readonly pid: number;
  readonly startTicks: number;
}

/** A spool whose segments are in the database. */
interface Source {
  readonly id: number;
  readonly host: number;
  /** The last segment that is in the database. */
  segment: number;
  /** Programs that have ended in all segments up to it. */
  ended: number;
  recordedUs: number;
  run: number | null;
  runStartedUs: number | null;
  readonly blocks: Map<number, number>;
  readonly users: Map<number, string>;
}

/** A segment with the machine that has sent it, as the server knows it. */
export interface Delivery {
  readonly host: string;
  readonly segment: Segment;
}

/** Counters of what was collected. */
export interface CollectedCounts {
  segments: number;
  rows: number;
  /** Segments that were in the database already. */
  repeated: number;
  /** Programs that did not arrive. */
  undelivered: number;
}

/** The history of many machines. Segments that are in it, and where in the stream it is, change together. */
export class FleetDatabase implements Disposable {
  readonly #database: Database;
  readonly #action: string;
  readonly #rotation: Rotation;
  readonly #texts: Texts;
  readonly #images: ImageTable;
  readonly #gap: StatementSync;
  readonly #account: StatementSync;
  readonly #findBlock: StatementSync;
  readonly #addBlock: StatementSync;
  readonly #saveSource: StatementSync;
  readonly #recorded: StatementSync;
  readonly #sources = new Map<string, Source>();
  readonly counts: CollectedCounts = { segments: 0, rows: 0, repeated: 0, undelivered: 0 };
  #nextBlock: number;
  #textsUs = 0;

  /**
   * Opens or makes it.
   *
   * @throws {HistoryError} If it is something else, of another version, or another collector fills it.
   */
  constructor(
    path: string,
    rotation: Rotation,
    own: CollectorProcess,
    startTicksOf: (pid: number) => number | undefined,
  ) {
    this.#action = `collect into ${path}`;
    this.#rotation = rotation;
    const database = this.#database = openWritable(path, this.#action);
    try {
      prepareSchema(database, this.#action);
      // What a crash of this machine takes with it is in the stream: only a checkpoint need wait for the disk.
      database.exec("PRAGMA synchronous = NORMAL");
      transaction(database, () => this.#prepare(own, startTicksOf));
      this.#texts = new Texts(database);
      this.#images = new ImageTable(database, this.#texts);
      this.#gap = database.prepare(
        "INSERT INTO gap(host, run, from_us, to_us, lost, reason) VALUES (?,?,?,?,?,?)",
      );
      this.#account = database.prepare("INSERT OR REPLACE INTO account(host, uid, name) VALUES (?,?,?)");
      this.#findBlock = database.prepare("SELECT base FROM block WHERE source = ? AND number = ?");
      this.#addBlock = database.prepare("INSERT INTO block(source, number, base) VALUES (?,?,?)");
      this.#saveSource = database.prepare(
        "UPDATE source SET segment = ?, ended = ?, recorded_us = ?, run = ?, run_started_us = ? WHERE id = ?",
      );
      this.#recorded = database.prepare("UPDATE run SET recorded_us = ? WHERE id = ?");
      this.#nextBlock = BLOCK + Number(database.prepare("SELECT max(base) AS base FROM block").get()!.base);
    } catch (error) {
      database.close();
      throw explained(error, this.#action);
    }
  }

  /** Where in the stream it is; undefined at first. */
  position(): Position | undefined {
    const row = this.#database.prepare("SELECT created, sequence FROM collector").get();
    if (row === undefined || row.created === null) return undefined;
    return { created: String(row.created), sequence: Number(row.sequence) };
  }

  /**
   * Takes segments in, all or none, in the order of the stream.
   *
   * @throws {HistoryError} If it cannot be written: nothing has happened.
   */
  apply(deliveries: readonly Delivery[], position: Position): void {
    const before = { ...this.counts };
    try {
      transaction(this.#database, () => {
        for (const { host, segment } of deliveries) this.#apply(host, segment);
        this.#database.prepare("UPDATE collector SET created = ?, sequence = ?")
          .run(position.created, position.sequence);
      });
    } catch (error) {
      Object.assign(this.counts, before);
      this.#sources.clear();
      this.#texts.forget();
      this.#nextBlock = BLOCK +
        Number(this.#database.prepare("SELECT max(base) AS base FROM block").get()!.base);
      throw explained(error, this.#action);
    }
  }

  /** Removes a part of what is too old or too much; returns whether there is more. */
  tidy(nowUs: number): boolean {
    try {
      const hasMore = rotate(this.#database, this.#rotation, nowUs);
      if (nowUs - this.#textsUs < TEXTS_US) return hasMore;
      this.#textsUs = nowUs;
      if (removeTexts(this.#database)) this.#texts.forget();
      return hasMore;
    } catch (error) {
      throw explained(error, this.#action);
    }
  }

  [Symbol.dispose](): void {
    if (this.#database.isOpen) this.#database.close();
  }

  #prepare(
    { bootId, pid, startTicks }: CollectorProcess,
    startTicksOf: (pid: number) => number | undefined,
  ): void {
    const database = this.#database;
    if (!hasFleetTables(database)) {
      if (database.prepare("SELECT 1 FROM run").get() !== undefined) {
        throw new HistoryError(`Cannot ${this.#action}: cnctl record writes it; collect into another file`);
      }
      database.exec(FLEET_TABLES);
    }
    const before = database.prepare("SELECT boot_id, pid, start_ticks FROM collector").get();
    if (
      before?.boot_id === bootId && before.pid !== pid &&
      startTicksOf(Number(before.pid)) === before.start_ticks
    ) {
      throw new HistoryError(`Cannot ${this.#action}: process ${before.pid} already does; stop it first`);
    }
    if (before === undefined) {
      database.prepare("INSERT INTO collector VALUES (1,?,?,?,NULL,0)").run(bootId, pid, startTicks);
    } else {
      database.prepare("UPDATE collector SET boot_id = ?, pid = ?, start_ticks = ?").run(
        bootId,
        pid,
        startTicks,
      );
    }
  }

  #apply(hostName: string, segment: Segment): void {
    const source = this.#source(hostName, segment);
    if (segment.segment <= source.segment) {
      this.counts.repeated++;
      return;
    }
    const run = this.#runOf(source, segment);
    if (segment.segment > source.segment + 1) {
      const lost = Math.max(0, segment.endedBefore - source.ended);
      const fromUs = source.segment === 0 ? segment.beganUs : source.recordedUs;
      this.#gap.run(source.host, run, fromUs, Math.max(fromUs, segment.sinceUs), lost, "undelivered");
      this.counts.undelivered += lost;
    }
    for (const { fromUs, toUs, lost, reason } of segment.gaps) {
      this.#gap.run(source.host, run, fromUs, toUs, lost ?? null, reason);
    }
    let ended = 0;
    for (const row of segment.rows) {
      this.#writeRow(source, run, row, segment.recordedUs);
      if (row.ended !== ENDED.RUNNING) ended++;
    }
    if (segment.running !== undefined) this.#closeOthers(source, segment);
    source.segment = segment.segment;
    source.ended = segment.endedBefore + ended;
    source.recordedUs = segment.recordedUs;
    this.#recorded.run(segment.recordedUs, run);
    this.#saveSource.run(
      source.segment,
      source.ended,
      source.recordedUs,
      run,
      source.runStartedUs,
      source.id,
    );
    this.counts.segments++;
    this.counts.rows += segment.rows.length;
  }

  #writeRow(source: Source, run: number, row: SegmentRow, nowUs: number): void {
    const its = {
      ...row,
      id: this.#rowId(source, row.id),
      parent: row.parent === undefined ? undefined : this.#rowId(source, row.parent),
    };
    if (row.uid !== undefined && row.user !== undefined && source.users.get(row.uid) !== row.user) {
      source.users.set(row.uid, row.user);
      this.#account.run(source.host, row.uid, toStored(row.user)!);
    }
    if (row.endOnly ? this.#images.end(its) : this.#images.change(its, nowUs)) return;
    this.#images.insert(source.host, run, its, nowUs);
  }

  /** Closes what does not run any more, but whose end did not arrive. */
  #closeOthers(source: Source, { running, boot, recordedUs }: Segment): void {
    const ids = new Set(running!.map((id) => this.#rowId(source, id)));
    const close = this.#database.prepare(
      `UPDATE image SET ended = ${ENDED.UNKNOWN}, end_us = max(start_us, ?) WHERE id = ?`,
    );
    const open = this.#database.prepare(
      `SELECT image.id, boot.boot_id AS bootId FROM image INDEXED BY image_running
       JOIN run ON run.id = image.run JOIN boot ON boot.id = run.boot
       WHERE image.host = ? AND ended = ${ENDED.RUNNING}`,
    ).all(source.host);
    for (const { id, bootId } of open) {
      if (ids.has(Number(id))) continue;
      // What ran before the machine was started anew had ended by then.
      close.run(bootId === boot.id ? recordedUs : boot.bootedUs, id!);
    }
  }

  #rowId(source: Source, id: number): number {
    const number = Math.floor(id / BLOCK);
    let base = source.blocks.get(number);
    if (base === undefined) {
      const found = this.#findBlock.get(source.id, number);
      if (found === undefined) {
        base = this.#nextBlock;
        this.#nextBlock += BLOCK;
        this.#addBlock.run(source.id, number, base);
      } else base = Number(found.base);
      if (source.blocks.size >= MOST_BLOCKS) source.blocks.clear();
      source.blocks.set(number, base);
    }
    return base + id % BLOCK;
  }

  #source(hostName: string, { spool }: Segment): Source {
    const key = `${hostName}\n${spool}`;
    const known = this.#sources.get(key);
    if (known !== undefined) return known;
    const host = this.#hostId(hostName);
    const find = this.#database.prepare(
      "SELECT id, segment, ended, recorded_us, run, run_started_us FROM source WHERE host = ? AND spool = ?",
    );
    if (find.get(host, spool) === undefined) {
      this.#database.prepare(
        "INSERT INTO source(host, spool, segment, ended, recorded_us) VALUES (?,?,0,0,0)",
      )
        .run(host, spool);
    }
    const row = find.get(host, spool)!;
    const source: Source = {
      id: Number(row.id),
      host,
      segment: Number(row.segment),
      ended: Number(row.ended),
      recordedUs: Number(row.recorded_us),
      run: row.run === null ? null : Number(row.run),
      runStartedUs: row.run_started_us === null ? null : Number(row.run_started_us),
      blocks: new Map(),
      users: new Map(),
    };
    this.#sources.set(key, source);
    return source;
  }

  #hostId(name: string): number {
    // Not the machine-id, which a machine could claim, but what the server lets it publish as.
    const key = `host ${name}`;
    const found = this.#database.prepare("SELECT id FROM host WHERE machine_id = ?").get(key);
    if (found !== undefined) return Number(found.id);
    const insert = this.#database.prepare("INSERT INTO host(machine_id, name) VALUES (?, ?)");
    return Number(insert.run(key, toStored(name)).lastInsertRowid);
  }

  #runOf(source: Source, { run, boot }: Segment): number {
    if (source.run !== null && source.runStartedUs === run.startedUs) return source.run;
    const { pid, startTicks, version, startedUs } = run;
    const insert = this.#database.prepare(
      "INSERT INTO run(boot, pid, start_ticks, version, started_us, recorded_us) VALUES (?,?,?,?,?,?)",
    );
    const bootId = this.#bootId(source.host, boot);
    source.run = Number(insert.run(bootId, pid, startTicks, version, startedUs, startedUs).lastInsertRowid);
    source.runStartedUs = startedUs;
    return source.run;
  }

  #bootId(host: number, { id, kernel }: Segment["boot"]): number {
    const found = this.#database.prepare("SELECT id FROM boot WHERE host = ? AND boot_id = ?").get(host, id);
    if (found !== undefined) return Number(found.id);
    const insert = this.#database.prepare("INSERT INTO boot(host, boot_id, kernel) VALUES (?, ?, ?)");
    return Number(insert.run(host, id, toStored(kernel)).lastInsertRowid);
  }
}
