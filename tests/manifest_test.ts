import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { join } from "node:path";
import { test } from "node:test";
import { FIRST_NODE } from "../lib/errors/advice.ts";
import { root } from "./support/runtimes.ts";

function read(name: string): Record<string, unknown> {
  return JSON.parse(readFileSync(join(root, name), "utf8"));
}

test("deno.json and package.json agree", () => {
  const deno = read("deno.json");
  const npm = read("package.json");
  assert.equal(deno.name, `@${npm.name}/${npm.name}`);
  for (const field of ["version", "license"]) assert.equal(deno[field], npm[field], field);
  const sources = Object.entries(npm.exports as Record<string, { default: string; types: string }>).map(
    ([name, { default: code, types }]) => {
      assert.equal(types, code.replace(/\.js$/, ".d.ts"));
      return [name, code.replace("./dist/", "./").replace(/\.js$/, ".ts")];
    },
  );
  // Deno runs the command from the source, by a name of its own; npm has "bin" for it.
  const { "./cnctl": command, ...library } = deno.exports as Record<string, string>;
  assert.equal(command, "./lib/cli/main.ts");
  assert.deepEqual(library, Object.fromEntries(sources));
  const imports = deno.imports as Record<string, string>;
  const dependencies = { ...npm.devDependencies as object, ...npm.dependencies as object } as Record<
    string,
    string
  >;
  for (const [name, specifier] of Object.entries(imports).filter(([, to]) => to.startsWith("npm:"))) {
    assert.equal(specifier, `npm:${name}@${dependencies[name]}`);
  }
});

test("tasks of deno.json find Deno also after npm ci", () => {
  const { tasks } = read("deno.json") as { tasks: Readonly<Record<string, string>> };
  for (const [name, task] of Object.entries(tasks)) {
    // Deno would take a bare "deno" for the package in node_modules, and its binary for JavaScript.
    if (/\bdeno\b/.test(task)) assert.match(task, /^env (\w+=\S+ )*deno /, name);
  }
});

test("the library depends on nothing", () => {
  const npm = read("package.json");
  for (const field of ["dependencies", "peerDependencies", "optionalDependencies"]) {
    assert.equal(npm[field], undefined, field);
  }
  assert.equal(npm.sideEffects, false); // nothing that is exported runs at import
});

test("the manifest asks for the Node that the library asks for", () => {
  assert.deepEqual(read("package.json").engines, { node: `>=${FIRST_NODE}` });
});

test("the changelog knows this version, released or not", () => {
  const version = String(read("package.json").version).replaceAll(".", "\\.");
  const changelog = readFileSync(join(root, "CHANGELOG.md"), "utf8");
  assert.match(
    changelog,
    new RegExp(`^## \\[${version}\\]|^## \\[Unreleased\\]\n+This will be ${version}\\b`, "m"),
  );
});
