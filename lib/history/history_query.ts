/** What processes can be counted by. */
export const HISTORY_COUNT_BY = ["program", "user", "parent", "cgroup"] as const;

/** One of them. */
export type HistoryCountBy = typeof HISTORY_COUNT_BY[number];

/** Which programs are wanted: all that is given must hold. In texts, `*` stands for any text and `?` for a character. */
export interface HistoryQuery {
  /** Those that ran at this time or later, in milliseconds since 1970. */
  readonly sinceMs?: number | undefined;
  /** Those that began before this time. */
  readonly untilMs?: number | undefined;
  /** Only those that ended with a code other than 0 or by a signal. */
  readonly failed?: boolean | undefined;
  /** Only these processes. */
  readonly pids?: readonly number[] | undefined;
  /** Users by name, as it was when it was recorded, or by number. */
  readonly users?: readonly (string | number)[] | undefined;
  /** The name that the kernel keeps, or that of the program's file. */
  readonly names?: readonly string[] | undefined;
  /** The program's file, as a path; without a `/`, its last part. */
  readonly exes?: readonly string[] | undefined;
  /** Only what descends from this process, or from any of this name. */
  readonly under?: number | string | undefined;
  /** Only those of this machine, by its name. */
  readonly host?: string | undefined;
  /** In which order: `"start"`, the default, has the earliest first; the others the most first. */
  readonly orderBy?: "start" | "duration" | "cpu" | undefined;
  /** At most so many: by start the latest ones. Default: all. */
  readonly limit?: number | undefined;
}
