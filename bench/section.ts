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

/** Whether a goal is reached. */
export function isReached({ goal, ratio, value }: Line): boolean | undefined {
  if (goal === undefined) return undefined;
  const { median } = ratio ?? value;
  return median <= (goal.most ?? Infinity) && median >= (goal.least ?? -Infinity);
}
