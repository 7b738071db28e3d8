import type { StatementSync } from "node:sqlite";
import { HistoryError } from "./history_error.ts";
import type { Image, ImageGap, OpenImage } from "./images.ts";
import type { Machine } from "./machine.ts";
import { openWritable } from "./open_writable.ts";
import type { ImageStore, StoreTools } from "./recorder.ts";
import { removeTexts, rotate, type Rotation } from "./rotation.ts";
import { ImageTable, openImageOf, rowOf } from "./rows.ts";
import { ENDED, hasFleetTables, prepareSchema } from "./schema.ts";
import { type Database, explained, toStored, transaction } from "./sqlite.ts";
import { Texts } from "./texts.ts";

/** How often texts that no row has any more are looked for. */
const TEXTS_US = 3_600_000_000;

/** The last run in the database, of this machine. */
interface LastRun {
  readonly id: number;
  readonly bootId: string;
  readonly pid: number;
  readonly startTicks: number;
  readonly recordedUs: number;
  readonly stoppedUs: number | null;
}

/** Writes a database of history: the only writer, as long as its process lives. */
export class HistoryWriter implements ImageStore {
  readonly #database: Database;
  readonly #tools: StoreTools;
  readonly #rotation: Rotation;
  readonly #action: string;
  readonly #texts: Texts;
  readonly #images: ImageTable;
  readonly #gap: StatementSync;
  readonly #recorded: StatementSync;
  readonly #account: StatementSync;
  readonly #accounts = new Set<number>();
  #host = 0;
  #run = 0;
  #textsUs: number;
  readonly wantsAll = false;
  /** What an earlier run of the same boot has left without an end. */
  readonly open: readonly OpenImage[];
  /** The first id that is free. */
  readonly nextId: number;

