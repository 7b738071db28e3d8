import type { HistoryCount } from "./history.ts";
import type { HistoryCountBy, HistoryQuery } from "./history_query.ts";
import { conditionsOf, rangeOf, type Sql } from "./query.ts";
import { type Database, fromStored } from "./sqlite.ts";

const COLUMNS: Readonly<Record<HistoryCountBy, string>> = {
  program: "comm",
  user: "uid",
  parent: "parent_comm",
  cgroup: "cgroup",
};
/** Of a longer range all entries of the index of the column are read, which needs no look at the rows. */
const SHORT_RANGE = 1 / 8;

/** Counts by a column; the most frequent first. */
export function countRows(database: Database, by: HistoryCountBy, query: HistoryQuery): HistoryCount[] {
  const column = COLUMNS[by];
  const conditions = conditionsOf(database, query);
  const [sinceUs, untilUs] = rangeOf(query);
  // Not even asked for, a time costs half of a look at an entry.
  const range: readonly Sql[] = query.sinceMs === undefined && query.untilMs === undefined
    ? []
    : [{ text: "start_us >= ? AND start_us < ?", values: [sinceUs, untilUs] }];
  const failures = counts(database, column, "INDEXED BY image_failed", [
    { text: "status <> 0", values: [] },
    ...range,
    ...conditions,
  ]);
  const all = query.failed === true
    ? failures
    : counts(database, column, indexFor(database, column, conditions, query), [...range, ...conditions]);
  const nameOf = by === "user" ? userNames(database) : textOf(database);
  return [...all].map(([value, count]) => ({
    name: value === null ? undefined : nameOf(value),
    count,
    failed: failures.get(value) ?? 0,
  })).sort((a, b) => b.count - a.count);
}

function counts(
  database: Database,
  column: string,
  index: string,
  conditions: readonly Sql[],
): Map<number | null, number> {
  const where = conditions.length === 0
    ? ""
    : `WHERE ${conditions.map(({ text }) => `(${text})`).join(" AND ")}`;
  const rows = database.prepare(
    `SELECT ${column} AS value, count(*) AS count FROM image ${index} ${where} GROUP BY ${column}`,
  ).all(...conditions.flatMap(({ values }) => values));
  return new Map(rows.map(({ value, count }) => [value === null ? null : Number(value), Number(count)]));
}

function indexFor(
  database: Database,
  column: string,
  conditions: readonly Sql[],
  query: HistoryQuery,
): string {
  if (conditions.length > 0) return "";
  const [sinceUs, untilUs] = rangeOf(query);
  const idAt = (order: string): number =>
    Number(
      database.prepare(
        `SELECT id FROM image INDEXED BY image_start WHERE start_us >= ? AND start_us < ? ORDER BY start_us ${order} LIMIT 1`,
      ).get(sinceUs, untilUs)?.id ?? 0,
    );
  const { first, last } = database.prepare(
    "SELECT (SELECT min(id) FROM image) AS first, (SELECT max(id) FROM image) AS last",
  ).get()!;
  const isShort = idAt("DESC") - idAt("ASC") < (Number(last) - Number(first)) * SHORT_RANGE;
  return `INDEXED BY ${isShort ? "image_start" : `image_${column}`}`;
}

function userNames(database: Database): (uid: number) => string {
  const rows = database.prepare("SELECT uid, name FROM account").all();
  const names = new Map(rows.map(({ uid, name }) => [Number(uid), fromStored(name)]));
  return (uid) => names.get(uid) ?? String(uid);
}

function textOf(database: Database): (id: number) => string | undefined {
  const statement = database.prepare("SELECT value FROM text WHERE id = ?");
  return (id) => fromStored(statement.get(id)?.value);
}
