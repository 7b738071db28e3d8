import {
  checkFunction,
  checkNumber,
  checkOptions,
  checkSignal,
  checkString,
  integer,
  type OptionChecks,
} from "../errors/arguments.ts";
import { absolutePath } from "./path.ts";
import { type HistoryRecorder, startRecorder } from "./recorder.ts";
import { HistoryWriter } from "./writer.ts";

const DAY_US = 86_400_000_000;

/** What is recorded, and for how long. */
export interface RecordHistoryOptions {
  /** For how many days processes are kept after their start. Default 30. */
  readonly keepDays?: number | undefined;
  /** The size of the database, in bytes, beyond which the oldest processes are removed. Default 2 GiB. */
  readonly maxBytes?: number | undefined;
  /** What is noted as the version of the recorder. */
  readonly version?: string | undefined;
  /**
   * Called when the database cannot be written, as on a full disk, and with undefined when it can again. Meanwhile up to
   * 200,000 programs wait in memory; of more, the oldest are dropped, and counted in a gap. What it throws goes to standard error.
   */
  readonly onTrouble?: ((error: Error | undefined) => void) | undefined;
  /** Stops recording; `closed` then resolves. */
  readonly signal?: AbortSignal | undefined;
}

const OPTIONS: OptionChecks<RecordHistoryOptions> = {
  keepDays: checkPositive,
  maxBytes: integer(1 << 20, Number.MAX_SAFE_INTEGER),
  version: checkString,
  onTrouble: checkFunction,
  signal: checkSignal,
};

function checkPositive(value: unknown, name: string, action: string): void {
  checkNumber(value, name, action);
  if (!((value as number) > 0)) {
    throw new RangeError(`Cannot ${action}: ${name} must be above 0, and is ${value}`);
  }
}

/**
 * Records every process of this machine in an SQLite database, which {@linkcode openHistory} reads. What happened is
 * written once a second; when nothing could be recorded, the database says so. As many details are recorded as this user
 * may read: all of them as root.
 *
 * @throws {HistoryError} If the database cannot be written, is something else, or is written by another recorder.
 * @throws {UnsupportedError} If processes cannot be watched, as with `watchProcesses()`.
 */
export async function recordHistory(
  path: string,
  options: RecordHistoryOptions = {},
): Promise<HistoryRecorder> {
  const file = absolutePath(path, "record");
  checkOptions(options, OPTIONS, `record into ${file}`);
  const { keepDays = 30, maxBytes = 2 ** 31, version = "" } = options;
  const rotation = { keepUs: keepDays * DAY_US, maxBytes };
  return await startRecorder(
    `record into ${file}`,
    (tools) => new HistoryWriter(file, version, rotation, tools),
    options,
  );
}
