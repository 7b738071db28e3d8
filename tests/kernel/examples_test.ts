import assert from "node:assert/strict";
import { spawn } from "node:child_process";
import { join } from "node:path";
import process from "node:process";
import { createInterface } from "node:readline";
import { test } from "node:test";
import { whyNoProcessEvents } from "../support/kernel.ts";
import { binary, command, root, runtime } from "../support/runtimes.ts";

const skip = await whyNoProcessEvents();

/** The command for the example; Deno has permission for one file only. */
function scoped(file: string): string[] {
  if (runtime !== "deno") return command(runtime, file);
  const libc =
    ["/lib/x86_64-linux-gnu/libc.so.6", "/lib/aarch64-linux-gnu/libc.so.6"][process.arch === "x64" ? 0 : 1];
  // Through a shell: if Deno finds itself among the arguments of a child, it adds permissions.
  return ["sh", "-c", `exec ${binary("deno")} run --no-check --no-prompt --allow-ffi=${libc} ${file}`];
}

test(
  "examples/watch.ts shows what a child runs, its exit code and the signal that ends another",
  { skip },
  async () => {
    const [file, ...args] = scoped(join(root, "examples/watch.ts"));
    const example = spawn(file!, args, { stdio: ["ignore", "pipe", "pipe"] });
    let errors = "";
    example.stderr!.on("data", (chunk: Uint8Array) => errors += new TextDecoder().decode(chunk));
    const late = setTimeout(() => example.kill("SIGKILL"), 30_000);
    // Each runs until its exec was shown, since a loaded machine may be slow.
    const wanted = new Map<string, () => void>();
    for await (const line of createInterface(example.stdout!)) {
      if (line === "watching") {
        const three = spawn("/bin/sh", ["-c", "read _; exit 3"], { stdio: ["pipe", "ignore", "ignore"] });
        const killed = spawn("/bin/sleep", ["30"]);
        wanted.set(`${three.pid} exec /bin/sh -c read _; exit 3`, () => three.stdin!.end());
        wanted.set(`${killed.pid} exec /bin/sleep 30`, () => killed.kill("SIGKILL"));
        wanted.set(`${three.pid} exit 3`, () => {}).set(`${killed.pid} exit SIGKILL`, () => {});
        continue;
      }
      wanted.get(line)?.();
      wanted.delete(line);
      if (wanted.size === 0) break;
    }
    clearTimeout(late);
    const ended = new Promise((resolve) => example.on("close", resolve));
    example.kill("SIGTERM");
    await ended;
    assert.deepEqual([...wanted.keys()], [], errors);
  },
);
