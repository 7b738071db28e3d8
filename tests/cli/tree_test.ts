import fc from "fast-check";
import assert from "node:assert/strict";
import { test } from "node:test";
import { LiveTree } from "../../lib/cli/commands/tree/live_tree.ts";
import { treeLines } from "../../lib/cli/commands/tree/tree_lines.ts";
import { TreeView } from "../../lib/cli/commands/tree/tree_view.ts";
import { CommandText } from "../../lib/cli/commands/watch/row.ts";
import { textWidth } from "../../lib/cli/io/text.ts";
import { LineInput, parseKeys } from "../../lib/cli/screen/keys.ts";
import type { ProcessEvent } from "../../lib/processes/event.ts";
import { emptyInfo, type ProcessInfo } from "../../lib/processes/info.ts";
import { Events } from "../processes/events.ts";

/** Events with what is known of their processes. */
class Script {
  #nowNs = 0n;
  readonly events = new Events(() => this.#nowNs += 1_000_000n);

  known(event: ProcessEvent, info: Partial<ProcessInfo> = {}): ProcessEvent {
    return {
      ...event,
      process: { ...emptyInfo(event.pid!, undefined), comm: "sh", ...info },
    } as ProcessEvent;
  }

  fork(parent: number, pid: number, info: Partial<ProcessInfo> = {}): ProcessEvent {
    return this.known(this.events.fork(parent, pid), { parentPid: parent, ...info });
  }
}

/** The tree as text: pids, indented, with a status. */
function text(tree: LiveTree): string[] {
  return treeLines(tree.roots, undefined).map(({ node, depth }) =>
    `${" ".repeat(depth)}${node.pid}${node.end === undefined ? "" : `=${node.end.event.status}`}`
  );
}

test("an ended process stays for five seconds, and its sums remain with its parent", () => {
  const script = new Script();
  const tree = new LiveTree(() => 1);
  tree.apply([script.fork(0, 1), script.fork(1, 2), script.fork(2, 3)], 0);
  tree.apply([script.known(script.events.exit(3, 3, 256))], 1000);
  assert.deepEqual(text(tree), ["1", " 2", "  3=256"]);
  tree.prune(5999);
  assert.equal(text(tree).length, 3);
  tree.prune(6000);
  assert.deepEqual(text(tree), ["1", " 2"]);
  const [root] = treeLines(tree.roots, undefined);
  assert.deepEqual(root!.sums, { running: 2, starts: 3, failed: 1 });
});

test("children move to the parent that they have when theirs disappears", () => {
  const script = new Script();
  const tree = new LiveTree((pid) => pid === 4 ? 9 : undefined);
  tree.apply([script.fork(0, 1), script.fork(1, 9), script.fork(1, 3), script.fork(3, 4)], 0);
  tree.apply([script.known(script.events.exit(3))], 0);
  assert.deepEqual(text(tree), ["1", " 9", " 3=0", "  4"]);
  tree.prune(5000);
  assert.deepEqual(text(tree), ["1", " 9", "  4"]);
});

test("of one parent ten ended processes stay, those that failed longest", () => {
  const script = new Script();
  const tree = new LiveTree(() => 1);
  tree.apply([script.fork(0, 1)], 0);
  for (let pid = 10; pid < 40; pid++) {
    tree.apply([script.fork(1, pid), script.known(script.events.exit(pid, pid, pid === 12 ? 9 : 0))], 0);
  }
  const lines = text(tree);
  assert.equal(lines.length, 11);
  assert(lines.includes(" 12=9") && lines.includes(" 39=0") && !lines.includes(" 13=0"));
  assert.deepEqual(treeLines(tree.roots, undefined)[0]!.sums, { running: 1, starts: 31, failed: 1 });
});

test("processes of a snapshot find parents that started later", () => {
  const tree = new LiveTree(() => undefined);
  const info = (pid: number, parentPid: number): ProcessInfo => ({ ...emptyInfo(pid, undefined), parentPid });
  tree.fill([info(1, 0), info(5, 7), info(7, 1), info(8, 5)]);
  assert.deepEqual(text(tree), ["1", " 7", "  5", "   8"]);
});

test("a filter shows what matches with its ancestors; folded branches are counted, not shown", () => {
  const script = new Script();
  const tree = new LiveTree(() => 1);
  tree.apply([script.fork(0, 1), script.fork(1, 2), script.fork(2, 3), script.fork(1, 4)], 0);
  const lines = treeLines(tree.roots, ({ pid }) => pid === 3).map(({ node }) => node.pid);
  assert.deepEqual(lines, [1, 2, 3]);
  tree.get(2)!.collapsed = true;
  assert.deepEqual(text(tree), ["1", " 2", " 4"]);
  assert.equal(treeLines(tree.roots, undefined)[0]!.sums.running, 4);
});

test("whatever comes, every running process is in the tree once, and the screen fits", () => {
  const pid = fc.integer({ min: 1, max: 8 });
  const step = fc.record({
    what: fc.constantFrom("fork", "exit", "exec", "prune", "snapshot"),
    pid,
    parent: pid,
    comm: fc.constantFrom("sh", "\x1b[2J", "宽宽宽宽", undefined),
    status: fc.constantFrom(0, 256),
  });
  const key = fc.constantFrom(
    "down",
    "up",
    "left",
    "right",
    " ",
    "c",
    "e",
    "f",
    "/",
    "n",
    "x",
    "enter",
    "escape",
  );
  fc.assert(fc.property(
    fc.array(step, { maxLength: 60 }),
    fc.array(key, { maxLength: 20 }),
    fc.constantFrom(20, 40, 60, 80, 200),
    (steps, keys, columns) => {
      const script = new Script();
      const tree = new LiveTree((pid) => pid % 2);
      const alive = new Set<number>();
      let nowMs = 0;
      const clock = { nowMs: () => nowMs, nowNs: () => 10n };
      const view = new TreeView(tree, new CommandText(100), clock, false);
      for (const { what, pid, parent, comm, status } of steps) {
        nowMs += 700;
        if (what === "fork") tree.apply([script.fork(parent, pid, { comm })], nowMs);
        else if (what === "snapshot") {
          tree.apply([{ ...script.fork(parent, pid, { comm }), synthetic: true } as ProcessEvent], nowMs);
        } else if (what === "exit") {
          tree.apply([script.known(script.events.exit(pid, pid, status), { comm })], nowMs);
        } else if (what === "exec") tree.apply([script.known(script.events.exec(pid), { comm })], nowMs);
        else tree.prune(nowMs);
        if (what === "fork" || what === "snapshot") alive.add(pid);
        if (what === "exit") alive.delete(pid);
        view.onKey(keys[nowMs / 700 % Math.max(keys.length, 1)] ?? "down");
        const lines = view.draw(columns, 12);
        assert.equal(lines.length, 12);
        for (const line of lines) {
          assert(textWidth(line) <= columns, `${columns}: ${line}`);
          // deno-lint-ignore no-control-regex
          assert.doesNotMatch(line, /[\x00-\x1f\x7f]/);
        }
      }
      view.onKey("escape");
      for (const root of tree.roots) unfold(root);
      const running = treeLines(tree.roots, undefined).filter(({ node }) => node.end === undefined);
      assert.deepEqual(running.map(({ node }) => node.pid).sort(), [...alive].sort());
    },
  ));
});

test("keys and a line of text", () => {
  assert.deepEqual(parseKeys("q\x1b[A\x1bOB\x1b[5~é\x1b\x7f\x1b[200~\x03"), [
    "q",
    "up",
    "down",
    "page up",
    "é",
    "escape",
    "backspace",
    "ctrl-c",
  ]);
  const line = new LineInput("a");
  for (const key of ["b", "é", "up", "backspace", "c"]) assert.equal(line.take(key), "open");
  assert.equal(line.text, "abc");
  assert.deepEqual([line.take("enter"), line.take("escape")], ["done", "cancelled"]);
});

function unfold(node: { collapsed: boolean; children: ReadonlySet<typeof node> }): void {
  node.collapsed = false;
  for (const child of node.children) unfold(child);
}
