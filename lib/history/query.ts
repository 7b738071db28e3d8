import { globMatcher, isGlob } from "../processes/glob.ts";
import { HistoryError } from "./history_error.ts";
import type { HistoryQuery } from "./history_query.ts";
import { ENDED } from "./schema.ts";
import { type Database, fromStored } from "./sqlite.ts";

/** A part of a statement with its values. */
export interface Sql {
  readonly text: string;
  readonly values: readonly (string | number)[];
}

/** The longest list of values of an index that are looked up one by one. */
const MOST_LOOKUPS = 64;
/** Descendants that are collected; of more, each row is asked for its parents instead. */
const MOST_DESCENDANTS = 5000;
/** The kernel keeps 15 bytes of a name. */
const COMM_BYTES = 15;
/** Rows of the index `image_long` lasted so long. */
const LONG_US = 1_000_000;
/** Rows of the index `image_cpu` took so much. */
const MUCH_CPU_US = 100_000;

/** A condition on rows of `image`, and the values of an index that lead to its rows. */
interface Condition extends Sql {
  readonly lookups?: readonly (readonly [column: string, value: number])[];
}

/** Conditions that all must hold. */
export function conditionsOf(database: Database, query: HistoryQuery): Condition[] {
  const { failed, pids, users, names, exes, under, host } = query;
  const conditions: Condition[] = [];
  if (failed === true) conditions.push({ text: "status <> 0", values: [] });
  if (pids !== undefined) conditions.push(anyOf(pids.map((pid) => ["pid", pid] as const)));
  if (names !== undefined) conditions.push(anyOf(namedBy(database, names)));
  if (exes !== undefined) {
    const ids = textIds(database, exes.map((exe) => exe.includes("/") ? wholeTest(exe) : lastPartTest(exe)));
    conditions.push(anyOf(ids.map((id) => ["exe", id] as const)));
  }
  if (users !== undefined) {
    conditions.push(ofUsers(database, users));
  }
  if (host !== undefined) {
    const ids = hostIds(database, host).map((id) => ["host", id] as const);
    conditions.push({ ...anyOf(ids), lookups: [] });
  }
  if (under !== undefined) conditions.push(descendants(database, under, query));
  return conditions;
}

/** The machines of this name. */
export function hostIds(database: Database, host: string): number[] {
  return database.prepare("SELECT id, name FROM host").all()
    .filter(({ name }) => fromStored(name) === host).map(({ id }) => Number(id));
}

/** The ids of the rows that are wanted, in any order; more than the limit, from which the first are to be taken. */
export function selectIds(database: Database, query: HistoryQuery): Sql {
  const conditions = conditionsOf(database, query);
  const { orderBy = "start", limit } = query;
  if (orderBy !== "start") return selectMost(orderBy, conditions, query);
  const { lookups, rest } = chooseLookups(conditions, query);
  const [sinceUs, untilUs] = rangeOf(query);
  const inRange: Sql = {
    text: "start_us >= ? AND start_us < ?",
    values: [sinceUs, untilUs],
  };
  const newest = limit === undefined ? "" : ` ORDER BY start_us DESC LIMIT ${limit}`;
  const parts = lookups === undefined
    ? [select(query.failed === true ? "image INDEXED BY image_failed" : "image", [inRange, ...rest], newest)]
    : lookups.map(([column, value]) =>
      select("image", [{ text: `${column} = ?`, values: [value] }, inRange, ...rest], newest)
    );
  if (sinceUs > 0) parts.push(...runningAt(sinceUs, conditions, newest));
  return union(parts);
}

/** Those that began before a time and had not ended then. */
function runningAt(sinceUs: number, conditions: readonly Sql[], newest: string): Sql[] {
  return [
    select("image INDEXED BY image_long", [
      { text: `duration_us >= ${LONG_US}`, values: [] },
      { text: "start_us < ? AND start_us + duration_us >= ?", values: [sinceUs, sinceUs] },
      ...conditions,
    ], newest),
    select("image INDEXED BY image_no_end", [
      {
        text: `ended <= ${ENDED.UNKNOWN} AND start_us < ? AND (end_us IS NULL OR end_us >= ?)`,
        values: [sinceUs, sinceUs],
      },
      ...conditions,
    ], newest),
    select("image INDEXED BY image_start", [
      {
        text: "start_us >= ? AND start_us < ? AND end_us >= ?",
        values: [sinceUs - LONG_US, sinceUs, sinceUs],
      },
      ...conditions,
    ], newest),
  ];
}

