import type { Programs } from "./build.ts";
import { type Summary } from "./median.ts";
import type { Runtime } from "./runtimes.ts";

/** An upper or a lower bound. */
export interface Goal {
  readonly most?: number;
  readonly least?: number;
}

/** One line of a table: a value, and its ratio to a reference measured in the same rounds. */
export interface Line {
  readonly subject: string;
  readonly value: Summary;
  readonly unit: string;
  readonly against?: string;
  readonly ratio?: Summary;
  /** For the ratio if there is one, otherwise for the value. */
  readonly goal?: Goal;
  readonly note?: string;
}

/** The result of one measurement. */
export interface Section {
  readonly title: string;
  /** How it was measured, in a few sentences. */
  readonly text: string;
  readonly lines: readonly Line[];
  /** Wrong counts and failed contenders. */
  readonly problems: readonly string[];
  /** ISO 8601 to the minute, and the commit: `--amend` measures sections separately. */
  readonly measured?: { readonly date: string; readonly commit: string };
}

/** The input of every measurement. */
export interface Bench {
  readonly programs: Programs;
  readonly runtimes: readonly Runtime[];
  readonly rounds: number;
  /** Only checks that everything runs and counts correctly. Times are meaningless. */
  readonly quick: boolean;
}

/** A kind of measurement. */
export interface Measure {
  readonly name: string;
  run(bench: Bench): Promise<Section>;
}

/** Whether the median reaches the goal, and whether that is doubtful: a single round, or rounds that disagree. */
export function verdict(
  { goal, ratio, value }: Line,
): { reached: boolean; doubt: string | undefined } | undefined {
  if (goal === undefined) return undefined;
  const { median, min, max, count } = ratio ?? value;
  const meets = (number: number) => number <= (goal.most ?? Infinity) && number >= (goal.least ?? -Infinity);
  const doubt = count === 1 ? "one round" : meets(min) !== meets(max) ? "rounds disagree" : undefined;
  return { reached: meets(median), doubt };
}
