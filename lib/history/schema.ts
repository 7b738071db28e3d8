import { HistoryError } from "./history_error.ts";
import type { Database } from "./sqlite.ts";
import { TALLY } from "./tally.ts";

/** The version of the schema, as `PRAGMA user_version`. A reader refuses a later one. */
const SCHEMA_VERSION = 2;
/** `cnct`: what the file is, as `PRAGMA application_id`. */
const APPLICATION_ID = 0x636e6374;

/** How a row of `image` ended. What is at most UNKNOWN has no end that was seen. */
export const ENDED: {
  /** It runs, or ran when the recorder stopped. */
  readonly RUNNING: 0;
  /** It ended while nobody looked; `end_us` is when it was first missed. */
  readonly UNKNOWN: 1;
  /** It exited. */
  readonly EXIT: 2;
  /** Its process executed another program. */
  readonly EXEC: 3;
} = { RUNNING: 0, UNKNOWN: 1, EXIT: 2, EXEC: 3 };

/** What `flags` of a row says, as bits. */
export const FLAG: {
  /** It was there before the recorder looked: its start is as /proc has it, or unknown. */
  readonly EXISTED: 1;
  /** The command line is cut. */
  readonly ARGV_CUT: 2;
  /** It is a kernel thread. */
  readonly KERNEL_THREAD: 4;
  /** It never executed a program: it is a copy of its parent. */
  readonly FORKED: 8;
} = { EXISTED: 1, ARGV_CUT: 2, KERNEL_THREAD: 4, FORKED: 8 };

/**
 * A row of `image` is a program that a process ran: from the exec (or the fork, if nothing is executed within a second)
 * to the next exec or the exit. Times are microseconds since 1970, which JavaScript's numbers and SQLite's date functions
 * hold exactly; a duration is measured by the monotonic clock. Texts that repeat are kept once, in `text`. Partial
 * indexes hold what is rare and asked for: failures, long runs, much CPU time, no end.
 */
const TABLES = `
CREATE TABLE host(id INTEGER PRIMARY KEY, machine_id TEXT UNIQUE, name ANY) STRICT;
CREATE TABLE boot(
  id INTEGER PRIMARY KEY, host INTEGER NOT NULL REFERENCES host, boot_id TEXT, kernel ANY,
  UNIQUE(host, boot_id)
) STRICT;
CREATE TABLE run(
  id INTEGER PRIMARY KEY, boot INTEGER NOT NULL REFERENCES boot,
  pid INTEGER NOT NULL, start_ticks INTEGER NOT NULL, version TEXT,
  started_us INTEGER NOT NULL, recorded_us INTEGER NOT NULL, stopped_us INTEGER
) STRICT;
CREATE TABLE text(id INTEGER PRIMARY KEY, value ANY NOT NULL UNIQUE, used_us INTEGER NOT NULL) STRICT;
CREATE TABLE account(
  host INTEGER NOT NULL REFERENCES host, uid INTEGER NOT NULL, name ANY NOT NULL, PRIMARY KEY(host, uid)
) STRICT, WITHOUT ROWID;
CREATE TABLE image(
  id INTEGER PRIMARY KEY, host INTEGER NOT NULL, run INTEGER NOT NULL, parent INTEGER, parent_comm INTEGER,
  pid INTEGER NOT NULL, ppid INTEGER, start_ticks INTEGER,
  start_us INTEGER NOT NULL, end_us INTEGER, duration_us INTEGER, ended INTEGER NOT NULL, status INTEGER,
  comm INTEGER, argv TEXT, exe INTEGER, cwd INTEGER, cgroup INTEGER,
  uid INTEGER, login_uid INTEGER, session INTEGER, flags INTEGER NOT NULL,
  cpu_us INTEGER, rss_kib INTEGER, read_bytes INTEGER, write_bytes INTEGER
) STRICT;
CREATE TABLE gap(
  id INTEGER PRIMARY KEY, host INTEGER NOT NULL, run INTEGER NOT NULL,
  from_us INTEGER NOT NULL, to_us INTEGER NOT NULL, lost INTEGER, reason TEXT NOT NULL
) STRICT;
CREATE INDEX image_start ON image(start_us);
CREATE INDEX image_comm ON image(comm, start_us);
CREATE INDEX image_exe ON image(exe, start_us);
CREATE INDEX image_uid ON image(uid, start_us);
CREATE INDEX image_parent ON image(parent);
CREATE INDEX image_pid ON image(pid, start_us);
CREATE INDEX image_failed ON image(start_us, comm, parent_comm, uid, cgroup) WHERE status <> 0;
CREATE INDEX image_long ON image(duration_us, start_us) WHERE duration_us >= 1000000;
CREATE INDEX image_cpu ON image(cpu_us, start_us) WHERE cpu_us >= 100000;
CREATE INDEX image_no_end ON image(start_us) WHERE ended <= 1;
CREATE INDEX gap_to ON gap(to_us);
`;

