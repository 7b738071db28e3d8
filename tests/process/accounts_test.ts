import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { test } from "node:test";
import { readAccounts } from "../../lib/process/accounts.ts";
import { groupNames, userNames } from "../../mod.ts";
import { FakeLibc } from "../support/fake_libc.ts";

test("readAccounts() gives each name with its id, and passes over what is no account", () => {
  const libc = new FakeLibc();
  libc.files.write(
    "/etc/passwd",
    "a:x:5:5\nb:x:5:5\n\nbroken\n:x:7:7\nc:x:nan:1\nd:x:-1:1\ne:x:4294967295:1\n4711:x:6:6",
  );
  assert.deepEqual([...readAccounts(libc, "/etc/passwd")], [["a", 5], ["b", 5], ["4711", 6]]);
  assert.deepEqual([...readAccounts(libc, "/etc/group")], []);
  libc.assertAllClosed();
});

test("userNames() and groupNames() are this machine's", async () => {
  for (
    const [names, path] of [[await userNames(), "/etc/passwd"], [await groupNames(), "/etc/group"]] as const
  ) {
    const [first] = readFileSync(path, "utf8").split(":");
    assert.equal(names.get(0), first);
    assert(names.size > 5);
  }
});
