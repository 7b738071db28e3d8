import type { HistoryCount } from "./history.ts";
import type { HistoryCountBy, HistoryQuery } from "./history_query.ts";
import { conditionsOf, hostIds, rangeOf, type Sql } from "./query.ts";
import { type Database, fromStored } from "./sqlite.ts";
import { TALLIED, TALLY_NULL, TALLY_US } from "./tally.ts";

const COLUMNS: Readonly<Record<HistoryCountBy, string>> = {
  program: "comm",
  user: "uid",
  parent: "parent_comm",
  cgroup: "cgroup",
};

/** Sums for one value of a column. */
interface Sum {
  count: number;
  failed: number;
}

/** Counts by a column; the most frequent first. */
export function countRows(database: Database, by: HistoryCountBy, query: HistoryQuery): HistoryCount[] {
  const column = COLUMNS[by];
  const sums = new Map<number | null, Sum>();
  for (const { text, values } of selectCounts(database, column, query)) {
    for (const { value, count, failed } of database.prepare(text).all(...values)) {
      const key = value === null || value === TALLY_NULL ? null : Number(value);
      const sum = sums.get(key) ?? { count: 0, failed: 0 };
      sum.count += Number(query.failed === true ? failed : count);
      sum.failed += Number(failed);
      if (sum.count > 0) sums.set(key, sum);
    }
  }
  const nameOf = by === "user" ? userNames(database) : textOf(database);
  return [...sums].map(([value, sum]) => ({ name: value === null ? undefined : nameOf(value), ...sum }))
    .sort((a, b) => b.count - a.count);
}

/** What gives `value`, `count` and `failed`; a value may come several times. */
export function selectCounts(database: Database, column: string, query: HistoryQuery): Sql[] {
  const { failed, host, sinceMs: _since, untilMs: _until, orderBy: _orderBy, limit: _limit, ...rest } = query;
  const range = rangeOf(query);
  if (Object.values(rest).some((value) => value !== undefined)) {
    return [
      ofRows(column, failed === true ? "INDEXED BY image_failed" : "", range, conditionsOf(database, query)),
    ];
  }
  const hosts: readonly Sql[] = host === undefined
    ? []
    : [{ text: `host IN (${hostIds(database, host).join()})`, values: [] }];
  const ofTime = (sinceUs: number, untilUs: number): Sql =>
    ofRows(column, "INDEXED BY image_start", [sinceUs, untilUs], hosts);
  const [sinceUs, untilUs] = range;
  const first = Math.ceil(sinceUs / TALLY_US);
  const end = Math.floor(untilUs / TALLY_US);
  if (first >= end) return [ofTime(sinceUs, untilUs)];
  // Whole hours, and the rows of what is left before and after them.
  const tally = select("tally", "value", "sum(count)", "sum(failed)", [
    { text: "dimension = ? AND hour >= ? AND hour < ?", values: [TALLIED.indexOf(column), first, end] },
    ...hosts,
  ]);
  return [tally, ofTime(sinceUs, first * TALLY_US), ofTime(end * TALLY_US, untilUs)];
}

function ofRows(
  column: string,
  index: string,
  [sinceUs, untilUs]: readonly [number, number],
  conditions: readonly Sql[],
): Sql {
  return select(`image ${index}`, column, "count(*)", "count(nullif(status, 0))", [
    { text: "start_us >= ? AND start_us < ?", values: [sinceUs, untilUs] },
    ...conditions,
  ]);
}

function select(from: string, value: string, count: string, failed: string, conditions: readonly Sql[]): Sql {
  const where = conditions.map(({ text }) => `(${text})`).join(" AND ");
  return {
    text:
      `SELECT ${value} AS value, ${count} AS count, ${failed} AS failed FROM ${from} WHERE ${where} GROUP BY 1`,
    values: conditions.flatMap(({ values }) => values),
  };
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
