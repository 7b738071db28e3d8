import { hasFailed, lastImage, programName, type TraceLoss, type TraceProcess } from "../trace.ts";
import { contextOf } from "./dom.ts";
import { labelOf } from "./format.ts";
import { forEachCounted, forEachVisible, type Row } from "./rows.ts";
import { colourOf, type Theme } from "./theme.ts";
import type { View } from "./view.ts";

/** The height of a row, in CSS pixels. */
export const ROW_HEIGHT = 20;
const BOX_HEIGHT = ROW_HEIGHT - 2;
/** A narrower box has no label. */
const LABEL_WIDTH = 24;
const FONT = "12px ui-monospace, 'SF Mono', 'DejaVu Sans Mono', Menlo, Consolas, monospace";

/** What is drawn. */
export interface Picture {
  readonly rows: readonly Row[];
  readonly view: View;
  readonly losses: readonly TraceLoss[];
  readonly theme: Theme;
  readonly selected: TraceProcess | undefined;
  /** Whether something is searched: then what does not match is pale. */
  readonly searching: boolean;
}

/** Draws the boxes of processes. */
export class Painter {
  readonly #canvas: HTMLCanvasElement;
  #context!: CanvasRenderingContext2D;
  #picture!: Picture;
  #characterWidth = 0;
  #hatch: CanvasPattern | null = null;
  #hatchColour = "";
  /** Labels and colours are made when they are first seen. */
  readonly #labels = new Map<TraceProcess, string>();
  readonly #colours = new Map<string, string>();

  constructor(canvas: HTMLCanvasElement) {
    this.#canvas = canvas;
  }

  /** Forgets the colours, as when the theme has changed. */
  forgetColours(): void {
    this.#colours.clear();
    this.#hatchColour = "";
  }

  /** Draws the rows from pixel `top` of all of them. */
  draw(picture: Picture, top: number, height: number): void {
    const { rows, view, theme } = picture;
    this.#picture = picture;
    const context = this.#context = contextOf(this.#canvas, view.width, height);
    context.fillStyle = theme.back;
    context.fillRect(0, 0, view.width, height);
    context.font = FONT;
    context.textBaseline = "middle";
    this.#characterWidth = context.measureText("0000000000").width / 10;
    const last = Math.min(rows.length, Math.ceil((top + height) / ROW_HEIGHT));
    for (let i = Math.floor(top / ROW_HEIGHT); i < last; i++) this.#row(rows[i]!, i * ROW_HEIGHT - top + 1);
    this.#losses(height);
  }

