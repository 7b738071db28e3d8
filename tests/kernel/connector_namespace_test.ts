import assert from "node:assert/strict";
import { spawnSync } from "node:child_process";
import { join } from "node:path";
import process from "node:process";
import { test } from "node:test";
import { emulated, whyNoBus } from "../connector/kernel.ts";
import { command, root, runtime } from "../support/runtimes.ts";

const isRoot = process.getuid!() === 0;
const skip = emulated
  ? "starts too many programs for an emulated processor"
  : !isRoot
  ? "wants root"
  : await whyNoBus();

const ELSEWHERE = /this is not the initial network namespace, and the connector exists only there/;

/** Runs the command in another network namespace. It must end by itself. */
function cnctl(...args: string[]): { readonly status: number | null; readonly said: string } {
  const own = command(runtime, join(root, "lib/cli/main.ts"));
  const { status, stdout, stderr } = spawnSync("unshare", ["-n", ...own, ...args], {
    timeout: 60_000,
    encoding: "utf8",
  });
  return { status, said: stdout + stderr };
}

for (
  const args of [
    ["listen", "3"],
    ["listen", "20:1", "1:1"],
    ["send", "3:1", "text"],
    ["send", "20:1", "text"],
    ["request", "20:1", "text"],
    ["send", "1:1", "--kernel"],
    ["request", "3:1", "text"],
    ["w1", "masters"],
    ["w1", "watch"],
    ["dm-log", "--core"],
  ]
) {
  test(`cnctl ${args.join(" ")} in another network namespace fails at once and says why`, { skip }, () => {
    const { status, said } = cnctl(...args);
    assert.match(said, ELSEWHERE);
    assert.match(said, /^cnctl: Cannot [^\n]*--net=host\)\n$/);
    assert.equal(status, 1);
  });
}

test("cnctl listen in another network namespace receives from its programs, and says so", { skip }, () => {
  const { status, said } = cnctl("listen", "20", "--seconds", "0.1");
  assert.match(said, /^cnctl: listening as port \d+, only to programs in this namespace: /);
  assert.match(said, ELSEWHERE);
  assert.equal(status, 0);
});

test("cnctl bus in another network namespace lists its sockets, and says so", { skip }, () => {
  const { status, said } = cnctl("bus");
  assert.match(said.replaceAll("\n", " "), ELSEWHERE);
  assert.equal(status, 0);
});
