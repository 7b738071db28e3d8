import assert from "node:assert/strict";
import { spawn } from "node:child_process";
import { closeSync, mkdtempSync, openSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import process from "node:process";
import { test } from "node:test";
import { openConnector } from "../../mod.ts";
import { randomId, whyNoBus } from "../connector/kernel.ts";
import { eventually } from "../support/kernel.ts";
import { command, root, runtime } from "../support/runtimes.ts";

const skip = await whyNoBus();

/** More than a stream holds, and less than the receive buffer does. */
const MESSAGES = 2000;

for (const signal of ["SIGINT", "SIGTERM"] as const) {
  test(`cnctl listen shows what is in its receive queue when ${signal} ends it`, {
    skip,
    timeout: 120_000,
  }, async () => {
    const folder = mkdtempSync(join(tmpdir(), "cnctl-drain-"));
    const path = join(folder, "out");
    const out = openSync(path, "w");
    try {
      const id = randomId();
      await using bus = await openConnector();
      const [file, ...args] = command(runtime, join(root, "lib/cli/main.ts"));
      const child = spawn(file!, [...args, "listen", `${id.idx}:${id.val}`, "--json"], {
        stdio: ["ignore", out, "pipe"],
      });
      const ended = new Promise((resolve) => child.once("close", resolve));
      let errors = "";
      child.stderr!.setEncoding("utf8").on("data", (text: string) => errors += text);
      await eventually("the command to listen", () => errors.includes("listening as port"));
      process.kill(child.pid!, "SIGSTOP");
      await eventually(
        "the command to stop",
        () => /^\d+ \(.*\) T /s.test(readFileSync(`/proc/${child.pid}/stat`, "utf8")),
      );
      for (let i = 0; i < MESSAGES; i++) bus.send(id, new Uint8Array(8), { group: id.idx, seq: i });
      process.kill(child.pid!, signal);
      process.kill(child.pid!, "SIGCONT");
      assert.equal(await ended, 0, errors);
      const lines = readFileSync(path, "utf8").trimEnd().split("\n");
      const seqs = lines.map((line) => JSON.parse(line).seq);
      assert.deepEqual(seqs, Array.from({ length: MESSAGES }, (_, i) => i), errors);
    } finally {
      closeSync(out);
      rmSync(folder, { recursive: true });
    }
  });
}
