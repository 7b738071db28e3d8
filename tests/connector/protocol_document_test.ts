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
  // A sentence of the kernel's documents is a block quotation; its tests follow, before the next one.
  const sentences = text.split(/^> /m).slice(1);
  assert.ok(sentences.length >= 38, `only ${sentences.length} sentences`);
  for (const sentence of sentences) assert.match(sentence, /^- `[\w/]+_test\.ts`: "/m, sentence);
});
