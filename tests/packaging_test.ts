import assert from "node:assert/strict";
import { type ChildProcess, execFileSync, spawn } from "node:child_process";
import {
  copyFileSync,
  cpSync,
  existsSync,
  readdirSync,
  readFileSync,
  rmSync,
  symlinkSync,
  writeFileSync,
} from "node:fs";
import { dirname, join } from "node:path";
import process from "node:process";
import { after, test } from "node:test";
import { whyNoProcessEvents } from "./support/kernel.ts";
import { built, DOCUMENTS, emptyFolder, ENTRY_POINTS, LIMIT_MS, removeAll, run } from "./support/package.ts";
import { binary, root, runtime } from "./support/runtimes.ts";

/**
 * What is shipped, run from an empty folder as a user would: on every runtime, but made by one only, to save time.
 */
const notHere: string | false = runtime === "bun"
  ? false
  : "what is shipped is made and run once, by Bun's tests";
const noEvents: string | false = notHere || await whyNoProcessEvents();
after(removeAll);

/** How each runtime runs a JavaScript file with no more than it needs. */
const RUNTIMES: Readonly<Record<string, readonly string[]>> = {
  bun: [binary("bun")],
  deno: [binary("deno"), "run", "-A", "--no-check", "--no-config"],
  node: [binary("node"), "--disable-warning=ExperimentalWarning"],
};

/** A program that sees a child of its own begin and end, by what `specifier` gives. */
function watcher(specifier: string): string {
  return `
import { spawn } from "node:child_process";
import process from "node:process";
import { watchProcesses } from ${JSON.stringify(specifier)};
const events = await watchProcesses({ events: ["exec", "exit"] });
const child = spawn("/bin/sh", ["-c", "exit 3"], { stdio: "ignore" });
let seen = "";
for await (const event of events) {
  if (event.pid !== child.pid || event.thread) continue;
  seen += event.type + " ";
  if (event.type === "exit") {
    console.log(seen + event.exitCode);
    break;
  }
}
process.exitCode = 0;
`;
}

/** Runs the watcher on all three runtimes, from `cwd`, which holds `watch.mjs`. */
function watchesEverywhere(cwd: string): void {
  for (const [name, [program, ...args]] of Object.entries(RUNTIMES)) {
    assert.equal(run(cwd, program!, ...args, "watch.mjs"), "exec exit 3\n", name);
  }
}

for (
  const [name, flags] of Object.entries({
    "esbuild": ["--bundle", "--format=esm", "--platform=neutral"],
    "esbuild, minified": ["--bundle", "--format=esm", "--platform=neutral", "--minify"],
  })
) {
  test(`a bundle by ${name} watches on every runtime`, { skip: noEvents, timeout: LIMIT_MS }, () => {
    const cwd = emptyFolder(name.replace(/\W+/g, "-"));
    run(root, binary("esbuild"), "mod.ts", ...flags, `--outfile=${join(cwd, "bundle.mjs")}`);
    writeFileSync(join(cwd, "watch.mjs"), watcher("./bundle.mjs"));
    watchesEverywhere(cwd);
  });
}

test("a bundle by Bun watches on every runtime", { skip: noEvents, timeout: LIMIT_MS }, () => {
  const cwd = emptyFolder("bun-build");
  run(
    root,
    binary("bun"),
    "build",
    "mod.ts",
    "--target=node",
    "--minify",
    `--outfile=${join(cwd, "bundle.mjs")}`,
  );
  writeFileSync(join(cwd, "watch.mjs"), watcher("./bundle.mjs"));
  watchesEverywhere(cwd);
});

test("a bundle by Deno watches on every runtime", { skip: noEvents, timeout: LIMIT_MS }, () => {
  const cwd = emptyFolder("deno-bundle");
  const local = "--node-modules-dir=manual";
  run(root, binary("deno"), "bundle", "-q", local, "mod.ts", "-o", join(cwd, "bundle.mjs"));
  writeFileSync(join(cwd, "watch.mjs"), watcher("./bundle.mjs"));
  watchesEverywhere(cwd);
});

test("what npm run build makes watches on every runtime", { skip: noEvents, timeout: LIMIT_MS }, () => {
  const cwd = emptyFolder("dist");
  writeFileSync(join(cwd, "watch.mjs"), watcher(join(built(), "dist/mod.js")));
  watchesEverywhere(cwd);
});

/** Whether there is npm, which a runtime may come without. */
function whyNoNpm(): string | false {
  try {
    execFileSync("npm", ["--version"], { stdio: "ignore" });
    return false;
  } catch {
    return "there is no npm";
  }
}

