import assert from "node:assert/strict";
import { test } from "node:test";
import { statJson, type StatReport, statText } from "../../lib/cli/commands/aggregate/stat.ts";
import { textWidth } from "../../lib/cli/io/text.ts";
import { IdNames } from "../../lib/cli/commands/watch/row.ts";
import { ProcessAggregate } from "../../lib/processes/aggregate.ts";
import { emptyInfo } from "../../lib/processes/info.ts";
import { Events } from "../processes/events.ts";

const users = new IdNames(new Map([[7, "\x1b[31mlp"]]));

/** A report of processes with these names, each of which is started and fails. */
function report(...names: (string | undefined)[]): StatReport {
  let nowNs = 1_000_000_000n;
  const events = new Events(() => nowNs += 1_000_000n);
  const aggregate = new ProcessAggregate("program");
  for (const [i, comm] of names.entries()) {
    for (const event of [events.fork(1, 10 + i), events.exec(10 + i), events.exit(10 + i, 10 + i, 256)]) {
      aggregate.apply([{ ...event, process: { ...emptyInfo(10 + i, undefined), comm, startNs: nowNs } }]);
    }
  }
  aggregate.apply([events.lost(3)]);
  return { by: "program", seconds: 1, lost: 3, uncountedLosses: 0, forged: 2, groups: aggregate.groups() };
}

test("names cannot control the terminal or break the table, at any width", () => {
  const hostile = report("\x1b]0;owned\x07", "宽宽宽宽宽", "a\nb", "\u202egpj.exe", "\udcff", undefined);
  for (const width of [20, 40, 60, 80, 200, Infinity]) {
    const text = statText(hostile, users, width);
    // deno-lint-ignore no-control-regex
    assert.doesNotMatch(text.replaceAll("\n", ""), /[\x00-\x1f\x7f-\x9f\u202e\udc80-\udcff]/);
    const lines = text.trimEnd().split("\n");
    assert.equal(lines.length, 8);
    // The last line is not part of the table.
    for (const line of lines.slice(0, -1)) assert(textWidth(line) <= width, `${width}: ${line}`);
  }
});

test("columns and sums", () => {
  assert.equal(
    statText(report("make", undefined), users, 120),
    ` Starts Running   Ended  Failed  Median Longest   Forks   Execs Program  Failed with
      1       0       1       1     0us     0us       0       1 make     1 (1)
      1       0       1       1     0us     0us       0       1 ?        1 (1)
2 starts, 2 ended, 2 failed in 1.0 s; 3 events lost; 2 forged, not counted
`,
  );
});

test("JSON has null for an unknown name, and the numbers of users", () => {
  const { groups, lost, forged } = JSON.parse(statJson(report("make", undefined)));
  assert.deepEqual([lost, forged], [3, 2]);
  assert.deepEqual(groups.map(({ name }: { name: unknown }) => name), ["make", null]);
  assert.equal(groups[0].medianLifetimeSeconds, 0);
  assert.deepEqual(groups[0].failures, { "1": 1 });
});
