import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { join } from "node:path";
import { test } from "node:test";
import { run } from "../../lib/cli/program.ts";
import { VERSION } from "../../lib/cli/version.ts";
import { root } from "../support/runtimes.ts";

async function say(...args: string[]): Promise<{ status: number; out: string; error: string }> {
  let [out, error] = ["", ""];
  const status = await run(args, { out: (text) => out += text, error: (text) => error += text });
  return { status, out, error };
}

test("VERSION is the version of the package", async () => {
  assert.equal(VERSION, JSON.parse(readFileSync(join(root, "package.json"), "utf8")).version);
  assert.deepEqual(await say("--version"), { status: 0, out: `${VERSION}\n`, error: "" });
});

test("help goes to standard output, with status 0", async () => {
  for (const args of [["--help"], ["help"], ["-h"]]) {
    const { status, out, error } = await say(...args);
    assert.deepEqual([status, error], [0, ""]);
    assert.match(out, /^Usage: cnctl .*\n[\s\S]*\bwatch\b/);
  }
  const [help, option] = [await say("help", "watch"), await say("watch", "--help")];
  assert.deepEqual(help, option);
  assert.match(help.out, /--events <list>[\s\S]*default:\s+"fork,exec,exit"/);
  for (const name of ["--threads", "--json", "--no-header", "--color", "--count", "--seconds"]) {
    assert(help.out.includes(name), name);
  }
});

test("without arguments the help is printed, with status 2", async () => {
  const { status, out, error } = await say();
  assert.deepEqual([status, out], [2, ""]);
  assert.match(error, /^Usage: cnctl/);
});

test("wrong arguments are rejected with status 2, a suggestion and what is valid", async () => {
  const cases: readonly (readonly [string[], RegExp])[] = [
    [["wach"], /^cnctl: unknown command 'wach'\n\(Did you mean watch\?\)\nCommands: watch\b/],
    [
      ["watch", "--jsn"],
      /^cnctl: unknown option '--jsn'\n\(Did you mean --json\?\)\nOptions: --events [\s\S]*--json[\s\S]*\nSee: cnctl watch --help\n$/,
    ],
    [["--jsn"], /^cnctl: unknown option '--jsn'/],
    [["help", "wach"], /^cnctl: unknown command 'wach'\n\(Did you mean watch\?\)\nCommands: watch\b/],
    [["help", "nothing"], /^cnctl: unknown command 'nothing'\nCommands: watch\b/],
    [["help", "watch", "extra"], /^cnctl: too many arguments for 'help'/],
    [["w1", "help", "mastres"], /^cnctl: unknown command 'mastres'\n\(Did you mean masters\?\)/],
    [["listen", "40"], /^cnctl: '40' is invalid for argument 'IDX\[:VAL\]'\. It must be /],
    [
      ["watch", "--events", "exce"],
      /^cnctl: .*There is no event "exce" \(did you mean exec\?\); choose from fork, /,
    ],
    [["watch", "--events"], /^cnctl: option '-e, --events <list>' argument missing/],
    [["watch", "--color", "red"], /^cnctl: .*'red' is invalid\. Allowed choices are auto, always, never/],
    [["watch", "--count", "0"], /^cnctl: .*whole number above 0/],
    [["watch", "--count", "1e3"], /^cnctl: .*whole number above 0/],
    [["watch", "--seconds", "-1"], /^cnctl: .*number above 0/],
    [["watch", "--seconds", "."], /^cnctl: .*number above 0/],
    [["watch", "--seconds", "99999999"], /^cnctl: .*up to 2000000/],
    [["watch", "extra"], /^cnctl: too many arguments/],
    [["watch", "--\x1b[2J"], /^cnctl: unknown option '--\\x1b\[2J'/],
  ];
  for (const [args, complaint] of cases) {
    const { status, out, error } = await say(...args);
    assert.deepEqual([status, out], [2, ""], args.join(" "));
    assert.match(error, complaint);
    const lines = error.split("\n").slice(1); // the first one quotes what was typed
    for (const line of lines) assert(line.length <= 80, line);
  }
});

test("help fits into 80 columns", async () => {
  const { out } = await say("--help");
  const names = [...out.matchAll(/^ {2}([a-z][\w-]*) /gm)].map(([, name]) => name!).filter((name) =>
    name !== "help"
  );
  assert(names.length >= 8, out);
  const w1 = [...(await say("w1", "--help")).out.matchAll(/^ {2}([a-z][\w-]*) /gm)].map((
    [, name],
  ) => ["w1", name!]);
  for (const path of [[], ...names.map((name) => [name]), ...w1]) {
    const help = (await say(...path, "--help")).out;
    for (const line of help.split("\n")) assert(line.length <= 80, `${path.join(" ")}: ${line}`);
  }
});
