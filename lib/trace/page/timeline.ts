import { loadOf } from "../load.ts";
import { hasFailed, type Trace, type TraceProcess } from "../trace.ts";
import { Chart } from "./chart.ts";
import { showDetails } from "./details.ts";
import { byId } from "./dom.ts";
import { commandOf, duration, lifeOf, statusOf } from "./format.ts";
import { listenToKeys, listenToPointer } from "./input.ts";
import { Painter, ROW_HEIGHT } from "./paint.ts";
import { mark, processAt, type Row, rowsOf } from "./rows.ts";
import { matcherOf } from "./search.ts";
import { readTheme } from "./theme.ts";
import { View } from "./view.ts";

/** The lowest value of the slider above 0. */
const SHORTEST_NS = 1e5;
/** How far from a box, in pixels, a click still means it. */
const NEAR = 3;

/** The processes over time, and all that changes what of them is visible. */
export class Timeline {
  readonly #trace: Trace;
  readonly #view: View;
  readonly #boxes = byId<HTMLCanvasElement>("boxes");
  readonly #rowsBox = byId("rows");
  readonly #painter = new Painter(this.#boxes);
  readonly #chart: Chart;
  #theme = readTheme();
  #rows: readonly Row[] = [];
  #matches: readonly TraceProcess[] | undefined;
  #selected: TraceProcess | undefined;
  #drawing = false;

