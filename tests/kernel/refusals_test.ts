import assert from "node:assert/strict";
import { spawn, spawnSync } from "node:child_process";
import { accessSync, constants, existsSync, readFileSync } from "node:fs";
import { join } from "node:path";
import process from "node:process";
import { test } from "node:test";
import { whyNoProcessEvents } from "../support/kernel.ts";
import { binary, command, root, runtime } from "../support/runtimes.ts";

const skip = await whyNoProcessEvents();
const isRoot = process.getuid!() === 0;
const skipUnlessRoot = skip || (isRoot ? false : "wants root");
const [major, minor] = readFileSync("/proc/sys/kernel/osrelease", "utf8").split(".").map(Number);
const filters = major! > 6 || (major === 6 && minor! >= 6);

const program = join(root, "tests/kernel/programs/open.ts");

interface Outcome {
  readonly stats?: {
    readonly kernelFilters: boolean;
    readonly receiveBufferBytes: { readonly granted: number };
  };
  readonly name?: string;
  readonly reason?: string;
  readonly code?: string;
  readonly message?: string;
}

/** Runs the program with this prefix, and returns its output. It must not take a timeout to find out. */
function open(prefix: readonly string[], own: readonly string[] = command(runtime, program)): Outcome {
  const [file, ...args] = [...prefix, ...own];
  const env = { ...process.env, HOME: "/tmp", NO_COLOR: "1" };
  const { stdout, stderr, status } = spawnSync(file!, args, { timeout: 60_000, env, encoding: "utf8" });
  assert.equal(status, 0, stderr);
  return JSON.parse(stdout);
}

test("another network namespace is an error at once", { skip: skipUnlessRoot }, () => {
  const outcome = open(["unshare", "-n"]);
  assert.equal(outcome.reason, "network-namespace");
  assert.match(
    outcome.message!,
    /^Cannot watch processes: this is not the initial network namespace.*--net=host/,
  );
});

test("another pid namespace is an error at once", { skip: skipUnlessRoot }, () => {
  const outcome = open(["unshare", "-p", "-f"]);
  assert.equal(outcome.reason, "pid-namespace");
  assert.match(
    outcome.message!,
    /^Cannot watch processes: this is not the initial pid namespace.*--pid=host/,
  );
});

test("another user namespace is an error at once", { skip: skipUnlessRoot }, () => {
  const outcome = open(["unshare", "-U", "-r"]);
  if (filters) assert.equal(outcome.reason, "user-namespace");
  // Before 6.6 even joining the group fails there.
  else assert.equal(outcome.code, "EPERM");
});

test(
  "user nobody may watch from kernel 6.6 on; before it, the error names the missing capability",
  { skip: skipUnlessRoot },
  () => {
    const outcome = open(["setpriv", "--reuid=65534", "--regid=65534", "--clear-groups"]);
    if (filters) {
      assert.equal(outcome.stats?.kernelFilters, true, outcome.message ?? "");
    } else {
      assert.equal(outcome.code, "EPERM");
      assert.match(outcome.message!, /before 6\.6.*CAP_NET_ADMIN/);
    }
  },
);

test(
  "deno needs permission for one file",
  { skip: skip || (runtime === "deno" ? false : "deno's own") },
  () => {
    // Through a shell: if Deno finds itself among the arguments of a child, it adds permissions to them.
    const run = (...flags: string[]): Outcome =>
      open(["sh", "-c"], [`exec ${binary("deno")} run --no-check --no-prompt ${flags.join(" ")} ${program}`]);
    const refused = run();
    assert.equal(refused.reason, "permission");
    const flag = /add (--allow-ffi=\S+)/.exec(refused.message!)![1]!;
    assert.equal(refused.message!.includes("--allow-ffi=/"), true);
    // The flag in the message works on a system that has its C library there.
    try {
      accessSync(flag.slice("--allow-ffi=".length), constants.R_OK);
    } catch {
      return;
    }
    assert.equal(typeof run(flag).stats?.kernelFilters, "boolean");
  },
);

/** Why no terminal is available here, or false. */
const noTerminal = existsSync("/usr/bin/script") ? false : "wants script(1)";

for (const [answer, opens] of [["y", true], ["n", false]] as const) {
  test(
    `deno on a terminal prompts for the permission: ${answer}`,
    { skip: skip || (runtime === "deno" ? noTerminal : "deno's own"), timeout: 60_000 },
    async () => {
      const child = spawn("/usr/bin/script", [
        "-qec",
        `exec ${binary("deno")} run --no-check ${program}`,
        "/dev/null",
      ], { stdio: ["pipe", "pipe", "ignore"], env: { ...process.env, NO_COLOR: "1" } });
      let text = "";
      // Deno discards what was typed before the prompt.
      const typing = setInterval(() => {
        if (text.includes("[y/n/A]")) child.stdin!.write(`${answer}\n`);
      }, 300);
      for await (const chunk of child.stdout!.setEncoding("utf8")) text += chunk;
      clearInterval(typing);
      child.stdin!.destroy();
      assert.match(text, /Deno requests ffi access to "\/\S+"/);
      const outcome: Outcome = JSON.parse(/^\{.*\}\r?$/m.exec(text)![0]);
      if (opens) assert.equal(typeof outcome.stats?.kernelFilters, "boolean");
      else assert.equal(outcome.reason, "permission");
    },
  );
}

test(
  "node's permission model is named",
  { skip: skip || (runtime === "node" ? false : "node's own") },
  () => {
    const node = [
      binary("node"),
      "--disable-warning=ExperimentalWarning",
      "--permission",
      "--allow-fs-read=*",
    ];
    const refused = open([], [...node, program]);
    assert.equal(refused.reason, "permission");
    assert.match(refused.message!, /add --allow-ffi and --allow-worker/);
  },
);

test(
  "a Node with node:ffi switched off is reported as such, not as too old",
  { skip: skip || (runtime === "node" ? false : "node's own") },
  () => {
    const refused = open([], [binary("node"), "--no-experimental-ffi", program]);
    assert.equal(refused.reason, "runtime");
    assert.match(refused.message!, /node:ffi is switched off.*: remove --no-experimental-ffi from/);
    assert.doesNotMatch(refused.message!, /needs Node/);
  },
);