  /**
   * Opens or makes the database, and begins a run in it.
   *
   * @throws {HistoryError} If it is none, of another version, or another recorder writes it.
   */
  constructor(path: string, version: string, rotation: Rotation, tools: StoreTools) {
    this.#tools = tools;
    this.#rotation = rotation;
    this.#textsUs = tools.startedUs;
    this.#action = `record into ${path}`;
    const database = this.#database = openWritable(path, this.#action);
    try {
      prepareSchema(database, this.#action);
      if (hasFleetTables(database)) {
        throw new HistoryError(`Cannot ${this.#action}: cnctl collect fills it; record into another file`);
      }
      this.#texts = new Texts(database);
      this.#images = new ImageTable(database, this.#texts);
      this.#gap = database.prepare(
        "INSERT INTO gap(host, run, from_us, to_us, lost, reason) VALUES (?,?,?,?,?,?)",
      );
      this.#recorded = database.prepare("UPDATE run SET recorded_us = ? WHERE id = ?");
      this.#account = database.prepare("INSERT OR REPLACE INTO account(host, uid, name) VALUES (?,?,?)");
      let open: OpenImage[] = [];
      transaction(database, () => open = this.#begin(version));
      this.open = open;
      this.nextId = 1 + Number(database.prepare("SELECT max(id) AS id FROM image").get()!.id);
    } catch (error) {
      database.close();
      throw explained(error, this.#action);
    }
  }

  /**
   * Writes rows in one transaction: all or nothing.
   *
   * @param recordedUs Up to when everything that was received is in there.
   * @throws {HistoryError} If it cannot: nothing was written, and it may be tried again.
   */
  write(images: readonly Image[], gaps: readonly ImageGap[], recordedUs: number): void {
    try {
      transaction(this.#database, () => {
        for (const image of images) this.#writeImage(image, recordedUs);
        for (const { fromNs, toNs, lost, reason } of gaps) {
          const { wallUs } = this.#tools;
          this.#gap.run(this.#host, this.#run, wallUs(fromNs), wallUs(toNs), lost ?? null, reason);
        }
        this.#recorded.run(recordedUs, this.#run);
      });
    } catch (error) {
      this.#texts.forget();
      this.#accounts.clear();
      throw explained(error, this.#action);
    }
    for (const image of images) image.stored = "yes";
  }

  /** Removes a part of what is too old or too much; returns whether there is more. */
  tidy(nowUs: number): boolean {
    try {
      const hasMore = rotate(this.#database, this.#rotation, nowUs);
      if (nowUs - this.#textsUs >= TEXTS_US) {
        this.#textsUs = nowUs;
        if (removeTexts(this.#database)) this.#texts.forget();
      }
      return hasMore;
    } catch (error) {
      throw explained(error, this.#action);
    }
  }

  /** Notes that the recorder stopped. */
  finish(stoppedUs: number): void {
    this.#database.prepare("UPDATE run SET stopped_us = ? WHERE id = ?").run(stoppedUs, this.#run);
  }

  [Symbol.dispose](): void {
    this.#database.close();
  }

  #begin(version: string): OpenImage[] {
    const { machine, recorder, startedUs } = this.#tools;
    this.#host = this.#hostId(machine);
    const last = this.#lastRun();
    const sameBoot = last?.bootId === machine.bootId;
    if (last !== undefined) this.#checkAlone(last, sameBoot);
    const boot = this.#bootId(machine);
    const insert = this.#database.prepare(
      "INSERT INTO run(boot, pid, start_ticks, version, started_us, recorded_us) VALUES (?,?,?,?,?,?)",
    );
    const { pid, startTicks } = recorder;
    this.#run = Number(insert.run(boot, pid, startTicks, version, startedUs, startedUs).lastInsertRowid);
    if (last === undefined) return [];
    const toUs = Math.max(startedUs, last.recordedUs);
    this.#gap.run(this.#host, this.#run, last.recordedUs, toUs, null, sameBoot ? "off" : "down");
    if (sameBoot) return this.#openImages();
    // Whatever ran then has ended with the machine.
    this.#database.prepare(
      `UPDATE image SET ended = ${ENDED.UNKNOWN}, end_us = max(start_us, ?) WHERE ended <= ${ENDED.UNKNOWN} AND ended = ${ENDED.RUNNING} AND host = ?`,
    ).run(Math.max(last.recordedUs, machine.bootedUs), this.#host);
    return [];
  }

  /** Refuses a second recorder: the first one still lives. */
  #checkAlone({ pid, startTicks, stoppedUs }: LastRun, sameBoot: boolean): void {
    if (stoppedUs !== null || !sameBoot || this.#tools.startTicksOf(pid) !== startTicks) return;
    throw new HistoryError(`Cannot ${this.#action}: process ${pid} already does; stop it first`);
  }

  #lastRun(): LastRun | undefined {
    return this.#database.prepare(
      `SELECT run.id, boot_id AS bootId, pid, start_ticks AS startTicks, recorded_us AS recordedUs,
       stopped_us AS stoppedUs FROM run JOIN boot ON boot.id = run.boot WHERE boot.host = ? ORDER BY run.id DESC LIMIT 1`,
    ).get(this.#host) as LastRun | undefined;
  }

  #hostId({ machineId, name }: Machine): number {
    // Without a machine-id the name has to do.
    const key = machineId ?? `name ${name}`;
    const found = this.#database.prepare("SELECT id FROM host WHERE machine_id = ?").get(key);
    if (found !== undefined) return Number(found.id);
    const insert = this.#database.prepare("INSERT INTO host(machine_id, name) VALUES (?, ?)");
    return Number(insert.run(key, toStored(name)).lastInsertRowid);
  }

  #bootId({ bootId, kernel }: Machine): number {
    const found = this.#database.prepare("SELECT id FROM boot WHERE host = ? AND boot_id = ?")
      .get(this.#host, bootId);
    if (found !== undefined) return Number(found.id);
    const insert = this.#database.prepare("INSERT INTO boot(host, boot_id, kernel) VALUES (?, ?, ?)");
    return Number(insert.run(this.#host, bootId, toStored(kernel)).lastInsertRowid);
  }

  #openImages(): OpenImage[] {
    const rows = this.#database.prepare(
      `SELECT image.id, pid, start_ticks, start_us, flags, comm.value AS comm, exe.value AS exe FROM image
       LEFT JOIN text comm ON comm.id = image.comm LEFT JOIN text exe ON exe.id = image.exe
       WHERE ended <= ${ENDED.UNKNOWN} AND ended = ${ENDED.RUNNING} AND host = ?`,
    ).all(this.#host);
    return rows.map((row) => openImageOf(row, this.#tools.monotonicNs));
  }

  #writeImage(image: Image, nowUs: number): void {
    const row = rowOf(image, this.#tools.wallUs);
    if (image.stored === "yes") {
      this.#images.end(row);
      return;
    }
    if (row.uid !== undefined) this.#noteUser(row.uid);
    if (image.stored === "changed") this.#images.change(row, nowUs);
    else this.#images.insert(this.#host, this.#run, row, nowUs);
  }

  #noteUser(uid: number): void {
    if (this.#accounts.has(uid)) return;
    this.#accounts.add(uid);
    const name = this.#tools.users.get(uid);
    if (name !== undefined) this.#account.run(this.#host, uid, toStored(name)!);
  }
}
