import assert from "node:assert/strict";
import { type ChildProcess, execFileSync, spawn } from "node:child_process";
import { copyFileSync, existsSync, mkdirSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { dirname, join } from "node:path";
import process from "node:process";
import { after, test } from "node:test";
import { whyNoProcessEvents } from "./support/kernel.ts";
import { binary, root, runtime } from "./support/runtimes.ts";

/**
 * What is shipped, run from an empty folder as a user would: on every runtime, but made by one only, to save time.
 */
const notHere: string | false = runtime === "bun"
  ? false
  : "what is shipped is made and run once, by Bun's tests";
const noEvents: string | false = notHere || await whyNoProcessEvents();

const LIMIT_MS = 60_000;
const folder = mkdtempSync(join(tmpdir(), "connector-package-"));
after(() => rmSync(folder, { recursive: true, force: true }));

/** Runs a command to its end; answers what it wrote. A failure shows both. */
function run(cwd: string, program: string, ...args: string[]): string {
  const env = {
    ...process.env,
    NO_COLOR: "1",
    DENO_NO_UPDATE_CHECK: "1",
    npm_config_update_notifier: "false",
  };
  return execFileSync(program, args, { cwd, env, encoding: "utf8", stdio: "pipe", timeout: LIMIT_MS });
}

/** An empty folder of its own. */
function emptyFolder(name: string): string {
  const path = join(folder, name);
  mkdirSync(path, { recursive: true });
  return path;
}

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

/** Compiles as `npm run build` does, into a folder of this test's; answers the package's folder. */
function built(): string {
  const home = join(folder, "package");
  if (!existsSync(home)) {
    mkdirSync(home);
    for (const name of ["package.json", "LICENSE", "README.md"]) {
      if (existsSync(join(root, name))) copyFileSync(join(root, name), join(home, name));
    }
    run(root, binary("tsc"), "-p", "tsconfig.build.json", "--outDir", join(home, "dist"));
  }
  return home;
}

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

test(
  "npm pack holds what it should, and nothing else",
  { skip: notHere || whyNoNpm(), timeout: LIMIT_MS },
  () => {
    const home = built();
    const output = run(home, "npm", "pack", "--json", "--ignore-scripts", "--offline");
    // Newer versions of npm answer an object by the package's name.
    const parsed = JSON.parse(output) as Record<string, PackResult> | PackResult[];
    const [packed] = Object.values(parsed) as PackResult[];
    const files = packed!.files.map(({ path }) => path).sort();
    const own = ["LICENSE", "README.md", "package.json"].filter((name) => existsSync(join(home, name)));
    assert.deepEqual(files.filter((path) => !path.startsWith("dist/")), own);
    for (const path of files.filter((path) => path.startsWith("dist/"))) {
      assert.match(path, /^dist\/(mod|ffi\/\w+|lib\/[\w/]+)\.(js|d\.ts)$/, path);
      const source = path.replace(/^dist\//, "").replace(/(\.d\.ts|\.js)$/, ".ts");
      assert(existsSync(join(root, source)), `${path} is made of no source`);
    }
    for (const needed of ["dist/mod.js", "dist/mod.d.ts", "dist/lib/cli/main.js", "dist/ffi/node.js"]) {
      assert(files.includes(needed), needed);
    }

    // As installed: by its name, without its dependencies, which only the command has.
    const cwd = emptyFolder("user");
    const installed = join(cwd, "node_modules/kernel-connector");
    mkdirSync(installed, { recursive: true });
    run(cwd, "tar", "xzf", join(home, packed!.filename), "-C", installed, "--strip-components=1");
    writeFileSync(join(cwd, "package.json"), '{ "type": "module" }\n');
    writeFileSync(
      join(cwd, "import.mjs"),
      `import * as all from "kernel-connector";\nconsole.log(typeof all.watchProcesses, Object.keys(all).length > 10);\n`,
    );
    for (const [name, [program, ...args]] of Object.entries(RUNTIMES)) {
      const flags = name === "deno" ? [...args, "--node-modules-dir=manual"] : args;
      assert.equal(run(cwd, program!, ...flags, "import.mjs"), "function true\n", name);
    }
  },
);

interface PackResult {
  readonly filename: string;
  readonly files: readonly { readonly path: string }[];
}

test("types of the package are those of the source", { skip: notHere, timeout: LIMIT_MS }, () => {
  const cwd = emptyFolder("types");
  writeFileSync(
    join(cwd, "use.ts"),
    `import { watchProcesses } from ${JSON.stringify(join(built(), "dist/mod.js"))};
const events = await watchProcesses({ events: ["exit"] });
for await (const event of events) if (event.type === "exit") { const code: number | null = event.exitCode; void code; }
// @ts-expect-error there is no such event
await watchProcesses({ events: ["exits"] });
`,
  );
  writeFileSync(
    join(cwd, "tsconfig.json"),
    JSON.stringify({
      compilerOptions: {
        strict: true,
        noEmit: true,
        module: "nodenext",
        target: "es2024",
        lib: ["es2024", "esnext.disposable", "dom"],
        types: [],
      },
      files: ["use.ts"],
    }),
  );
  writeFileSync(join(cwd, "package.json"), '{ "type": "module" }\n');
  run(cwd, binary("tsc"), "-p", ".");
});

test("the single binary watches from an empty folder", { skip: noEvents, timeout: LIMIT_MS }, async () => {
  const made = join(emptyFolder("binary"), "cnctl");
  run(root, binary("bun"), "build", "--compile", "--minify", "lib/cli/main.ts", "--outfile", made);
  const cwd = emptyFolder("alone");
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