  #row(row: Row, y: number): void {
    const context = this.#context;
    const { view, theme, searching } = this.#picture;
    forEachVisible(row, view, (x0, x1, first, end) => {
      const matches = !searching || row.matched[end]! > row.matched[first]!;
      context.globalAlpha = matches ? 1 : 0.25;
      if (end - first === 1) {
        this.#box(row.processes[first]!, x0, x1, y, matches);
      } else {
        context.globalAlpha = searching ? 0.25 : 1;
        context.fillStyle = theme.many;
        context.fillRect(x0, y, x1 - x0, BOX_HEIGHT);
        context.globalAlpha = 1;
        const markAll = (counts: Uint32Array, colour: string, top: number, height: number): void => {
          context.fillStyle = colour;
          forEachCounted(
            row.starts,
            counts,
            view,
            first,
            end,
            (x) => context.fillRect(x, y + top, 1, height),
          );
        };
        if (searching) markAll(row.matched, theme.accent, 0, BOX_HEIGHT);
        markAll(row.failed, theme.failed, BOX_HEIGHT - 5, 5);
      }
    });
    context.globalAlpha = 1;
  }

  #box(process: TraceProcess, from: number, to: number, y: number, matches: boolean): void {
    const context = this.#context;
    const { view, theme, searching, selected } = this.#picture;
    const x0 = Math.max(-4, from);
    // A gap of a pixel between neighbours where there is room.
    const x1 = Math.min(view.width + 4, to - from > 4 ? to - 1 : Math.max(to, from + 1));
    const width = x1 - x0;
    context.fillStyle = this.#colour(programName(lastImage(process)));
    context.fillRect(x0, y, width, BOX_HEIGHT);
    if (width > 8 && process.images.length > 1) this.#images(process, x1, y);
    if (process.uncertain) {
      context.fillStyle = this.#hatching();
      context.fillRect(x0, y, width, BOX_HEIGHT);
    }
    if (hasFailed(process)) {
      context.fillStyle = theme.failed;
      if (width > 6) {
        context.strokeStyle = theme.failed;
        context.lineWidth = 2;
        context.strokeRect(x0 + 1, y + 1, width - 2, BOX_HEIGHT - 2);
      } else context.fillRect(x0, y + BOX_HEIGHT - 4, width, 4);
    }
    if (searching && matches) this.#outline(x0, y, width, 1);
    if (process === selected) this.#outline(x0, y, width, 2.5);
    if (width > LABEL_WIDTH) this.#label(process, Math.max(x0, 0) + 4, x1, y);
  }

  /** The programs that it ran before the last one, the parent's first. */
  #images(process: TraceProcess, end: number, y: number): void {
    const context = this.#context;
    const { view, theme } = this.#picture;
    for (const image of process.images.slice(0, -1)) {
      const x0 = Math.max(-4, view.x(image.startNs));
      const x1 = Math.min(end, view.x(image.endNs));
      if (x1 - x0 < 0.5) continue;
      context.fillStyle = theme.back;
      context.fillRect(x0, y, x1 - x0, BOX_HEIGHT);
      context.fillStyle = this.#colour(programName(image));
      context.fillRect(
        x0,
        y + (image.forked ? BOX_HEIGHT / 3 : 0),
        x1 - x0,
        BOX_HEIGHT / (image.forked ? 3 : 1),
      );
    }
  }

  #label(process: TraceProcess, x0: number, x1: number, y: number): void {
    let label = this.#labels.get(process);
    if (label === undefined) this.#labels.set(process, label = labelOf(process));
    const characters = Math.floor((x1 - x0 - 2) / this.#characterWidth);
    if (characters < 2) return;
    const text = label.length > characters ? `${label.slice(0, characters - 1)}…` : label;
    this.#context.fillStyle = this.#picture.theme.boxText;
    this.#context.fillText(text, x0, y + BOX_HEIGHT / 2 + 0.5);
  }

  #outline(x: number, y: number, width: number, lineWidth: number): void {
    const context = this.#context;
    context.strokeStyle = this.#picture.theme.accent;
    context.lineWidth = lineWidth;
    context.strokeRect(x + 0.5, y + 0.5, Math.max(1, width - 1), BOX_HEIGHT - 1);
  }

  /** Dashed lines where a loss begins and ends. */
  #losses(height: number): void {
    const { losses, view, theme } = this.#picture;
    const context = this.#context;
    context.fillStyle = theme.failed;
    for (const loss of losses) {
      for (const ns of new Set([loss.sinceNs, loss.ns])) {
        const x = Math.round(view.x(ns));
        if (x < 0 || x > view.width) continue;
        for (let y = 0; y < height; y += 8) context.fillRect(x, y, 2, 5);
      }
    }
  }

  #colour(name: string): string {
    let colour = this.#colours.get(name);
    if (colour === undefined) this.#colours.set(name, colour = colourOf(name, this.#picture.theme));
    return colour;
  }

  /** Stripes. */
  #hatching(): CanvasPattern | string {
    const { faint } = this.#picture.theme;
    if (this.#hatchColour !== faint) {
      const tile = document.createElement("canvas");
      tile.width = tile.height = 8;
      const context = tile.getContext("2d")!;
      context.strokeStyle = faint;
      context.lineWidth = 1.5;
      for (const x of [-4, 0, 4, 8]) {
        context.moveTo(x, 8);
        context.lineTo(x + 8, 0);
      }
      context.globalAlpha = 0.6;
      context.stroke();
      this.#hatch = this.#context.createPattern(tile, "repeat");
      this.#hatchColour = faint;
    }
    return this.#hatch ?? faint;
  }
}
