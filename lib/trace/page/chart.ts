import type { Load } from "../load.ts";
import type { TraceLoss } from "../trace.ts";
import { contextOf } from "./dom.ts";
import { firstAbove } from "./rows.ts";
import type { Theme } from "./theme.ts";
import { tickLabel, tickNs } from "./ticks.ts";
import type { View } from "./view.ts";

const HEIGHT = 84;
/** Of the times below the curve. */
const AXIS_HEIGHT = 20;
const TOP = 8;
const FONT = "11px system-ui, sans-serif";

/** A number over time that stays the same from each time to the next, and its mean between any two times. */
export class Steps {
  readonly most: number;
  readonly #timesNs: Float64Array;
  readonly #values: Float64Array;
  /** The integral from the first time to each. */
  readonly #sums: Float64Array;

  constructor(timesNs: Float64Array, values: Float64Array) {
    this.#timesNs = timesNs;
    this.#values = values;
    this.#sums = new Float64Array(timesNs.length);
    let most = 0;
    for (let i = 0; i < timesNs.length; i++) {
      if (i > 0) this.#sums[i] = this.#sums[i - 1]! + values[i - 1]! * (timesNs[i]! - timesNs[i - 1]!);
      most = Math.max(most, values[i]!);
    }
    this.most = most;
  }

  /** The mean between two times. */
  mean(fromNs: number, toNs: number): number {
    return (this.#sumUntil(toNs) - this.#sumUntil(fromNs)) / (toNs - fromNs);
  }

  #sumUntil(ns: number): number {
    const i = firstAbove(this.#timesNs, ns) - 1;
    return i < 0 ? 0 : this.#sums[i]! + this.#values[i]! * (ns - this.#timesNs[i]!);
  }
}

/** Draws how many processes worked, and how many processors were busy, against those that the machine has. */
export class Chart {
  readonly #canvas: HTMLCanvasElement;
  readonly #working: Steps;
  readonly #busy: Steps;
  readonly #processors: number;
  readonly #losses: readonly TraceLoss[];

  constructor(canvas: HTMLCanvasElement, load: Load, processors: number, losses: readonly TraceLoss[]) {
    this.#canvas = canvas;
    this.#working = new Steps(load.timesNs, load.working);
    this.#busy = new Steps(load.timesNs, load.busy);
    this.#processors = processors;
    this.#losses = losses;
  }

  draw(view: View, theme: Theme): void {
    const { width } = view;
    const context = contextOf(this.#canvas, width, HEIGHT);
    const floor = HEIGHT - AXIS_HEIGHT;
    const most = Math.max(this.#processors, Math.min(this.#working.most, 4 * this.#processors), 1);
    const y = (value: number): number => floor - Math.min(1, value / most) * (floor - TOP);
    const mean = (steps: Steps, x: number): number => steps.mean(view.ns(x), view.ns(x + 1));
    context.fillStyle = theme.back;
    context.fillRect(0, 0, width, HEIGHT);

    context.fillStyle = theme.working;
    context.beginPath();
    context.moveTo(0, floor);
    for (let x = 0; x < width; x++) {
      const top = y(mean(this.#working, x));
      context.lineTo(x, top);
      context.lineTo(x + 1, top);
    }
    context.lineTo(width, floor);
    context.fill();

    if (this.#busy.most > 0) {
      context.strokeStyle = theme.busy;
      context.lineWidth = 1.5;
      context.beginPath();
      for (let x = 0; x < width; x++) context.lineTo(x + 0.5, y(mean(this.#busy, x)));
      context.stroke();
    }

    context.font = FONT;
    context.fillStyle = context.strokeStyle = theme.faint;
    context.lineWidth = 1;
    context.setLineDash([5, 4]);
    const limit = Math.round(y(this.#processors)) + 0.5;
    context.beginPath();
    context.moveTo(0, limit);
    context.lineTo(width, limit);
    context.stroke();
    context.setLineDash([]);
    context.textBaseline = "top";
    const processors = `${this.#processors} ${this.#processors === 1 ? "processor" : "processors"}`;
    label(context, theme, processors, 4, limit + 3);
    this.#axis(context, view, theme, floor);
    context.fillStyle = theme.failed;
    for (const { sinceNs, ns } of this.#losses) {
      const x = Math.round(view.x(sinceNs));
      context.fillRect(x, 0, Math.max(2, view.x(ns) - x), 3);
    }
  }

  #axis(context: CanvasRenderingContext2D, view: View, theme: Theme, floor: number): void {
    const stepNs = tickNs(view.spanNs / view.width * 90);
    context.fillStyle = theme.line;
    context.fillRect(0, floor, view.width, 1);
    for (let ns = Math.ceil(view.fromNs / stepNs) * stepNs; ns <= view.toNs; ns += stepNs) {
      const x = Math.round(view.x(ns));
      context.fillStyle = theme.line;
      context.fillRect(x, floor, 1, 5);
      context.fillStyle = theme.faint;
      if (x < view.width - 30) context.fillText(tickLabel(ns, stepNs), x + 4, floor + 4);
    }
  }
}

/** Text that is readable on anything. */
function label(context: CanvasRenderingContext2D, theme: Theme, text: string, x: number, y: number): void {
  context.strokeStyle = theme.back;
  context.lineWidth = 3;
  context.strokeText(text, x, y);
  context.fillStyle = theme.faint;
  context.fillText(text, x, y);
}