/** What a collector adds: whose segments it has, which ids it gave them, and how far it is. */
export const FLEET_TABLES = `
CREATE TABLE collector(
  id INTEGER PRIMARY KEY CHECK (id = 1), boot_id TEXT NOT NULL, pid INTEGER NOT NULL, start_ticks INTEGER NOT NULL,
  created TEXT, sequence INTEGER NOT NULL
) STRICT;
CREATE TABLE source(
  id INTEGER PRIMARY KEY, host INTEGER NOT NULL REFERENCES host, spool TEXT NOT NULL, segment INTEGER NOT NULL,
  ended INTEGER NOT NULL, recorded_us INTEGER NOT NULL, run INTEGER, run_started_us INTEGER, UNIQUE(host, spool)
) STRICT;
CREATE TABLE block(
  source INTEGER NOT NULL, number INTEGER NOT NULL, base INTEGER NOT NULL, PRIMARY KEY(source, number)
) STRICT, WITHOUT ROWID;
CREATE INDEX image_host ON image(host, start_us);
CREATE INDEX image_running ON image(host) WHERE ended = 0;
`;

/** Whether a collector fills a database. */
export function hasFleetTables(database: Database): boolean {
  return database.prepare("SELECT 1 FROM sqlite_schema WHERE name = 'collector'").get() !== undefined;
}

/** For people and \`--sql\`: names instead of numbers. */
const VIEW = `
CREATE VIEW process AS SELECT
  image.id, host.name AS host, image.pid, image.ppid, image.parent,
  datetime(start_us / 1000000, 'unixepoch', 'localtime') AS started, start_us, end_us, duration_us,
  (SELECT value FROM text WHERE id = image.comm) AS comm,
  (SELECT value FROM text WHERE id = image.parent_comm) AS parent_comm,
  argv,
  (SELECT value FROM text WHERE id = image.exe) AS exe,
  (SELECT value FROM text WHERE id = image.cwd) AS cwd,
  (SELECT value FROM text WHERE id = image.cgroup) AS cgroup,
  image.uid, (SELECT name FROM account WHERE host = image.host AND uid = image.uid) AS user, login_uid, session,
  CASE ended WHEN 0 THEN 'running' WHEN 1 THEN 'unknown' WHEN 2 THEN 'exit' ELSE 'exec' END AS ended,
  CASE WHEN status & 127 = 0 THEN status >> 8 END AS exit_code,
  CASE WHEN status & 127 <> 0 THEN status & 127 END AS signal,
  status & 128 <> 0 AS core_dumped,
  cpu_us, rss_kib, read_bytes, write_bytes
FROM image LEFT JOIN host ON host.id = image.host;
`;

/** Makes the tables of an empty database, or checks those of one that is not. */
export function prepareSchema(database: Database, action: string): void {
  if (isEmpty(database)) {
    // To be chosen before the first table: pages that rotation has freed go back to the file system.
    database.exec("PRAGMA auto_vacuum = INCREMENTAL");
    database.exec("PRAGMA journal_mode = WAL");
    // If two recorders have come as far, the second one waits here and then finds the tables.
    database.exec("BEGIN IMMEDIATE");
    if (isEmpty(database)) database.exec(TABLES + TALLY + VIEW + VERSIONS);
    database.exec("COMMIT");
  }
  checkSchema(database, action);
}

const VERSIONS = `PRAGMA application_id = ${APPLICATION_ID}; PRAGMA user_version = ${SCHEMA_VERSION};`;

/**
 * Checks that a database is a history of this version.
 *
 * @throws {HistoryError} If not.
 */
export function checkSchema(database: Database, action: string): void {
  if (pragma(database, "application_id") !== APPLICATION_ID) {
    throw new HistoryError(`Cannot ${action}: it is a database, but not one of cnctl record`);
  }
  const version = pragma(database, "user_version");
  if (version === SCHEMA_VERSION) return;
  throw new HistoryError(
    `Cannot ${action}: it is of version ${version}, and this program knows ${SCHEMA_VERSION}: ` +
      (version > SCHEMA_VERSION ? "update it" : "record into another file"),
  );
}

function isEmpty(database: Database): boolean {
  return pragma(database, "schema_version") === 0;
}

/** A setting of the database that is a number. */
export function pragma(database: Database, name: string): number {
  return Number(Object.values(database.prepare(`PRAGMA ${name}`).get() ?? {})[0]);
}
