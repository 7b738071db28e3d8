import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { join } from "node:path";
import { test } from "node:test";
import { root } from "../support/runtimes.ts";

const text = readFileSync(join(root, "docs/protocol.md"), "utf8");
const named = [...text.matchAll(/`([\w/]+_test\.ts)`: "([^"]+)"/g)].map(([, file, name]) => ({
  file: file!,
  name: name!,
}));

test("docs/protocol.md names tests that exist", () => {
  assert.ok(named.length > 60, `only ${named.length} tests are named`);
  for (const { file, name } of named) {
    const source = readFileSync(join(root, "tests", file), "utf8").replaceAll(/\$\{\w+\} /g, "");
    assert.ok(
      source.includes(`"${name}"`) || source.includes(`\`${name}\``),
      `${file} has no test "${name}"`,
    );
  }
});

test("docs/protocol.md names a test for each sentence", () => {
  const rows = text.split("\n").filter((line) =>
    line.startsWith("| ") && !/^\| (the documents say|---)/.test(line)
  );
  assert.ok(rows.length >= 38, `only ${rows.length} rows`);
  for (const row of rows) assert.match(row, /_test\.ts`: "/, row);
});
