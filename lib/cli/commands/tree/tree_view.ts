import { paintStyle, type Style } from "../../io/colour.ts";
import { cutToWidth, padEndToWidth } from "../../io/text.ts";
import { safeSentence } from "../../../wire/escape.ts";
import { LineInput } from "../../screen/keys.ts";
import type { View } from "../../screen/screen.ts";
import { lossText } from "../../loss_text.ts";
import type { CommandText } from "../watch/row.ts";
import type { LiveTree, Sums, TreeNode } from "./live_tree.ts";
import { addSums } from "./live_tree.ts";
import { formatTreeLine, treeColumns, type TreeLine, treeLines } from "./tree_lines.ts";

/** How long a new process is shown as one. */
const NEW_MS = 5000;
/** Lines that are no processes: the summary, the titles, and the keys. */
const OTHER_LINES = 3;

/** Where the view gets the time from. */
export interface TreeClock {
  /** Monotonic time, as from `performance.now()`. */
  readonly nowMs: () => number;
  /** By the clock of the events. */
  readonly nowNs: () => bigint;
}

/** What `cnctl tree` shows on a terminal. */
export class TreeView implements View {
  readonly #tree: LiveTree;
  readonly #commands: CommandText;
  readonly #clock: TreeClock;
  readonly #colour: boolean;
  #lines: readonly TreeLine[] = [];
  #first = 0;
  #room = 1;
  /** The process at the cursor, and its line. */
  #selected: TreeNode | undefined;
  #cursor = 0;
  #filter = "";
  #search = "";
  #input: { readonly line: LineInput; readonly what: "filter" | "search" } | undefined;
  /** Set when all processes of the tree have ended. */
  isOver: boolean = false;

  /** A view of `tree`. */
  constructor(tree: LiveTree, commands: CommandText, clock: TreeClock, colour: boolean) {
    this.#tree = tree;
    this.#commands = commands;
    this.#clock = clock;
    this.#colour = colour;
  }