/** The longest ones, or those with the most CPU time: of the index that has them, or of all if those are too few. */
function selectMost(orderBy: "duration" | "cpu", conditions: readonly Sql[], query: HistoryQuery): Sql {
  const [sinceUs, untilUs] = rangeOf(query);
  const column = orderBy === "duration" ? "duration_us" : "cpu_us";
  const indexed = orderBy === "duration"
    ? [`INDEXED BY image_long`, `duration_us >= ${LONG_US}`] as const
    : [`INDEXED BY image_cpu`, `cpu_us >= ${MUCH_CPU_US}`] as const;
  const range: Sql = { text: "start_us >= ? AND start_us < ?", values: [sinceUs, untilUs] };
  const most = ` ORDER BY ${column} DESC LIMIT ${query.limit ?? -1}`;
  const long = select(`image ${indexed[0]}`, [{ text: indexed[1], values: [] }, range, ...conditions], most);
  if (query.limit === undefined) {
    return select("image", [{ text: `${column} IS NOT NULL`, values: [] }, range, ...conditions], most);
  }
  return long;
}

/** When {@linkcode selectMost} has found too few: all others. */
export function selectLess(database: Database, query: HistoryQuery): Sql {
  const { orderBy, limit } = query;
  const column = orderBy === "duration" ? "duration_us" : "cpu_us";
  const [sinceUs, untilUs] = rangeOf(query);
  const conditions = conditionsOf(database, query);
  const range: Sql = {
    text: `${column} IS NOT NULL AND start_us >= ? AND start_us < ?`,
    values: [sinceUs, untilUs],
  };
  return select("image", [range, ...conditions], ` ORDER BY ${column} DESC LIMIT ${limit ?? -1}`);
}

/** The range of start times, in microseconds. */
export function rangeOf({ sinceMs, untilMs }: HistoryQuery): readonly [sinceUs: number, untilUs: number] {
  const us = (ms: number): number => Math.round(ms * 1000);
  return [
    sinceMs === undefined ? 0 : us(sinceMs),
    untilMs === undefined ? Number.MAX_SAFE_INTEGER : us(untilMs),
  ];
}

function select(from: string, conditions: readonly Sql[], end: string): Sql {
  const where = conditions.map(({ text }) => `(${text})`).join(" AND ");
  return {
    text: `SELECT id FROM ${from} WHERE ${where}${end}`,
    values: conditions.flatMap(({ values }) => values),
  };
}

function union(parts: readonly Sql[]): Sql {
  return {
    text: parts.map(({ text }) => `SELECT id FROM (${text})`).join(" UNION "),
    values: parts.flatMap(({ values }) => values),
  };
}

/**
 * The condition whose index is used, as values to look up, and the other ones. Failures are few and have an index of
 * their own.
 */
function chooseLookups(
  conditions: readonly Condition[],
  { failed }: HistoryQuery,
): { readonly lookups: Condition["lookups"]; readonly rest: readonly Sql[] } {
  if (failed === true) return { lookups: undefined, rest: conditions };
  const chosen = conditions.find(({ lookups }) =>
    lookups !== undefined && lookups.length > 0 && lookups.length <= MOST_LOOKUPS
  );
  if (chosen === undefined) return { lookups: undefined, rest: conditions };
  return { lookups: chosen.lookups, rest: conditions.filter((each) => each !== chosen) };
}

/** A condition that one of several columns has one of several values. */
function anyOf(lookups: readonly (readonly [column: string, value: number])[]): Condition {
  const columns = new Map<string, number[]>();
  for (const [column, value] of lookups) {
    const values = columns.get(column);
    if (values === undefined) columns.set(column, [value]);
    else values.push(value);
  }
  const parts = [...columns].map(([column, values]) => `${column} IN (${values.join()})`);
  // No row is like this; of a constant, SQLite would say that the index that is to be used does not help.
  return { text: parts.length === 0 ? "flags < 0" : parts.join(" OR "), values: [], lookups };
}

