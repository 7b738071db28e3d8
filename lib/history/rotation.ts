import { ENDED, pragma } from "./schema.ts";
import { type Database, transaction } from "./sqlite.ts";

/** How much is kept. */
export interface Rotation {
  /** Processes that started before are removed once they have ended, in microseconds. */
  readonly keepUs: number;
  /** The size of the file beyond which the oldest are removed, in bytes. */
  readonly maxBytes: number;
}

/** Rows that are removed in one transaction: some 50 ms. */
const ROWS = 2000;
/** Pages that are given back to the file system in one. */
const PAGES = 2000;
/** Texts that were used after the oldest row began are kept; the time of their use is known to an hour. */
const TEXT_MARGIN_US = 2 * 3_600_000_000;

/** Removes the oldest rows that are too many, a part of them, so that recording is not held up; returns whether there are more. */
export function rotate(database: Database, { keepUs, maxBytes }: Rotation, nowUs: number): boolean {
  const pageBytes = pragma(database, "page_size");
  const used = (pragma(database, "page_count") - pragma(database, "freelist_count")) * pageBytes;
  const oldestUs = Math.floor(nowUs - keepUs);
  let removed = 0;
  transaction(database, () => {
    const result = database.prepare(
      `DELETE FROM image WHERE id IN (SELECT id FROM image INDEXED BY image_start
       WHERE start_us < ? AND ended <> ${ENDED.RUNNING} ORDER BY start_us LIMIT ${ROWS})`,
    ).run(used > maxBytes ? nowUs : oldestUs);
    removed = Number(result.changes);
    if (removed > 0) {
      database.prepare("DELETE FROM gap WHERE to_us < ?").run(startOfRows(database) ?? oldestUs);
    }
  });
  // Each step gives one page back: Deno's exec() makes but one.
  if (removed > 0) database.prepare(`PRAGMA incremental_vacuum(${PAGES})`).all();
  return removed === ROWS;
}

/** Removes texts that nothing uses any more; returns whether there were any. */
export function removeTexts(database: Database): boolean {
  const oldestUs = startOfRows(database);
  if (oldestUs === undefined) return false;
  const used = ["comm", "parent_comm", "exe", "cwd", "cgroup"].map((column) =>
    `SELECT ${column} FROM image WHERE ended <= 1 AND ${column} IS NOT NULL`
  );
  const { changes } = database.prepare(
    `DELETE FROM text WHERE used_us < ? AND id NOT IN (${used.join(" UNION ")})`,
  ).run(oldestUs - TEXT_MARGIN_US);
  return Number(changes) > 0;
}

/** When the oldest program began that has ended. */
function startOfRows(database: Database): number | undefined {
  const row = database.prepare(
    `SELECT start_us AS us FROM image INDEXED BY image_start WHERE ended <> ${ENDED.RUNNING} ORDER BY start_us LIMIT 1`,
  ).get();
  return row === undefined ? undefined : Number(row.us);
}
