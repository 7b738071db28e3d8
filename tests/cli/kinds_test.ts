import assert from "node:assert/strict";
import { test } from "node:test";
import { PROCESS_EVENT_TYPES } from "../../lib/processes/constants.ts";
import { KINDS, libraryKinds, parseKinds } from "../../lib/cli/commands/watch/kinds.ts";
import { suggest } from "../../lib/cli/suggest.ts";

test("parseKinds() parses names, including those of forkstat and the library", () => {
  assert.deepEqual([...parseKinds("fork,exec,exit", false).kinds], ["fork", "exec", "exit"]);
  assert.deepEqual([...parseKinds(" Exec, clone,ptrce,coredump,exec", false).kinds], [
    "exec",
    "thread",
    "ptrace",
    "core",
  ]);
  assert.equal(parseKinds("fork,exec", false).threads, false);
  assert.equal(parseKinds("fork,thread", false).threads, true);
  assert.deepEqual([...parseKinds("fork,exit", true).kinds], ["fork", "exit", "thread"]);
  const exits = parseKinds("exit", true);
  assert.deepEqual([...exits.kinds, exits.threads], ["exit", true], "starts were not asked for");
});

test("parseKinds() takes all for everything, including threads and unknown types", () => {
  const all = parseKinds("all", false);
  assert.deepEqual([...all.kinds], Object.keys(KINDS));
  assert.deepEqual([all.threads, all.unknown], [true, true]);
  assert.equal(parseKinds("exec", false).unknown, false);
});

test("parseKinds() rejects unknown names, lists the valid ones, and suggests", () => {
  const good = "choose from fork, thread, exec, exit, uid, gid, sid, ptrace, comm, core, all.";
  assert.throws(() => parseKinds("exce", false), {
    message: `There is no event "exce" (did you mean exec?); ${good}`,
  });
  assert.throws(() => parseKinds("exec,frok", false), /"frok" \(did you mean fork\?\)/);
  assert.throws(() => parseKinds("banana", false), { message: `There is no event "banana"; ${good}` });
  assert.throws(() => parseKinds("exec,", false), /An event name is missing/);
  assert.throws(() => parseKinds("", false), /An event name is missing/);
  assert.throws(() => parseKinds("toString", false), /There is no event "tostring"/);
});

test("libraryKinds() names each once, and the library knows them all", () => {
  assert.deepEqual(libraryKinds(parseKinds("fork,thread,core", false)), ["fork", "coredump"]);
  const all = libraryKinds(parseKinds("all", false));
  assert.deepEqual([...all].sort(), Object.keys(PROCESS_EVENT_TYPES).sort());
});

test("suggest() finds typing errors, and nothing far-fetched", () => {
  const names = ["fork", "exec", "exit", "ptrace"];
  assert.equal(suggest("eixt", names), "exit");
  assert.equal(suggest("ptrac", names), "ptrace");
  assert.equal(suggest("fro", names), undefined);
  assert.equal(suggest("zzzz", names), undefined);
});
