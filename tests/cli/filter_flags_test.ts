import assert from "node:assert/strict";
import { Command } from "commander";
import { test } from "node:test";
import { addFilterFlags, type FilterFlags, filterOptions } from "../../lib/cli/filter_flags.ts";

function parse(...args: string[]): unknown {
  const command = addFilterFlags(new Command().option("--failed")).exitOverride().configureOutput({
    writeErr: () => {},
  });
  const options = filterOptions(command.parse(args, { from: "user" }).opts<FilterFlags>());
  const given = (object: object): object =>
    Object.fromEntries(Object.entries(object).filter(([, value]) => value !== undefined));
  const exclude = given(options.exclude!);
  return given({ ...options, exclude: Object.keys(exclude).length === 0 ? undefined : exclude });
}

test("filter flags become options of the library", () => {
  assert.deepEqual(parse(), {});
  assert.deepEqual(parse("--failed", "-p", "3", "--pid", "4", "--tree", "5"), {
    exits: "failed",
    pids: [3, 4],
    descendantsOf: 5,
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

test("users and processes can be lists, and --not flags become exclude", () => {
  assert.deepEqual(
    parse("-p", "3,4", "-p", "5", "-u", "root, www", "--login-user", "me", "--command", "a, b"),
    {
      pids: [3, 4, 5],
      users: ["root", "www"],
      loginUsers: ["me"],
      commandLine: ["a, b"],
    },
  );
  assert.deepEqual(
    parse(
      ...["--not-user", "a,b", "--not-login-user", "c", "--not-comm", "d", "--not-comm", "e"],
      ...["--not-exe", "f", "--not-cgroup", "/g", "--not-command", "h*"],
    ),
    {
      exclude: {
        users: ["a", "b"],
        loginUsers: ["c"],
        comm: ["d", "e"],
        exe: ["f"],
        cgroup: ["/g"],
        commandLine: ["h*"],
      },
    },
  );
});

test("invalid process ids and names are rejected", () => {
  for (
    const args of [["--pid", "0"], ["--pid", "x"], ["--tree", "4294967296"], ["--comm", ""], [
      "--pid",
      "3,,4",
    ], ["--user", "a,"]]
  ) {
    assert.throws(() => parse(...args), /is invalid/);
  }
});