/** Columns and values of rows whose program goes by one of these names. */
function namedBy(database: Database, names: readonly string[]): (readonly [string, number])[] {
  const comm = textIds(database, names.map(commTest)).map((id) => ["comm", id] as const);
  const exe = textIds(database, names.map(lastPartTest)).map((id) => ["exe", id] as const);
  return [...comm, ...exe];
}

type TextTest = (text: string) => boolean;

/** Texts of which one test holds. There are few, however many rows there are. */
function textIds(database: Database, tests: readonly TextTest[]): number[] {
  const ids: number[] = [];
  for (const { id, value } of database.prepare("SELECT id, value FROM text").iterate()) {
    const text = fromStored(value)!;
    if (tests.some((holds) => holds(text))) ids.push(Number(id));
  }
  return ids;
}

function wholeTest(text: string): TextTest {
  return isGlob(text) ? globMatcher(text) : (value) => value === text;
}

function commTest(name: string): TextTest {
  if (isGlob(name)) return wholeTest(name);
  const kept = new TextDecoder().decode(new TextEncoder().encode(name).subarray(0, COMM_BYTES));
  return (value) => value === name || value === kept;
}

function lastPartTest(name: string): TextTest {
  const holds = wholeTest(name);
  return (path) => path.startsWith("/") && holds(path.slice(path.lastIndexOf("/") + 1));
}

/** The condition that a row is of one of these users. The same number may be another user on another machine. */
function ofUsers(database: Database, users: readonly (string | number)[]): Condition {
  const accounts = database.prepare("SELECT host, uid, name FROM account").all()
    .map(({ host, uid, name }) => ({ host: Number(host), uid: Number(uid), name: fromStored(name) }));
  const uids = new Set<number>();
  const elsewhere = new Map<number, number[]>();
  for (const user of users) {
    const known = accounts.filter(({ name }) => name === user);
    for (const { uid } of known) {
      const others = accounts.filter((account) => account.uid === uid && account.name !== user);
      if (others.length === 0) uids.add(uid);
      else elsewhere.set(uid, known.filter((account) => account.uid === uid).map(({ host }) => host));
    }
    if (known.length > 0) continue;
    if (typeof user === "string" && !/^\d+$/.test(user)) {
      throw new HistoryError(
        `Cannot search the history: no process of the user ${JSON.stringify(user)} is in it`,
      );
    }
    uids.add(Number(user));
  }
  const everywhere = anyOf([...uids].map((uid) => ["uid", uid] as const));
  if (elsewhere.size === 0) return everywhere;
  const parts = [...elsewhere].map(([uid, hosts]) => `(uid = ${uid} AND host IN (${hosts.join()}))`);
  return { text: [everywhere.text, ...parts].join(" OR "), values: [] };
}

/**
 * The condition that a row descends from a process, or from one of a name. Going down is fast if there are few, and going
 * up from each row if those are few that are looked at: the latest, or those of some time.
 */
function descendants(
  database: Database,
  under: number | string,
  { limit, sinceMs }: HistoryQuery,
): Condition {
  const root = typeof under === "number" ? anyOf([["pid", under]]) : anyOf(namedBy(database, [under]));
  const isRoot = (table: string): string => root.text.replace(/\b(pid|comm|exe) IN/g, `${table}.$1 IN`);
  const below = (most: string): string =>
    `WITH RECURSIVE below(id) AS (
       SELECT id FROM (SELECT id FROM image WHERE ${root.text}${most})
       UNION SELECT image.id FROM below JOIN image ON image.parent = below.id${most})
     SELECT image.id FROM below JOIN image USING (id) WHERE NOT (${isRoot("image")})`;
  if (limit === undefined && sinceMs === undefined) {
    return { text: `id IN (${below("")})`, values: [], lookups: [] };
  }
  const most = ` LIMIT ${MOST_DESCENDANTS}`;
  const found = database.prepare(below(most)).all().map(({ id }) => Number(id));
  if (found.length < MOST_DESCENDANTS / 2) {
    return { text: `id IN (${found.join()})`, values: [], lookups: [] };
  }
  return {
    text: `NOT (${root.text}) AND EXISTS (
      WITH RECURSIVE up(id) AS (
        SELECT image.parent UNION ALL SELECT above.parent FROM up JOIN image above ON above.id = up.id)
      SELECT 1 FROM up JOIN image above ON above.id = up.id WHERE ${isRoot("above")})`,
    values: [],
  };
}