interface PackResult {
  readonly filename: string;
  readonly files: readonly { readonly path: string }[];
}

let pack: PackResult | undefined;

/** Packs the package as it is published, once. */
function packed(): PackResult {
  if (pack !== undefined) return pack;
  const output = run(built(), "npm", "pack", "--json", "--ignore-scripts", "--offline");
  // Newer versions of npm answer an object by the package's name.
  const parsed = JSON.parse(output) as Record<string, PackResult> | PackResult[];
  return pack = Object.values(parsed)[0] as PackResult;
}

/** A folder in which the package is installed from its tarball, and nothing else. */
function installed(): string {
  const cwd = emptyFolder("user");
  if (existsSync(join(cwd, "package.json"))) return cwd;
  writeFileSync(join(cwd, "package.json"), '{ "type": "module" }\n');
  run(cwd, "npm", "install", "--offline", join(built(), packed().filename));
  return cwd;
}

const noNpm = notHere || whyNoNpm();

test("npm pack holds what it should, and nothing else", { skip: noNpm, timeout: LIMIT_MS }, () => {
  const files = packed().files.map(({ path }) => path);
  const others = files.filter((path) => !path.startsWith("dist/"));
  assert.deepEqual(
    others.filter((path) => !path.startsWith("docs/")).sort(),
    ["package.json", ...DOCUMENTS].sort(),
  );
  for (const path of others) assert(existsSync(join(root, path)), path);
  const { man } = JSON.parse(readFileSync(join(root, "package.json"), "utf8")) as { man: readonly string[] };
  const made = [
    "dist/cnctl.js",
    "dist/cnctl-fleet.js",
    "dist/globals.d.ts",
    ...man.map((path) => path.replace("./", "")),
  ]
    .concat(["bash", "fish", "zsh"].map((shell) => `dist/completions/cnctl.${shell}`));
  for (const path of files.filter((path) => path.startsWith("dist/") && !made.includes(path))) {
    assert.match(path, /^dist\/(mod|ffi\/\w+|lib\/(?!cli\/)[\w/]+)\.(js|d\.ts)$/, path);
    const source = path.replace(/^dist\//, "").replace(/(\.d\.ts|\.js)$/, ".ts");
    assert(existsSync(join(root, source)), `${path} is made of no source`);
  }
  const entries = Object.values(ENTRY_POINTS).flatMap(({ types, default: code }) => [types, code]);
  for (const needed of ["dist/ffi/node.js", ...made, ...entries.map((path) => path.replace("./", ""))]) {
    assert(files.includes(needed), needed);
  }
});

/** A program that imports every entry point of the package by its name. */
const IMPORTS_ALL =
  Object.keys(ENTRY_POINTS).map((name, i) => `import * as p${i} from ${JSON.stringify(name)};\n`)
    .join("") +
  `console.log(${
    Object.keys(ENTRY_POINTS).map((_name, i) => `Object.keys(p${i}).length > 0`).join(", ")
  });\n`;
const IMPORTED = `${Object.keys(ENTRY_POINTS).map(() => "true").join(" ")}\n`;

test("the package as installed is imported on every runtime", { skip: noNpm, timeout: LIMIT_MS }, () => {
  const cwd = installed();
  assert.deepEqual(readdirSync(join(cwd, "node_modules")).filter((name) => !name.startsWith(".")), [
    "kernel-connector",
  ]);
  writeFileSync(join(cwd, "import.mjs"), IMPORTS_ALL);
  for (const [name, [program, ...args]] of Object.entries(RUNTIMES)) {
    const flags = name === "deno" ? [...args, "--node-modules-dir=manual"] : args;
    assert.equal(run(cwd, program!, ...flags, "import.mjs"), IMPORTED, name);
  }
});

test("the command as installed runs on every runtime", { skip: noNpm, timeout: LIMIT_MS }, () => {
  const cwd = installed();
  const link = join(cwd, "node_modules/.bin/cnctl");
  const { version } = JSON.parse(readFileSync(join(root, "package.json"), "utf8")) as { version: string };
  const path = `${dirname(binary("node"))}:${process.env.PATH}`; // the shebang's node
  const output = execFileSync(link, ["--version"], { env: { PATH: path }, encoding: "utf8" });
  assert.equal(output, `${version}\n`);
  for (const [name, [program, ...args]] of Object.entries(RUNTIMES)) {
    // No more permission on Deno than README says.
    const flags = name === "deno" ? ["run", "--no-config", "--allow-ffi"] : args;
    const checks = JSON.parse(run(cwd, program!, ...flags, link, "doctor", "--json"));
    assert.match(JSON.stringify(checks), /"runtime"/, name);
  }
});

test("a checkout is installed by its path", { skip: noNpm, timeout: LIMIT_MS }, () => {
  const checkout = emptyFolder("checkout");
  for (
    const name of ["package.json", "tsconfig.json", "tsconfig.build.json", "mod.ts", "ffi", "lib", "scripts"]
  ) {
    cpSync(join(root, name), join(checkout, name), { recursive: true });
  }
  const cwd = emptyFolder("checkout-user");
  writeFileSync(join(cwd, "package.json"), '{ "type": "module" }\n');
  const install = ["install", "--offline", "--install-links=false", checkout];
  assert.throws(
    () => run(cwd, "npm", ...install),
    /its tools are not installed: run npm ci in /,
    "without development dependencies",
  );
  const tryCommand = ["exec", "--offline", "--", "cnctl", "--version"];
  assert.throws(() => run(checkout, "npm", ...tryCommand), /its tools are not installed: run npm ci in /);
  symlinkSync(join(root, "node_modules"), join(checkout, "node_modules"));
  run(checkout, "npm", "run", "prepare"); // as npm ci does at its end
  run(cwd, "npm", ...install, "--ignore-scripts");
  writeFileSync(join(cwd, "import.mjs"), IMPORTS_ALL);
  assert.equal(
    run(cwd, binary("node"), "--disable-warning=ExperimentalWarning", "import.mjs"),
    IMPORTED,
  );
  // In the checkout itself, too, where its own package.json names the command.
  assert.match(run(checkout, "npm", ...tryCommand), /^\d+\.\d+\.\d+$/m);
  const prefix = emptyFolder("prefix");
  run(checkout, "npm", "install", "--offline", "--ignore-scripts", "--global", "--prefix", prefix, ".");
  assert.match(run(cwd, binary("node"), join(prefix, "bin/cnctl"), "--version"), /^\d+\.\d+\.\d+$/m);
});

test("the single binary watches from an empty folder", { skip: noEvents, timeout: LIMIT_MS }, async () => {
  const made = join(emptyFolder("binary"), "cnctl");
  const { scripts } = JSON.parse(readFileSync(join(root, "package.json"), "utf8")) as {
    scripts: Readonly<Record<string, string>>;
  };
  const [, ...words] = scripts["build:binary"]!.replace("dist/cnctl", made).split(" ");
  run(root, binary("bun"), ...words);
  const cwd = emptyFolder("alone");
  // Root may run it in a folder that somebody else has filled: what Bun would load from there is not loaded.
  writeFileSync(join(cwd, "bunfig.toml"), 'preload = ["./preload.js"]\n');
  writeFileSync(join(cwd, "preload.js"), 'console.log("preloaded");\n');
  writeFileSync(join(cwd, ".env"), "BUN_OPTIONS=--version\n");
  const program = join(cwd, "cnctl");
  copyFileSync(made, program);
  rmSync(dirname(made), { recursive: true });
  const child = spawn(program, ["watch", "--count", "3"], {
    cwd,
    env: { PATH: process.env.PATH ?? "" },
    stdio: ["ignore", "pipe", "pipe"],
  });
  const { output, status } = await ended(child);
  assert.equal(status, 0, output);
  assert.match(output, /^Time +Event +PID /);
  assert.equal(output.match(/^\d\d:\d\d:\d\d\.\d{3} \w+ +\d+ /gm)?.length, 3, output);
  assert.match(output, /^3 events in /m);
  assert.doesNotMatch(output, /preloaded/);
});

/** Starts processes until the child has seen enough of them. */
async function ended(child: ChildProcess): Promise<{ output: string; status: number | null }> {
  let output = "";
  for (const stream of [child.stdout!, child.stderr!]) {
    stream.setEncoding("utf8").on("data", (text: string) => output += text);
  }
  let over = false;
  const status = new Promise<number | null>((resolve) =>
    child.on("close", (code) => {
      over = true;
      resolve(code);
    })
  );
  const limit = performance.now() + LIMIT_MS / 2;
  while (!over && performance.now() < limit) {
    await new Promise((resolve) => spawn("/bin/true", { stdio: "ignore" }).on("close", resolve));
    await new Promise((resolve) => setTimeout(resolve, 20));
  }
  if (!over) child.kill("SIGKILL");
  return { output, status: await status };
}
