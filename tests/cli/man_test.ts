import assert from "node:assert/strict";
import { spawnSync } from "node:child_process";
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { test } from "node:test";
import { modelOf } from "../../lib/cli/model.ts";
import { makeProgram } from "../../lib/cli/program.ts";
import { manPages } from "../../scripts/man.ts";
import { findProgram } from "../support/programs.ts";
import { root } from "../support/runtimes.ts";

const pages = manPages(new Date("2026-02-03T00:00:00Z"));
const model = modelOf(makeProgram({ out() {}, error() {} }, () => {}));

test("package.json lists the man pages that the build makes", () => {
  const { man } = JSON.parse(readFileSync(join(root, "package.json"), "utf8")) as { man: readonly string[] };
  assert.deepEqual(man.toSorted(), [...pages.keys()].map((name) => `./dist/man/${name}`).toSorted());
});

const mandoc = findProgram("mandoc");
const skip = mandoc === undefined && "there is no mandoc (Debian: mandoc)";

test("mandoc finds no fault in the man pages", { skip }, () => {
  const folder = mkdtempSync(join(tmpdir(), "connector-man-"));
  try {
    for (const [name, text] of pages) writeFileSync(join(folder, name), text);
    const { stdout, status } = spawnSync(mandoc!, ["-T", "lint", ...pages.keys()], {
      cwd: folder,
      encoding: "utf8",
    });
    assert.equal(stdout, "");
    assert.equal(status, 0);
  } finally {
    rmSync(folder, { recursive: true });
  }
});

test("each man page has the command's whole help, word by word", { skip }, () => {
  const words = (text: string): string => text.replace(/[\s.:]+/g, "").toLowerCase();
  for (const command of model.commands.filter(({ path }) => path[1] !== "help")) {
    const name = `${command.path.join("-")}.1`;
    const { stdout } = spawnSync(mandoc!, ["-T", "ascii", "-O", "width=200"], {
      input: pages.get(name)!,
      encoding: "utf8",
    });
    const page = words(stdout.replace(/.[\b]/g, ""));
    const options = [command, ...command.commands.filter(({ path }) => path.at(-1) !== "help")]
      .flatMap(({ options }) => options).filter(({ names }) => !names.includes("--help"));
    for (const { names, help } of options) {
      for (const part of [...names, help]) assert(page.includes(words(part)), `${name}: ${part}`);
    }
    for (const line of command.details.split("\n")) {
      const text = line.replace(/^Examples?:/, "");
      for (const part of text.split(/ {2,}/)) assert(page.includes(words(part)), `${name}: ${part}`);
    }
  }
});

test("a page is dated, and names its relatives", () => {
  assert.match(pages.get("cnctl-watch.1")!, /^\.Dd February 3, 2026\n\.Dt CNCTL-WATCH 1\n/);
  assert.match(pages.get("cnctl-watch.1")!, /\n\.Xr cnctl 1\n$/);
  assert.match(pages.get("cnctl.1")!, /\n\.Xr cnctl-watch 1\n$/);
});
