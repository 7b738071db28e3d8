import assert from "node:assert/strict";
import { test } from "node:test";
import { inOrder, moduleDepends, moduleName } from "./modules.ts";

test("a module's kernel name is derived from its file name", () => {
  assert.equal(moduleName("drivers/md/dm-mod.ko.xz"), "dm_mod");
  assert.equal(moduleName("9p.ko"), "9p");
});

test("the dependencies of a module are read from its .modinfo", () => {
  const info = (text: string): Buffer => Buffer.from(`\x7fELF\0license=GPL\0${text}\0name=x\0`, "latin1");
  assert.deepEqual(moduleDepends(info("depends=dm-mod,dm_log")), ["dm_mod", "dm_log"]);
  assert.deepEqual(moduleDepends(info("depends=")), []);
  assert.deepEqual(moduleDepends(info("softdepends=y")), []);
});

test("modules follow their dependencies, each once, without built-in ones", () => {
  const depends = new Map([
    ["mirror", ["hash", "log", "mod"]],
    ["hash", ["log"]],
    ["log", ["mod"]],
    ["mod", []],
    ["left", ["right"]],
    ["right", ["left"]],
  ]);
  assert.deepEqual(inOrder(["mirror", "log", "builtin"], depends), ["mod", "log", "hash", "mirror"]);
  assert.deepEqual(inOrder(["left"], depends), ["right", "left"]);
});
