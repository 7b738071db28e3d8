import type { Programs } from "./build.ts";
import { type Summary } from "./median.ts";
import type { Runtime } from "./runtimes.ts";

/** What is to be reached: at most, or at least. */
export interface Goal {
  readonly most?: number;
  readonly least?: number;
}

/** One line of a table: a value, and its ratio to a reference that ran in the same rounds. */
export interface Line {
  readonly subject: string;
  readonly value: Summary;
  readonly unit: string;
  readonly against?: string;
  readonly ratio?: Summary;
  /** Of the ratio where there is one, else of the value. */
  readonly goal?: Goal;
  readonly note?: string;
}

/** One thing measured. */
export interface Section {
  readonly title: string;
  /** How it was measured, in a sentence or two. */
  readonly text: string;
  readonly lines: readonly Line[];
  /** Counts that did not fit, contenders that failed. */
  readonly problems: readonly string[];
  /** When, ISO 8601 to the minute, and of which commit: sections of one report may have been measured apart. */
  readonly measured?: { readonly date: string; readonly commit: string };
  /** Worth a bar chart. */
  readonly chart?: boolean;
}

/** What every measurement gets. */
export interface Bench {
  readonly programs: Programs;
  readonly runtimes: readonly Runtime[];
  readonly rounds: number;
  /** The shortest form: does it run, and does it count right? Its times mean nothing. */
  readonly quick: boolean;
}

/** A kind of measurement. */
export interface Measure {
  readonly name: string;
  run(bench: Bench): Promise<Section>;
}

/**
 * Whether a goal is reached by the median, and what speaks against relying on that: a single round, or rounds of which
 * some reach it and some do not.
 */
export function verdict(
  { goal, ratio, value }: Line,
): { reached: boolean; doubt: string | undefined } | undefined {
  if (goal === undefined) return undefined;
  const { median, min, max, count } = ratio ?? value;
  const meets = (number: number) => number <= (goal.most ?? Infinity) && number >= (goal.least ?? -Infinity);
  const doubt = count === 1 ? "one round" : meets(min) !== meets(max) ? "rounds disagree" : undefined;
  return { reached: meets(median), doubt };
}
