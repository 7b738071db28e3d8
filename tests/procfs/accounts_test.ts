import assert from "node:assert/strict";
import { emptyInfo } from "../../lib/processes/info.ts";
import { readFileSync } from "node:fs";
import { test } from "node:test";
import { ERRNO } from "../../lib/errors/errno.ts";
import { checkProcessFilter, isWanted } from "../../lib/processes/process_filter.ts";
import { readAccounts, readUserAccounts } from "../../lib/procfs/accounts.ts";
import { groupNames, userNames } from "../../lib/procfs/accounts.ts";
import { FakeLibc } from "../support/fake_libc.ts";

test("readAccounts() returns each name with its id, and skips malformed lines", () => {
  const libc = new FakeLibc();
  libc.files.write(
    "/etc/passwd",
    "a:x:5:5\nb:x:5:5\n\nbroken\n:x:7:7\nc:x:nan:1\nd:x:-1:1\ne:x:4294967295:1\n#f:x:8:8\n+::::::\n4711:x:6:6",
  );
  assert.deepEqual([...readAccounts(libc, "/etc/passwd")], [["a", 5], ["b", 5], ["4711", 6]]);
  assert.deepEqual([...readAccounts(libc, "/etc/group")], []);
  libc.assertAllClosed();
});

test("readAccounts() reads a file of any length, and no truncated line", () => {
  const libc = new FakeLibc();
  const filler = "nobody:x:65534:65534:nobody:/nonexistent:/usr/sbin/nologin\n";
  const before = filler.repeat(Math.ceil((1 << 20) / filler.length)).slice(
    0,
    (1 << 20) - "\nbob:x:10".length,
  );
  libc.files.write("/etc/passwd", `${before}\nbob:x:1000345:1000345\nlast:x:1000346:1000346\n`);
  libc.readBytes = 60_001; // the end of a read means nothing
  const names = new Map(readAccounts(libc, "/etc/passwd"));
  assert.deepEqual([names.get("bob"), names.get("last")], [1_000_345, 1_000_346]);
  const filter = checkProcessFilter({ users: ["bob"] }, libc, "watch processes")!;
  const isWantedUser = (uid: number): boolean => isWanted(filter, { ...emptyInfo(7, undefined), uid });
  assert.deepEqual([10, 1_000_345].map(isWantedUser), [false, true]);
  libc.assertAllClosed();
});

test("readUserAccounts() returns what a program needs to run as a user", () => {
  const libc = new FakeLibc();
  const filler = "nobody:x:65534:65534:nobody:/nonexistent:/usr/sbin/nologin\n".repeat(20_000); // over 1 MiB
  const lines =
    "a:x:5:50:A:/home/a:/bin/sh\nb:x:5:51::/home/b:\n#c:x:6:6::/:\nd:x:7:nan::/:\n+::::::\ne:x:8:80\n";
  libc.files.write("/etc/passwd", `${lines}${filler}bob:x:1000345:1000346:Bob:/home/bob:/bin/sh`);
  const accounts = readUserAccounts(libc);
  assert.deepEqual([...accounts.keys()], [5, 8, 65534, 1_000_345]);
  assert.deepEqual(accounts.get(5), { name: "a", uid: 5, gid: 50, home: "/home/a" });
  assert.deepEqual(accounts.get(8), { name: "e", uid: 8, gid: 80, home: "/" });
  assert.deepEqual(accounts.get(1_000_345), {
    name: "bob",
    uid: 1_000_345,
    gid: 1_000_346,
    home: "/home/bob",
  });
  libc.assertAllClosed();
});

test("readAccounts() rejects a file that it cannot read completely", () => {
  const libc = new FakeLibc();
  libc.files.write("/etc/passwd", "bob:x:1000345:1000345\n");
  libc.answers("read", (_, into) => {
    (into as Uint8Array).set(new TextEncoder().encode("bob:x:10"));
    return 8;
  }, -ERRNO["EIO"]!);
  assert.throws(
    () => [...readAccounts(libc, "/etc/passwd")],
    /^SyscallError: Cannot read the names in \/etc\/passwd: open or read failed with EIO$/,
  );
  libc.answers("open", -ERRNO["EMFILE"]!);
  assert.throws(() => checkProcessFilter({ users: ["bob"] }, libc, "watch processes"), /failed with EMFILE/);
  libc.files.write("/etc/passwd", new Uint8Array((64 << 20) + 1).fill(10));
  assert.throws(() => [...readAccounts(libc, "/etc/passwd")], /failed with EFBIG: it has more than 67108864/);
  libc.assertAllClosed();
});

test("userNames() and groupNames() return the names of this machine", async () => {
  for (
    const [names, path] of [[await userNames(), "/etc/passwd"], [await groupNames(), "/etc/group"]] as const
  ) {
    const [first] = readFileSync(path, "utf8").split(":");
    assert.equal(names.get(0), first);
    assert(names.size > 5);
  }
});
