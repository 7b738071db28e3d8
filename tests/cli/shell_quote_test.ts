import assert from "node:assert/strict";
import fc from "fast-check";
import { execFileSync } from "node:child_process";
import { existsSync } from "node:fs";
import { test } from "node:test";
import { shellQuote } from "../../lib/wire/escape.ts";
import { decodeText } from "../../lib/wire/text.ts";

test("shellQuote() quotes only where necessary", () => {
  assert.equal(
    shellQuote(["ls", "-la", "/tmp/a.b", "--x=y,z", "user@host:~"]),
    "ls -la /tmp/a.b --x=y,z 'user@host:~'",
  );
  assert.equal(shellQuote(["sh", "-c", "exit 3"]), "sh -c 'exit 3'");
  assert.equal(shellQuote(["echo", "", "it's", "$HOME", "a\\b"]), "echo '' 'it'\\''s' '$HOME' 'a\\b'");
  assert.equal(shellQuote(["A=1", "B=2"]), "'A=1' B=2", "a first word would be an assignment");
  assert.equal(shellQuote(["日本", "é"]), "'日本' 'é'");
  assert.equal(
    shellQuote(["a\nb", "it's\x1b[2J", "\udcff", "\u202e"]),
    "$'a\\nb' $'it\\'s\\x1b[2J' $'\\xff' $'\\xe2\\x80\\xae'",
  );
  assert.equal(shellQuote([]), "");
});

test("shellQuote() stops at the limit", () => {
  assert.equal(shellQuote(["aaaa", "bbbb", "cccc"], 7), "aaaa bb");
  assert.equal(shellQuote(["x".repeat(1 << 20)], 10), "x".repeat(10));
});

test(
  "bash reads the result of shellQuote() back to the same bytes",
  { skip: !existsSync("/bin/bash") && "no bash" },
  () => {
    const word = fc.oneof(
      fc.uint8Array({ maxLength: 12 }),
      fc.constantFrom(
        "'",
        "\\",
        "\x1b1",
        "\n",
        "$'x'",
        "é1",
        "\u202e9",
        "\u0085a",
        "\u{e0041}f",
        "~",
        "!",
        "#",
      ).map(
        (text) => new TextEncoder().encode(text),
      ),
    ).map((bytes) => bytes.filter((byte) => byte !== 0));
    fc.assert(
      fc.property(
        fc.array(fc.array(word, { minLength: 1, maxLength: 3 }), { minLength: 1, maxLength: 30 }),
        (words) => {
          const expected = words.map((parts) => parts.flatMap((bytes) => [...bytes]));
          const line = shellQuote([
            "printf",
            "%s\\0",
            ...expected.map((bytes) => decodeText(Uint8Array.from(bytes))),
          ]);
          for (const LC_ALL of ["C.UTF-8", "C"]) {
            const out = execFileSync("/bin/bash", ["-c", line], { env: { LC_ALL } });
            assert.deepEqual([...out], expected.flatMap((bytes) => [...bytes, 0]), LC_ALL);
          }
        },
      ),
      { numRuns: 40 },
    );
  },
);
