import assert from "node:assert/strict";
import { execFileSync } from "node:child_process";
import { mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import process from "node:process";
import { after, before, test } from "node:test";
import { COMPLETIONS } from "../../lib/cli/commands/completion/completion.ts";
import { modelOf } from "../../lib/cli/model.ts";
import { makeProgram, run } from "../../lib/cli/program.ts";
import { findProgram } from "../support/programs.ts";
import { root, runtime } from "../support/runtimes.ts";

const model = modelOf(makeProgram({ out() {}, error() {} }, () => {}));
/** The home of the shells, with the scripts, and the folder in which they complete. */
const folder = mkdtempSync(join(tmpdir(), "connector-completion-"));
const cwd = join(folder, "work");
before(() => {
  mkdirSync(join(cwd, "sub"), { recursive: true });
  for (const name of ["one.bin", "two.bin"]) writeFileSync(join(cwd, name), "");
  for (const [shell, script] of Object.entries(COMPLETIONS)) {
    writeFileSync(join(folder, `cnctl.${shell}`), script(model));
  }
});
after(() => rmSync(folder, { recursive: true }));

const USER = readFileSync("/etc/passwd", "utf8").split(":")[0]!;

/** Lines, with what is offered at their ends: all of it, or at least this and not that. */
const LINES: readonly (readonly [string, readonly string[] | { has: string[]; not: string[] }])[] = [
  ["cnctl wa", { has: ["watch"], not: ["doctor", "--help"] }],
  ["cnctl ", { has: model.commands.map(({ path }) => path[1]!), not: ["fork"] }],
  ["cnctl doc", ["doctor"]],
  ["cnctl help li", ["listen"]],
  ["cnctl completion ", ["bash", "zsh", "fish"]],
  ["cnctl w1 ", { has: ["masters", "search", "watch"], not: ["doctor", "fork"] }],
  ["cnctl w1 help sea", ["search"]],
  ["cnctl watch --exec-records ", ["auto", "off", "required"]],
  ["cnctl watch --exec-records r", ["required"]],
  ["cnctl watch --exec-records=r", ["required"]],
  ["cnctl watch --json --color ", ["always", "auto", "never"]],
  ["cnctl watch -e pt", ["ptrace"]],
  ["cnctl watch --events fork,ex", ["fork,exec", "fork,exit"]],
  ["cnctl watch --eve", ["--events"]],
  ["cnctl w1 read --wr", ["--write"]],
  ["cnctl send --file ", ["one.bin", "sub", "two.bin"]],
  ["cnctl send -f tw", ["two.bin"]],
  ["cnctl dm-log --disk ", ["sub"]],
  ["cnctl watch --pid ", { has: [`${process.pid}`], not: ["fork", "one.bin"] }],
  ["cnctl watch --user ", { has: [USER], not: ["fork", "one.bin"] }],
  ["cnctl watch --seconds ", []],
  ["cnctl watch ", { has: [], not: ["doctor", "one.bin"] }],
];

/** What a shell offers for each line. */
type Driver = (lines: readonly string[]) => string[][];

/** Runs a shell without anybody's settings. */
function shell(program: string, args: readonly string[], input?: string): string {
  const env = { PATH: process.env.PATH ?? "", HOME: folder, TERM: "dumb", LC_ALL: "C.UTF-8" };
  return execFileSync(program, args, { cwd, env, encoding: "utf8", input, timeout: 60_000 });
}

/** The answers for each line come after a line `>`. */
function answers(output: string): string[][] {
  return output.split(/^>\n/m).slice(1).map((text) =>
    text.split("\n").map((line) => line.split("\t")[0]!.trim().replace(/\/$/, "")).filter((line) =>
      line !== ""
    )
  );
}

const DRIVERS: Readonly<Record<string, Driver>> = {
  // As readline does it, which takes a = for a word.
  bash: (lines) =>
    answers(shell("bash", [
      "--norc",
      "--noprofile",
      "-c",
      `
source ~/cnctl.bash
${
        lines.map((line) => `
COMP_WORDS=(${line.replaceAll("=", " = ")}${line.endsWith(" ") ? " ''" : ""})
COMP_CWORD=$((\${#COMP_WORDS[@]} - 1))
_cnctl
echo '>'
printf '%s\\n' "\${COMPREPLY[@]}"`).join("\n")
      }`,
    ])),
  fish: (lines) =>
    answers(shell("fish", [
      "--no-config",
      "-c",
      `source ~/cnctl.fish\n${lines.map((line) => `echo '>'; complete -C '${line}'`).join("\n")}`,
    ])),
  zsh: (lines) => answers(shell("zsh", ["-f", join(root, "tests/support/capture_completion.zsh"), ...lines])),
};

for (const [name, driver] of Object.entries(DRIVERS)) {
  const skip = runtime !== "bun"
    ? "the shells are tried once, by Bun's tests"
    : findProgram(name) === undefined && `there is no ${name} (Debian: ${name})`;
  test(`${name} completes commands, options and values`, { skip, timeout: 120_000 }, () => {
    const offered = driver(LINES.map(([line]) => line));
    assert.equal(offered.length, LINES.length);
    for (const [i, [line, expected]] of LINES.entries()) {
      const found = offered[i]!.map((word) => word.replace(/^--[\w-]+=/, ""));
      if ("has" in expected) {
        for (const word of expected.has) assert(found.includes(word), `${line}: no ${word} in ${found}`);
        for (const word of expected.not) assert(!found.includes(word), `${line}: ${word} in ${found}`);
      } else {
        assert.deepEqual(found.toSorted(), expected.toSorted(), line);
      }
    }
  });
}

test("cnctl completion prints the script of a shell", async () => {
  for (const args of [["completion", "ksh"], ["completion"]]) {
    let error = "";
    assert.equal(await run(args, { out() {}, error: (text) => error += text }), 2);
    assert.match(error, args.length > 1 ? /bash, zsh, fish/ : /missing required argument/);
  }
  const main = join(root, "lib/cli/main.ts");
  const flags = "Deno" in globalThis ? ["run", "-A", "--no-check"] : [];
  for (const [shell, script] of Object.entries(COMPLETIONS)) {
    const output = execFileSync(process.execPath, [...flags, main, "completion", shell], {
      encoding: "utf8",
    });
    assert.equal(output, script(model), shell);
    assert.equal(output, readFileSync(join(folder, `cnctl.${shell}`), "utf8"));
  }
});
