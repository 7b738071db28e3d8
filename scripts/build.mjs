/**
 * Makes what is published, in dist/: the library as JavaScript with its types, the command as one file, and its man
 * pages and completions.
 *
 * Plain JavaScript without any runtime's own API, because npm runs it as `prepare` with whatever Node it has itself.
 *
 *   node scripts/build.mjs                into dist/
 *   node scripts/build.mjs FOLDER         into another folder
 */
import { execFileSync } from "node:child_process";
import { chmodSync, copyFileSync, existsSync, mkdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { basename, dirname, join, relative, resolve } from "node:path";
import process from "node:process";
import { fileURLToPath } from "node:url";

const root = dirname(dirname(fileURLToPath(import.meta.url)));
const out = resolve(process.argv[2] ?? join(root, "dist"));
const typescript = join(root, "node_modules/typescript/bin/tsc");

/** @returns {Promise<typeof import("esbuild")>} */
async function tools() {
  try {
    if (existsSync(typescript)) return await import("esbuild");
  } catch {
    // as below
  }
  const advice = basename(root).startsWith("git-clone")
    ? "npm does not install them for a global install from git: clone it, then run npm ci and npm install --global . there"
    : `run npm ci in ${root}`;
  const error = `Cannot build kernel-connector: its tools are not installed: ${advice}`;
  // For npx in a checkout, npm would hide a failure, and its cache would stay broken even after npm ci.
  if (process.env.npm_command === "exec") writeCommandThatFails(error);
  else {
    console.error(error);
    process.exitCode = 1;
  }
  process.exit();
}

/** Writes a command that only prints an error, unless there is a command already. */
function writeCommandThatFails(/** @type {string} */ error) {
  const command = join(out, "cnctl.js");
  if (existsSync(command)) return;
  mkdirSync(out, { recursive: true });
  const code = `console.error(${JSON.stringify(error)});\nprocess.exitCode = 1;\n`;
  writeFileSync(command, `#!/usr/bin/env node\n${code}`, { mode: 0o755 });
}

const esbuild = await tools();
rmSync(out, { recursive: true, force: true });

try {
  // By its path: another version, which only tests use, could be what node_modules/.bin names.
  const args = [typescript, "-p", join(root, "tsconfig.build.json"), "--outDir", out];
  execFileSync(process.execPath, args, { stdio: ["ignore", 2, 2] }); // npm may read our standard output
} catch {
  process.exit(1); // it has said why
}

// The types bring what they need of the language's library: a program needs no option for them.
copyFileSync(join(root, "scripts/globals.d.ts"), join(out, "globals.d.ts"));
const { exports } = JSON.parse(readFileSync(join(root, "package.json"), "utf8"));
for (const { types } of Object.values(exports)) {
  const path = join(out, relative("dist", types));
  const globals = relative(dirname(path), join(out, "globals.d.ts"));
  writeFileSync(path, `/// <reference path="${globals}" />\n${readFileSync(path, "utf8")}`);
}

/** @type {import("esbuild").BuildOptions} */
const bundle = {
  bundle: true,
  format: "esm",
  platform: "node",
  target: "node20", // an older Node than ours must get as far as to say so
  // commander asks for Node's own modules by require(), which a module has not.
  banner: { js: "const require = (name) => globalThis.process.getBuiltinModule(name);" },
  logLevel: "warning",
};
const command = join(out, "cnctl.js");
// What only some commands load, as the library for NATS, is a file of its own: all others start as fast without it.
// (Splitting would make more than two files of it, and cost 40 ms at each start.)
const fleet = join(root, "lib/fleet/mod.ts");
await esbuild.build({
  ...bundle,
  entryPoints: [join(root, "lib/cli/main.ts")],
  outfile: command,
  plugins: [{
    name: "fleet",
    setup({ onResolve }) {
      onResolve(
        { filter: /\/fleet\/mod\.ts$/ },
        ({ kind }) => kind === "dynamic-import" ? { path: "./cnctl-fleet.js", external: true } : undefined,
      );
    },
  }],
});
await esbuild.build({ ...bundle, entryPoints: [fleet], outfile: join(out, "cnctl-fleet.js") });
chmodSync(command, 0o755);

const documents = join(out, "documents.mjs");
await esbuild.build({ ...bundle, entryPoints: [join(root, "scripts/documents.ts")], outfile: documents });
const { writeDocuments } = await import(documents);
// The date of the pages: that of the build, or what a build that is to be reproducible gives.
writeDocuments(out, new Date(Number(process.env.SOURCE_DATE_EPOCH ?? Date.now() / 1000) * 1000));
rmSync(documents);
