import fc from "fast-check";
import assert from "node:assert/strict";
import { test } from "node:test";
import { globMatcher, globMinimum, isGlob } from "../../lib/processes/glob.ts";

test("globMatcher() is what a regular expression says", () => {
  const letters = fc.array(fc.constantFrom("a", "b", "/", "*", "?", "\u{1f600}", "\udcff"), {
    maxLength: 10,
  });
  fc.assert(
    fc.property(letters, letters, fc.boolean(), (pattern, text, paths) => {
      const source = pattern.join("").replace(/\*+|\?|[^*?]/gu, (part) => {
        if (part === "?") return paths ? "[^/]" : "[^]";
        if (!part.startsWith("*")) return part;
        return paths && part.length === 1 ? "[^/]*" : "[^]*";
      });
      const expected = new RegExp(`^(?:${source})$`, "u").test(text.join(""));
      assert.equal(globMatcher(pattern.join(""), paths ? "/" : undefined)(text.join("")), expected);
    }),
    { numRuns: 3000 },
  );
});

test("a backslash takes the next character as it is, also at the end", () => {
  assert(globMatcher("\\*\\?\\\\")("*?\\"));
  assert(!globMatcher("\\*")("a"));
  assert(globMatcher("a\\")("a\\"));
});

test("isGlob() and globMinimum()", () => {
  assert.deepEqual(["a", "[a]", "a*", "?", "a\\b"].map(isGlob), [false, false, true, true, false]);
  assert.equal(globMinimum("a?*b**\\*"), 4);
});

test("a pattern full of stars takes no more time than its length times the text's", () => {
  const matches = globMatcher("*a".repeat(500) + "*b", "/");
  const text = "a".repeat(4000);
  const startMs = performance.now();
  assert.equal(matches(text), false);
  // Two million steps; what tries the ways one by one would not be back in a lifetime.
  assert(performance.now() - startMs < 20_000);
});
