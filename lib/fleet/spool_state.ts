import type { StatementSync } from "node:sqlite";
import { HistoryError } from "../history/history_error.ts";
import { pragma } from "../history/schema.ts";
import { type Database, transaction } from "../history/sqlite.ts";

/** `cnsp`: what the file is, as `PRAGMA application_id`. */
const APPLICATION_ID = 0x636e7370;
const VERSION = 1;
const TABLES = `
CREATE TABLE state(
  id INTEGER PRIMARY KEY CHECK (id = 1), spool TEXT NOT NULL, began_us INTEGER NOT NULL,
  boot_id TEXT NOT NULL, pid INTEGER NOT NULL, start_ticks INTEGER NOT NULL, stopped_us INTEGER,
  recorded_us INTEGER NOT NULL, sealed_us INTEGER NOT NULL, all_us INTEGER NOT NULL,
  next_id INTEGER NOT NULL, next_segment INTEGER NOT NULL, ended INTEGER NOT NULL,
  dropped_segments INTEGER NOT NULL, dropped_programs INTEGER NOT NULL
) STRICT;
CREATE TABLE open(
  id INTEGER PRIMARY KEY, pid INTEGER NOT NULL, start_ticks INTEGER, start_us INTEGER NOT NULL,
  comm ANY, exe ANY, flags INTEGER NOT NULL
) STRICT;
CREATE TABLE segment(id INTEGER PRIMARY KEY, ended INTEGER NOT NULL, body BLOB NOT NULL) STRICT;
PRAGMA application_id = ${APPLICATION_ID}; PRAGMA user_version = ${VERSION};
`;

/** What a spool remembers. */
export interface SpoolState {
  readonly spool: string;
  readonly beganUs: number;
  readonly bootId: string;
  readonly pid: number;
  readonly startTicks: number;
  readonly stoppedUs: number | null;
  /** Up to when everything is recorded. */
  readonly recordedUs: number;
  /** The same of the last segment. */
  readonly sealedUs: number;
  /** When everything that ran was last in it. */
  readonly allUs: number;
  readonly nextId: number;
  readonly nextSegment: number;
  /** Programs that have ended in all segments. */
  readonly ended: number;
  readonly droppedSegments: number;
  readonly droppedPrograms: number;
}

/** The statement for {@linkcode storeState}. */
export const SAVE_STATE: string = `INSERT OR REPLACE INTO state VALUES (1,${"?,".repeat(13)}?)`;

/** The state of a spool; undefined if it is new. */
export function loadState(database: Database): SpoolState | undefined {
  return database.prepare(
    `SELECT spool, began_us AS beganUs, boot_id AS bootId, pid, start_ticks AS startTicks, stopped_us AS stoppedUs,
       recorded_us AS recordedUs, sealed_us AS sealedUs, all_us AS allUs, next_id AS nextId,
       next_segment AS nextSegment, ended, dropped_segments AS droppedSegments, dropped_programs AS droppedPrograms
       FROM state`,
  ).get() as SpoolState | undefined;
}

/** Writes the state of a spool. Within a transaction. */
export function storeState(save: StatementSync, state: SpoolState): void {
  save.run(
    state.spool,
    state.beganUs,
    state.bootId,
    state.pid,
    state.startTicks,
    state.stoppedUs,
    state.recordedUs,
    state.sealedUs,
    state.allUs,
    state.nextId,
    state.nextSegment,
    state.ended,
    state.droppedSegments,
    state.droppedPrograms,
  );
}

/** Makes the tables of an empty spool, or checks those of one that is not. */
export function prepareSpool(database: Database, action: string): void {
  if (pragma(database, "schema_version") === 0) {
    database.exec("PRAGMA auto_vacuum = INCREMENTAL; PRAGMA journal_mode = WAL");
    transaction(database, () => {
      if (pragma(database, "schema_version") === 0) database.exec(TABLES);
    });
  }
  if (pragma(database, "application_id") !== APPLICATION_ID) {
    throw new HistoryError(`Cannot ${action}: it is a database, but no spool of cnctl ship`);
  }
  const version = pragma(database, "user_version");
  if (version === VERSION) return;
  throw new HistoryError(
    `Cannot ${action}: it is of version ${version}, and this program knows ${VERSION}: ` +
      (version > VERSION ? "update it" : "use another file"),
  );
}
