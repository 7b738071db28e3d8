import { cutToWidth } from "../../io/text.ts";
import { formatDuration } from "../../../wire/duration.ts";
import type { CommandText } from "../watch/row.ts";
import { addSums, ownSums, type Sums, type TreeNode } from "./live_tree.ts";

/** A process with its place in the tree. */
export interface TreeLine {
  readonly node: TreeNode;
  readonly depth: number;
  /** The branches to its left. */
  readonly branches: string;
  readonly sums: Sums;
}

/**
 * The lines of a tree from top to bottom, without what is below collapsed processes.
 *
 * @param isShown Which processes are shown, with their ancestors; undefined for all.
 */
export function treeLines(
  roots: Iterable<TreeNode>,
  isShown: ((node: TreeNode) => boolean) | undefined,
): TreeLine[] {
  const lines: TreeLine[] = [];
  for (const root of roots) addBranch(root, 0, "", "", isShown, lines);
  return lines;
}

/** Nobody nests processes so deep; it bounds the recursion. */
const MOST_DEPTH = 1000;

/** Adds the lines of a process and of what is below it, and returns the sums of the branch. */
function addBranch(
  node: TreeNode,
  depth: number,
  branches: string,
  below: string,
  isShown: ((node: TreeNode) => boolean) | undefined,
  lines: TreeLine[],
): Sums {
  const sums = ownSums(node);
  const at = lines.length;
  lines.push({ node, depth, branches, sums });
  if (depth === MOST_DEPTH) return sums;
  let left = node.children.size;
  for (const child of node.children) {
    const isLast = --left === 0;
    const branch = `${below}${isLast ? "└─" : "├─"}`;
    addSums(sums, addBranch(child, depth + 1, branch, `${below}${isLast ? "  " : "│ "}`, isShown, lines));
  }
  const isEmpty = isShown !== undefined && lines.length === at + 1 && !isShown(node);
  if (isEmpty) lines.length = at;
  else if (node.collapsed && isShown === undefined) lines.length = at + 1;
  return sums;
}

/** Which columns of numbers there is room for. */
export interface TreeColumns {
  readonly titles: string;
  readonly cells: (line: TreeLine, nowNs: bigint) => string;
}

const LIFE = 7;
const STATUS = 11;

/** The columns for a terminal of this width. */
export function treeColumns(columns: number): TreeColumns {
  if (columns >= 80) {
    return {
      titles: "    PID Procs Starts Failed    Life Status      ",
      cells: (line, nowNs) => {
        const { running, starts, failed } = line.sums;
        return `${pidCell(line)} ${String(running).padStart(5)} ${String(starts).padStart(6)} ` +
          `${String(failed).padStart(6)} ${lifeCell(line, nowNs)} ${statusCell(line).padEnd(STATUS)} `;
      },
    };
  }
  if (columns >= 60) {
    return {
      titles: "    PID Procs    Life Status      ",
      cells: (line, nowNs) =>
        `${pidCell(line)} ${String(line.sums.running).padStart(5)} ${lifeCell(line, nowNs)} ` +
        `${statusCell(line).padEnd(STATUS)} `,
    };
  }
  return {
    titles: "    PID        Life ",
    cells: (line, nowNs) => {
      const life = line.node.end === undefined ? lifeCell(line, nowNs) : statusCell(line);
      return `${pidCell(line)} ${life.padStart(STATUS)} `;
    },
  };
}

/** The columns of a tree that is printed once. */
export const SNAPSHOT_COLUMNS: TreeColumns = {
  titles: "    PID Procs    Life ",
  cells: (line, nowNs) =>
    `${pidCell(line)} ${String(line.sums.running).padStart(5)} ${lifeCell(line, nowNs)} `,
};

/** The tree and the command of a line. */
function commandText({ node, branches }: TreeLine, commands: CommandText): string {
  const mark = node.children.size === 0 ? "" : node.collapsed ? "[+] " : "";
  return `${branches}${mark}${commands.of(node.info)}`;
}

/** A whole line, cut at the width of the terminal. */
export function formatTreeLine(
  line: TreeLine,
  { cells }: TreeColumns,
  commands: CommandText,
  nowNs: bigint,
  columns: number,
): string {
  const text = cells(line, nowNs) + commandText(line, commands);
  return columns === Infinity ? text : cutToWidth(text, columns);
}

function pidCell({ node }: TreeLine): string {
  return String(node.pid).padStart(7);
}

/** How long the process has lived. */
function lifeCell({ node }: TreeLine, nowNs: bigint): string {
  const { startNs } = node.info;
  const endNs = node.end?.event.timestampNs ?? nowNs;
  return (startNs === undefined ? "-" : formatDuration(endNs - startNs)).padStart(LIFE);
}

/** `0`, `3`, `SIGKILL`; `?` if the event was lost; empty while it runs. */
function statusCell({ node }: TreeLine): string {
  if (node.end === undefined) return "";
  const { event } = node.end;
  return event.status === null ? "?" : event.signal ?? String(event.exitCode);
}
