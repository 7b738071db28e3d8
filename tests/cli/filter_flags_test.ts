import assert from "node:assert/strict";
import { Command } from "commander";
import { test } from "node:test";
import { addFilterFlags, type FilterFlags, filterOptions } from "../../lib/cli/filter_flags.ts";

function parse(...args: string[]): unknown {
  const command = addFilterFlags(new Command()).exitOverride().configureOutput({ writeErr: () => {} });
  const options = filterOptions(command.parse(args, { from: "user" }).opts<FilterFlags>());
  return Object.fromEntries(Object.entries(options).filter(([, value]) => value !== undefined));
}

test("the flags that choose processes are the library's options", () => {
  assert.deepEqual(parse(), {});
  assert.deepEqual(parse("--failed", "-p", "3", "--pid", "4", "--tree", "5"), {
    exits: "failed",
    pids: [3, 4],
    treeOf: 5,
  });
  assert.deepEqual(
    parse("-u", "root", "--user", "33", "--comm", "a,b", "--exe", "/bin/sh", "--cgroup", "/x"),
    {
      users: ["root", "33"],
      comm: ["a,b"],
      exe: ["/bin/sh"],
      cgroup: ["/x"],
    },
  );
});

test("what cannot be a process or a name is refused", () => {
  for (const args of [["--pid", "0"], ["--pid", "x"], ["--tree", "4294967296"], ["--comm", ""]]) {
    assert.throws(() => parse(...args), /is invalid/);
  }
});
