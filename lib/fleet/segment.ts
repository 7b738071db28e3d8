import process from "node:process";
import type { GapReason } from "../history/images.ts";
import type { ImageRow } from "../history/rows.ts";
import { FleetError } from "./fleet_error.ts";

/** The version of the format. */
const VERSION = 1;
/** The fastest level: rows that resemble each other take 14 bytes each, and 15 at the default one. */
const LEVEL = 1;
/** More is no segment: a few bytes can be made to decompress to any number. */
const MOST_BYTES = 16 << 20;

/** A program as it is shipped. A row that comes again has all of the earlier one, but for `endOnly`. */
export interface SegmentRow extends ImageRow {
  /** The name of the user. */
  readonly user?: string | undefined;
  /** Only the end is new; what the program was has been sent before. */
  readonly endOnly?: boolean | undefined;
}

/** A time of which something is missing, in microseconds since 1970. */
export interface SegmentGap {
  readonly fromUs: number;
  readonly toUs: number;
  readonly lost?: number | undefined;
  readonly reason: GapReason;
}

/** What precedes the rows of a segment. */
export interface SegmentHeader {
  /** The spool that it is of: another one begins with the segment 1 again. */
  readonly spool: string;
  /** Its number, without holes from 1. */
  readonly segment: number;
  /** When the spool was made. */
  readonly beganUs: number;
  /** How many programs ended in all segments before this one: what a hole has lost. */
  readonly endedBefore: number;
  /** It has what was received after this time ... */
  readonly sinceUs: number;
  /** ... up to this one. */
  readonly recordedUs: number;
  readonly boot: { readonly id: string; readonly kernel: string; readonly bootedUs: number };
  readonly run: {
    readonly pid: number;
    readonly startTicks: number;
    readonly version: string;
    readonly startedUs: number;
  };
  readonly gaps: readonly SegmentGap[];
  /** If given, the ids of all that run at `recordedUs`; their rows are in this segment or in earlier ones. */
  readonly running?: readonly number[] | undefined;
}

/** What is published in one message: what a machine recorded in up to a second. */
export interface Segment extends SegmentHeader {
  readonly rows: readonly SegmentRow[];
}

/** Not loaded before it is needed, and without these functions in old versions of Node. */
function zlib(): typeof import("node:zlib") {
  return process.getBuiltinModule("node:zlib");
}

/** Makes the bytes of a segment: JSON, compressed by zstd. `rows` are rows as JSON. */
export function encodeSegment(header: SegmentHeader, rows: readonly string[]): Uint8Array {
  const start = JSON.stringify({ version: VERSION, ...header });
  const { constants, zstdCompressSync } = zlib();
  return zstdCompressSync(`${start.slice(0, -1)},"rows":[${rows.join(",\n")}]}\n`, {
    params: { [constants.ZSTD_c_compressionLevel]: LEVEL },
  });
}

/**
 * Reads a segment, which anybody may have made.
 *
 * @throws {FleetError} If it is none, or of a later version.
 */
export function decodeSegment(bytes: Uint8Array): Segment {
  let value: unknown;
  try {
    const text = zlib().zstdDecompressSync(bytes, { maxOutputLength: MOST_BYTES }).toString();
    value = JSON.parse(text);
  } catch (error) {
    throw new FleetError("it is no JSON compressed by zstd, or too long", { cause: error });
  }
  if (!isRecord(value)) throw new FleetError("it is no object");
  if (value.version !== VERSION) {
    throw new FleetError(
      `it is of version ${JSON.stringify(value.version)}, and this program knows ${VERSION}`,
    );
  }
  const wrong = wrongField(value, HEADER) ?? wrongIn(value.gaps, GAP, "gaps") ??
    wrongIn(value.rows, ROW, "rows");
  if (wrong !== undefined) throw new FleetError(`its field ${wrong} is wrong`);
  return value as unknown as Segment;
}

type Check = (value: unknown) => boolean;

const isRecord = (value: unknown): value is Record<string, unknown> =>
  typeof value === "object" && value !== null && !Array.isArray(value);
const natural: Check = (value) => Number.isSafeInteger(value) && (value as number) >= 0;
const integer: Check = (value) => Number.isSafeInteger(value);
const text: Check = (value) => typeof value === "string";
const texts: Check = (value) => Array.isArray(value) && value.every(text);
const numbers: Check = (value) => Array.isArray(value) && value.every(natural);
const optional = (check: Check): Check => (value) => value === undefined || check(value);
const fields = (checks: Readonly<Record<string, Check>>): Check => (value) =>
  isRecord(value) && wrongField(value, checks) === undefined;

const HEADER: Readonly<Record<string, Check>> = {
  spool: (value) => typeof value === "string" && /^[\da-f]{32}$/.test(value),
  segment: (value) => natural(value) && value !== 0,
  beganUs: natural,
  endedBefore: natural,
  sinceUs: natural,
  recordedUs: natural,
  boot: fields({ id: text, kernel: text, bootedUs: natural }),
  run: fields({ pid: natural, startTicks: natural, version: text, startedUs: natural }),
  running: optional(numbers),
};
const GAP: Readonly<Record<string, Check>> = {
  fromUs: natural,
  toUs: natural,
  lost: optional(natural),
  reason: text,
};
const ROW: Readonly<Record<string, Check>> = {
  id: natural,
  parent: optional(natural),
  parentComm: optional(text),
  pid: natural,
  ppid: optional(natural),
  startTicks: optional(integer),
  startUs: integer, // of a process that was there before a clock was set
  endUs: optional(integer),
  durationUs: optional(natural),
  ended: (value) => natural(value) && (value as number) <= 3,
  status: optional(natural),
  comm: optional(text),
  argv: optional(texts),
  exe: optional(text),
  cwd: optional(text),
  cgroup: optional(text),
  uid: optional(natural),
  user: optional(text),
  loginUid: optional(natural),
  session: optional(natural),
  flags: natural,
  cpuUs: optional(natural),
  rssKib: optional(natural),
  readBytes: optional(natural),
  writeBytes: optional(natural),
};

function wrongField(
  value: Record<string, unknown>,
  checks: Readonly<Record<string, Check>>,
): string | undefined {
  for (const name in checks) if (!checks[name]!(value[name])) return name;
  return undefined;
}

function wrongIn(value: unknown, checks: Readonly<Record<string, Check>>, name: string): string | undefined {
  if (!Array.isArray(value)) return name;
  for (const each of value) {
    if (!isRecord(each)) return name;
    const wrong = wrongField(each, checks);
    if (wrong !== undefined) return `${name}.${wrong}`;
  }
  return undefined;
}
