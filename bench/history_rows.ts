/**
 * Writes a database of history with as many rows as a busy machine makes in some hours, to measure how long searches take.
 *
 *   bun bench/history_rows.ts FILE ROWS
 */
import process from "node:process";
import { DatabaseSync } from "node:sqlite";
import { fileURLToPath } from "node:url";
import { ENDED, prepareSchema } from "../lib/history/schema.ts";
import { TALLIED, TALLY_NULL, TALLY_US } from "../lib/history/tally.ts";

const PROGRAMS = 2000;
const USERS = 20;
const CGROUPS = 300;
/** Between the starts of two processes: 200 a second. */
const STEP_US = 5000;

/** Numbers below `count` out of `i`, the same in every run: with `skewed` a few are frequent, and most are rare. */
const uniform = (count: number, seed: number): string =>
  `((i * 48271 + ${seed * 7919}) % 2147483647 % ${count})`;
const skewed = (count: number, seed: number): string => {
  const share = `(${uniform(10_000, seed)} / 10000.0)`;
  return `CAST(${share} * ${share} * ${share} * ${count} AS INTEGER)`;
};

/** Writes so many rows, the last of which begins now. */
export function writeHistory(path: string, rows: number): void {
  using database = new DatabaseSync(path);
  prepareSchema(database, "write rows");
  database.exec("PRAGMA synchronous = OFF; PRAGMA cache_size = -500000; PRAGMA temp_store = MEMORY");
  // Made at the end, which takes less time.
  const later = database.prepare(
    "SELECT type, name, sql FROM sqlite_master WHERE type IN ('index', 'trigger') AND sql IS NOT NULL",
  )
    .all();
  for (const { type, name } of later) database.exec(`DROP ${type} ${name}`);
  const firstUs = Date.now() * 1000 - rows * STEP_US;
  const numbers = (count: number): string =>
    `WITH RECURSIVE n(i) AS (SELECT 0 UNION ALL SELECT i + 1 FROM n WHERE i < ${count - 1})`;
  database.exec(`BEGIN;
    INSERT INTO host VALUES (1, 'bench', 'bench');
    INSERT INTO boot VALUES (1, 1, 'bench', 'bench');
    INSERT INTO run VALUES (1, 1, 1, 1, 'bench', ${firstUs}, ${Date.now() * 1000}, ${Date.now() * 1000});
    ${numbers(USERS)} INSERT INTO account SELECT 1, i, iif(i = 0, 'root', 'user' || i) FROM n;
    ${numbers(PROGRAMS)} INSERT INTO text SELECT 1 + i, 'program-' || i, ${firstUs} FROM n;
    ${numbers(PROGRAMS)} INSERT INTO text SELECT 10001 + i, '/usr/bin/program-' || i, ${firstUs} FROM n;
    ${numbers(CGROUPS)} INSERT INTO text SELECT 20001 + i, '/system.slice/service-' || i, ${firstUs} FROM n;
    INSERT INTO text VALUES (30001, 'cron', ${firstUs}), (30002, '/usr/sbin/cron', ${firstUs});
    ${numbers(rows)}
    INSERT INTO image SELECT i + 1, 1, 1,
      iif(i < 50, iif(i = 0, NULL, 1), iif(i % 50 = 0, 1 + i % 49, 1 + i - i % 50)) AS parent, 1 + program / 2,
      1 + i % 4000000, 1, i, ${firstUs} + i * ${STEP_US}, ${firstUs} + i * ${STEP_US} + duration, duration,
      ${ENDED.EXIT}, iif(luck < 3, iif(luck = 0, 9, 256 * (1 + ${skewed(8, 1)})), 0),
      iif(i % 5000 = 0 AND i > 0, 30001, 1 + program), '["program","--input","/srv/data/' || (i % 1000) || '","--job=' || i || '"]',
      iif(i % 5000 = 0 AND i > 0, 30002, 10001 + program), 20001 + cgroup, 20001 + cgroup,
      ${skewed(USERS, 2)}, NULL, 1, 0, duration / 3, 1000 + program, 0, 0
    FROM (SELECT i, ${skewed(PROGRAMS, 3)} AS program, ${skewed(CGROUPS, 4)} AS cgroup, ${
    uniform(100, 5)
  } AS luck,
      iif(${uniform(20, 6)} = 0, ${skewed(100_000_000, 7)}, ${uniform(50_000, 8)}) AS duration FROM n);
    COMMIT`);
  for (const [dimension, column] of TALLIED.entries()) {
    database.exec(
      `INSERT INTO tally SELECT ${dimension}, start_us / ${TALLY_US}, ifnull(${column}, ${TALLY_NULL}), host, count(*),
       count(nullif(status, 0)) FROM image GROUP BY 2, 3, 4`,
    );
  }
  for (const { sql } of later) database.exec(String(sql));
  database.exec("PRAGMA wal_checkpoint(TRUNCATE)");
}

if (process.argv[1] === fileURLToPath(import.meta.url)) {
  const [path, rows] = process.argv.slice(2);
  writeHistory(path!, Number(rows));
}