  constructor(trace: Trace) {
    this.#trace = trace;
    this.#view = new View(trace.durationNs);
    this.#chart = new Chart(
      byId<HTMLCanvasElement>("chart"),
      loadOf(trace),
      trace.header.processors,
      trace.losses,
    );
    byId("busy-key").hidden = !trace.processes.some(({ usage }) => usage !== undefined);
    this.#layOut();
    this.#listen();
    this.select(undefined);
  }

  /** Shows all that matches a search, and pales the rest. */
  search(text: string): void {
    const input = byId<HTMLInputElement>("search");
    if (input.value !== text) input.value = text;
    const matches = matcherOf(text);
    this.#matches = matches && this.#trace.processes.filter(matches);
    this.#mark();
    this.#showMatches();
    this.draw();
  }

  /** Selects the next or the previous match of the search. */
  step(direction: 1 | -1): void {
    const matches = this.#matches;
    if (matches === undefined || matches.length === 0) return;
    const at = this.#selected === undefined ? -1 : matches.indexOf(this.#selected);
    const next = at < 0 && direction < 0
      ? matches.length - 1
      : (at + direction + matches.length) % matches.length;
    this.select(matches[next]);
    this.reveal(matches[next]!);
    this.#showMatches(next);
  }

  /** Selects a process, whose details are shown then. */
  select(process: TraceProcess | undefined): void {
    this.#selected = process;
    showDetails(byId("details"), this.#trace, process, {
      select: (other) => {
        this.select(other);
        this.reveal(other);
      },
      zoomTo: (other) => {
        const marginNs = (other.endNs - other.startNs) / 20;
        this.#view.show(other.startNs - marginNs, other.endNs + marginNs);
        this.reveal(other);
      },
    });
    this.draw();
  }

  /** Selects the process at a point of the canvas, or the first one that is visible if none is given. */
  selectAt(point: { readonly x: number; readonly y: number } | undefined): void {
    if (point !== undefined) return this.select(this.#at(point.x, point.y));
    const top = Math.ceil(this.#rowsBox.scrollTop / ROW_HEIGHT);
    for (const row of this.#rows.slice(top)) {
      const process = processAt(row, this.#view.fromNs, this.#view.spanNs);
      if (process !== undefined) return this.select(process);
    }
  }

  /** Clears what is selected and searched. */
  clear(): void {
    this.search("");
    this.select(undefined);
  }

  /** Moves so that a process is visible. */
  reveal(process: TraceProcess): void {
    this.#view.reveal(process.startNs, process.endNs);
    const row = this.#rows.findIndex(({ processes }) => processes.includes(process));
    if (row < 0) return this.#shorten(0, process);
    const box = this.#rowsBox;
    const top = row * ROW_HEIGHT;
    if (top < box.scrollTop || top + ROW_HEIGHT > box.scrollTop + box.clientHeight) {
      box.scrollTop = top - box.clientHeight / 3;
    }
    this.draw();
  }

  /** Zooms by a factor around a pixel, or the middle. */
  zoom(factor: number, x?: number): void {
    this.#view.zoom(factor, x);
    this.draw();
  }

  /** Moves by pixels. */
  move(x: number, y: number): void {
    this.#view.pan(x);
    this.#rowsBox.scrollTop += y;
    this.draw();
  }

  /** Shows the whole time. */
  fit(): void {
    this.#view.fit();
    this.draw();
  }

  /** Says what is below the pointer. */
  tip(point: { readonly x: number; readonly y: number } | undefined): void {
    const tip = byId("tip");
    const process = point && this.#at(point.x, point.y);
    tip.hidden = process === undefined;
    if (process === undefined) return;
    tip.textContent = `${commandOf(process.images.at(-1)!, 300)}: ${lifeOf(process)}, ${statusOf(process)}`;
    const { clientWidth, clientHeight } = byId("timeline");
    const y = point!.y + this.#rowsBox.offsetTop;
    const below = y + 18 + tip.offsetHeight < clientHeight;
    tip.style.left = `${Math.max(0, Math.min(point!.x + 10, clientWidth - tip.offsetWidth - 4))}px`;
    tip.style.top = `${below ? y + 18 : Math.max(0, y - tip.offsetHeight - 8)}px`;
  }

  /** Draws with the next frame. */
  draw(): void {
    if (this.#drawing) return;
    this.#drawing = true;
    requestAnimationFrame(() => {
      this.#drawing = false;
      const { clientHeight, scrollTop } = this.#rowsBox;
      this.#view.width = Math.max(1, this.#boxes.clientWidth);
      this.#chart.draw(this.#view, this.#theme);
      const picture = {
        rows: this.#rows,
        view: this.#view,
        losses: this.#trace.losses,
        theme: this.#theme,
        selected: this.#selected,
        searching: this.#matches !== undefined,
      };
      this.#painter.draw(picture, scrollTop, clientHeight);
    });
  }

  #layOut(): void {
    const leastNs = this.#leastNs();
    byId("shortest-value").textContent = leastNs === 0 ? "all" : duration(leastNs);
    this.#rows = rowsOf(this.#trace, leastNs);
    const height = Math.max(this.#rows.length, 1) * ROW_HEIGHT;
    byId("spacer").style.height = `${height}px`;
    this.#rowsBox.style.height = `min(45vh, ${height}px)`;
    this.#resize();
    this.#mark();
  }

  #resize(): void {
    this.#boxes.style.height = `${this.#rowsBox.clientHeight}px`;
    this.draw();
  }

  #mark(): void {
    if (this.#matches === undefined) return;
    const matches = new Set(this.#matches);
    mark(this.#rows, (process) => matches.has(process));
  }

  #showMatches(at?: number): void {
    const count = this.#matches?.length;
    const text = count === undefined ? "" : count === 1 ? "1 match" : `${count} matches`;
    byId("matches").textContent = at === undefined ? text : `${at + 1} of ${text}`;
  }

  /** The value of the slider, on a logarithmic scale up to the whole time. */
  #leastNs(): number {
    const { value } = byId<HTMLInputElement>("shortest");
    const position = Number(value) / 100;
    return position === 0 ? 0 : SHORTEST_NS * Math.max(1, this.#trace.durationNs / SHORTEST_NS) ** position;
  }

  /** Sets the slider so low that a process is shown. */
  #shorten(value: number, process: TraceProcess): void {
    byId<HTMLInputElement>("shortest").value = String(value);
    this.#layOut();
    this.reveal(process);
  }

  #at(x: number, y: number): TraceProcess | undefined {
    const row = this.#rows[Math.floor((y + this.#rowsBox.scrollTop) / ROW_HEIGHT)];
    const nsPerPixel = this.#view.spanNs / this.#view.width;
    return row && processAt(row, this.#view.ns(x), NEAR * nsPerPixel);
  }

  #listen(): void {
    const failed = this.#trace.processes.filter(hasFailed).length;
    const failures = byId("failures");
    failures.hidden = failed === 0;
    failures.textContent = failed === 1 ? "1 failure" : `${failed} failures`;
    failures.onclick = () => {
      this.search("status:failed");
      this.step(1);
    };
    const search = byId<HTMLInputElement>("search");
    search.oninput = () => this.search(search.value);
    byId("next").onclick = () => this.step(1);
    byId("previous").onclick = () => this.step(-1);
    byId("zoom-in").onclick = () => this.zoom(0.5);
    byId("zoom-out").onclick = () => this.zoom(2);
    byId("fit").onclick = () => this.fit();
    byId("shortest").oninput = () => this.#layOut();
    this.#rowsBox.onscroll = () => this.draw();
    new ResizeObserver(() => this.#resize()).observe(byId("timeline"));
    matchMedia("(prefers-color-scheme: dark)").onchange = () => {
      this.#theme = readTheme();
      this.#painter.forgetColours();
      this.draw();
    };
    listenToKeys(this, search, this.#boxes);
    for (const canvas of [this.#boxes, byId<HTMLCanvasElement>("chart")]) {
      listenToPointer(this, canvas, canvas === this.#boxes);
    }
  }
}
