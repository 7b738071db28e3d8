/** The shortest time that fills the width. */
const LEAST_NS = 1000;

/** The part of a trace that is visible, and how time becomes pixels. */
export class View {
  readonly #durationNs: number;
  /** Where it begins. */
  fromNs = 0;
  /** Where it ends. */
  toNs: number;
  /** Of the canvas, in CSS pixels. */
  width = 1;

  constructor(durationNs: number) {
    this.#durationNs = Math.max(durationNs, LEAST_NS);
    this.toNs = this.#durationNs;
  }

  /** The length of what is visible. */
  get spanNs(): number {
    return this.toNs - this.fromNs;
  }

  /** The pixel of a time. */
  x(ns: number): number {
    return (ns - this.fromNs) / this.spanNs * this.width;
  }

  /** The time at a pixel. */
  ns(x: number): number {
    return this.fromNs + x / this.width * this.spanNs;
  }

  /** Shows the whole trace. */
  fit(): void {
    this.show(0, this.#durationNs);
  }

  /** Shows a part, as far as it is in the trace. */
  show(fromNs: number, toNs: number): void {
    const spanNs = Math.min(this.#durationNs, Math.max(LEAST_NS, toNs - fromNs));
    this.fromNs = Math.min(this.#durationNs - spanNs, Math.max(0, fromNs));
    this.toNs = this.fromNs + spanNs;
  }

  /** Shows a time that is `factor` times as long; what is at pixel `x` stays there. */
  zoom(factor: number, x: number = this.width / 2): void {
    const spanNs = Math.min(this.#durationNs, Math.max(LEAST_NS, this.spanNs * factor));
    const fromNs = this.ns(x) - x / this.width * spanNs;
    this.show(fromNs, fromNs + spanNs);
  }

  /** Moves what is visible by pixels. */
  pan(pixels: number): void {
    const ns = pixels / this.width * this.spanNs;
    this.show(this.fromNs + ns, this.toNs + ns);
  }

  /** Moves so that a time is visible, without changing the scale unless it is too short to be seen. */
  reveal(startNs: number, endNs: number): void {
    const lifeNs = Math.max(endNs - startNs, 1);
    if (lifeNs / this.spanNs * this.width < 3) this.show(startNs - 20 * lifeNs, endNs + 20 * lifeNs);
    else if (startNs > this.toNs || endNs < this.fromNs) {
      this.show(startNs - this.spanNs / 10, startNs + this.spanNs * 0.9);
    }
  }
}
