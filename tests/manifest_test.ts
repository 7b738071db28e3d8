import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { join } from "node:path";
import { test } from "node:test";
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
  assert.deepEqual(deno.exports, Object.fromEntries(sources));
  const imports = deno.imports as Record<string, string>;
  const dependencies = { ...npm.devDependencies as object, ...npm.dependencies as object } as Record<
    string,
    string
  >;
  for (const [name, specifier] of Object.entries(imports).filter(([, to]) => to.startsWith("npm:"))) {
    assert.equal(specifier, `npm:${name}@${dependencies[name]}`);
  }
});

test("the changelog knows this version", () => {
  const { version } = read("package.json");
  assert.match(readFileSync(join(root, "CHANGELOG.md"), "utf8"), new RegExp(`^## ${version}\\b`, "m"));
});