  draw(columns: number, rows: number): readonly string[] {
    const [nowMs, nowNs] = [this.#clock.nowMs(), this.#clock.nowNs()];
    this.#tree.prune(nowMs);
    this.#update();
    this.#room = Math.max(rows - OTHER_LINES, 1);
    this.#scroll();
    const layout = treeColumns(columns);
    const lines = [
      cutToWidth(this.#summary(), columns),
      this.#paint(padEndToWidth(cutToWidth(`${layout.titles}Command`, columns), columns), "title"),
    ];
    for (const line of this.#lines.slice(this.#first, this.#first + this.#room)) {
      const text = formatTreeLine(line, layout, this.#commands, nowNs, columns);
      const isSelected = line.node === this.#selected;
      if (isSelected) {
        lines.push(this.#colour ? paintStyle(padEndToWidth(text, columns), "selected") : `>${text.slice(1)}`);
      } else lines.push(this.#paint(text, styleOf(line.node, nowMs)));
    }
    while (lines.length < rows - 1) lines.push("");
    lines.push(cutToWidth(this.#footer(), columns));
    return lines;
  }

  onKey(key: string): boolean {
    if (this.#input !== undefined) {
      this.#type(key);
      return true;
    }
    const node = this.#selected;
    switch (key) {
      case "q":
        return false;
      case "down":
        this.#move(1);
        break;
      case "up":
        this.#move(-1);
        break;
      case "page down":
        this.#move(this.#room);
        break;
      case "page up":
        this.#move(-this.#room);
        break;
      case "home":
        this.#move(-this.#lines.length);
        break;
      case "end":
        this.#move(this.#lines.length);
        break;
      case " ":
      case "enter":
        if (node !== undefined) node.collapsed = !node.collapsed;
        break;
      case "left":
        if (node !== undefined && node.children.size > 0 && !node.collapsed) node.collapsed = true;
        else if (node?.parent !== undefined) this.#selected = node.parent;
        break;
      case "right":
        if (node !== undefined) node.collapsed = false;
        break;
      case "c":
      case "e":
        for (const root of this.#tree.roots) collapseBelow(root, key === "c");
        break;
      case "f":
        this.#input = { line: new LineInput(this.#filter), what: "filter" };
        break;
      case "/":
        this.#input = { line: new LineInput(""), what: "search" };
        break;
      case "n":
        this.#find(1, 1);
        break;
      case "N":
        this.#find(-1, 1);
        break;
    }
    return true;
  }

  #type(key: string): void {
    const { line, what } = this.#input!;
    const state = line.take(key);
    if (state !== "open") this.#input = undefined;
    const text = state === "cancelled" ? "" : line.text;
    if (what === "filter") this.#filter = text;
    else {
      this.#search = text;
      this.#find(1, 0);
    }
  }

  /** Moves the cursor to the next process that has the text searched for, `from` lines further. */
  #find(direction: 1 | -1, from: number): void {
    const count = this.#lines.length;
    for (let i = from; i < count + from; i++) {
      const index = (((this.#cursor + direction * i) % count) + count) % count;
      if (!this.#matches(this.#lines[index]!.node, this.#search)) continue;
      this.#selected = this.#lines[index]!.node;
      return;
    }
  }

  #matches({ pid, info }: TreeNode, text: string): boolean {
    return text !== "" &&
      (String(pid) === text || this.#commands.of(info).toLowerCase().includes(text.toLowerCase()));
  }

  #move(lines: number): void {
    const index = Math.max(Math.min(this.#cursor + lines, this.#lines.length - 1), 0);
    this.#selected = this.#lines[index]?.node;
  }

  /** Makes the lines, and finds the cursor again, or what is in its place now. */
  #update(): void {
    const filter = this.#filter;
    this.#lines = treeLines(
      this.#tree.roots,
      filter === "" ? undefined : (node) => this.#matches(node, filter),
    );
    const index = this.#lines.findIndex(({ node }) => node === this.#selected);
    this.#cursor = index >= 0 ? index : Math.max(Math.min(this.#cursor, this.#lines.length - 1), 0);
    this.#selected = this.#lines[this.#cursor]?.node;
  }

  #scroll(): void {
    if (this.#cursor < this.#first) this.#first = this.#cursor;
    if (this.#cursor >= this.#first + this.#room) this.#first = this.#cursor - this.#room + 1;
    this.#first = Math.max(Math.min(this.#first, this.#lines.length - this.#room), 0);
  }

  #summary(): string {
    const sums: Sums = { running: 0, starts: 0, failed: 0 };
    for (const { depth, sums: own } of this.#lines) if (depth === 0) addSums(sums, own);
    return `${sums.running} running, ${sums.starts} started, ${sums.failed} failed; ${
      lossText(this.#tree.losses)
    }` +
      (this.isOver ? "; all have ended" : "");
  }

  #footer(): string {
    if (this.#input !== undefined) {
      const { line, what } = this.#input;
      return `${what === "filter" ? "Filter" : "Search"}: ${safeSentence(line.text)}_`;
    }
    const filter = this.#filter === "" ? "" : ` (${safeSentence(this.#filter)})`;
    return `q quit  space fold  c/e fold/unfold all  / search  n next  f filter${filter}`;
  }

  #paint(text: string, style: Style | undefined): string {
    return this.#colour && style !== undefined ? paintStyle(text, style) : text;
  }
}

/** New ones are green, ended ones red. */
function styleOf({ startedMs, end }: TreeNode, nowMs: number): Style | undefined {
  if (end !== undefined) return "failed";
  return startedMs !== undefined && nowMs - startedMs < NEW_MS ? "started" : undefined;
}

function collapseBelow(node: TreeNode, collapsed: boolean): void {
  for (const child of node.children) {
    child.collapsed = collapsed && child.children.size > 0;
    collapseBelow(child, collapsed);
  }
  if (!collapsed) node.collapsed = false;
}
