import assert from "node:assert/strict";
import { spawnSync } from "node:child_process";
import { join } from "node:path";
import { test } from "node:test";
import { whyNoProcessEvents } from "../support/kernel.ts";
import { command, root, runtime } from "../support/runtimes.ts";

const skip = await whyNoProcessEvents();
const program = join(root, "tests/kernel/programs/handles_error.ts");

/** How a program can handle an uncaught error: Node's way, and the web's way if the runtime supports it. */
const ways = [
  "uncaughtException",
  "unhandledRejection",
  ...(runtime === "deno" ? ["error", "unhandledrejection"] : []),
];

for (const way of ways) {
  for (const errors of [1, 3]) {
    test(
      `after ${errors} errors that the program handles by "${way}" its watches still receive`,
      { skip },
      () => {
        const [file, ...args] = command(runtime, program);
        const { stdout, stderr, status } = spawnSync(file!, [...args, way, String(errors)], {
          timeout: 60_000,
          encoding: "utf8",
        });
        assert.equal(status, 0, stderr);
        const { interruptions, ...heard } = JSON.parse(stdout);
        const exit = { exitCode: 3, signal: null, coreDumped: false };
        assert.deepEqual(heard, { first: true, second: true, exit });
        // Only on Deno it is not known in time whether the program will end.
        assert.equal(interruptions > 0, runtime === "deno");
        assert(interruptions <= errors);
      },
    );
  }
}
