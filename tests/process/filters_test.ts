import assert from "node:assert/strict";
import { test } from "node:test";
import {
  checkProcessFilter,
  isWanted,
  type ProcessFilter,
  wantedProcess,
} from "../../lib/process/filters.ts";
import { emptyInfo, type ProcessInfo } from "../../lib/process/info.ts";
import type { ProcEvent } from "../../lib/protocols/proc/event.ts";
import { encodeText } from "../../lib/wire/text.ts";
import { Events } from "./events.ts";
import { FakeProc } from "./fake_proc.ts";

const PASSWD =
  "root:x:0:0:root:/root:/bin/sh\n# no line\n\nwww:x:33:33::/:/bin/false\nwww:x:34:34::/:\nodd:x:abc:1::/:\n" +
  "4711:x:5:5::/:/bin/sh\n";

function machine(): FakeProc {
  const fake = new FakeProc();
  fake.files.set("/etc/passwd", encodeText(PASSWD));
  return fake;
}

function wants(filter: ProcessFilter, fields: Partial<ProcessInfo>): boolean {
  const checked = checkProcessFilter(filter, machine().libc, "watch processes")!;
  return isWanted(checked, { ...emptyInfo(7, undefined), ...fields });
}

test("nothing asked for is no filter", () => {
  assert.equal(checkProcessFilter({}, machine().libc, "x"), undefined);
});

test("a filter says which fields it needs", () => {
  const fields = (filter: ProcessFilter): unknown => checkProcessFilter(filter, machine().libc, "x")?.fields;
  assert.deepEqual(fields({ comm: "x" }), []);
  assert.deepEqual(fields({ users: [0], exe: "x", cgroup: "/" }), ["user", "exe", "cgroup"]);
});

test("users by name and number, real or effective", () => {
  assert.equal(wants({ users: ["www"] }, { uid: 33, effectiveUid: 0 }), true);
  assert.equal(wants({ users: ["root"] }, { uid: 33, effectiveUid: 0 }), true);
  assert.equal(wants({ users: [34] }, { uid: 33, effectiveUid: 0 }), false);
  assert.equal(wants({ users: ["33", 1] }, { uid: 33, effectiveUid: 33 }), true);
  assert.equal(wants({ users: ["4711"] }, { uid: 5, effectiveUid: 5 }), true); // a name, though it looks like none
  assert.equal(wants({ users: [0] }, {}), false);
});

test("/etc/passwd is read only for names, and a user that it does not have is an error", () => {
  const fake = machine();
  checkProcessFilter({ users: [0, 33] }, fake.libc, "x");
  assert.deepEqual(fake.calls, []);
  assert.throws(
    () => checkProcessFilter({ users: ["nobody"] }, fake.libc, "watch processes"),
    /^TypeError: Cannot watch processes: \/etc\/passwd has no user "nobody"; users from elsewhere go by their number$/,
  );
  assert.throws(() => checkProcessFilter({ users: [] }, fake.libc, "x"), /the list of users is empty/);
  for (const uid of [-1, 1.5, 0xffff_ffff]) {
    assert.throws(() => checkProcessFilter({ users: [uid] }, fake.libc, "x"), /is no user id/);
  }
  assert.equal(fake.openCount, 0);
});

test("comm, exe and cgroup as text, expression or list", () => {
  const cases: [ProcessFilter, Partial<ProcessInfo>, boolean][] = [
    [{ comm: "sh" }, { comm: "sh" }, true],
    [{ comm: "sh" }, { comm: "bash" }, false],
    [{ comm: /sh$/g }, { comm: "bash" }, true],
    [{ comm: ["x", /^ba/] }, { comm: "bash" }, true],
    [{ comm: "sh" }, {}, false],
    [{ exe: "/bin/sh" }, { exe: "/bin/sh" }, true],
    [{ exe: "/bin/sh" }, { exe: "/bin/sh (deleted)" }, true],
    [{ exe: "sh" }, { exe: "/bin/sh" }, true],
    [{ exe: "sh" }, { exe: "/bin/bash" }, false],
    [{ exe: "sh" }, { exe: "/sh/x" }, false],
    [{ exe: /^\/usr\// }, { exe: "/usr/bin/x" }, true],
    [{ cgroup: "/a" }, { cgroup: "/a" }, true],
    [{ cgroup: "/a" }, { cgroup: "/a/b" }, true],
    [{ cgroup: "/a/" }, { cgroup: "/a/b" }, true],
    [{ cgroup: "/a" }, { cgroup: "/ab" }, false],
    [{ cgroup: "/" }, { cgroup: "/x" }, true],
    [{ cgroup: /b$/ }, { cgroup: "/ab" }, true],
    [{ cgroup: "/" }, {}, false],
    [{ comm: "a", exe: "b" }, { comm: "a", exe: "/b" }, true],
    [{ comm: "a", exe: "b" }, { comm: "a", exe: "/c" }, false],
  ];
  for (const [filter, info, expected] of cases) {
    assert.equal(wants(filter, info), expected, `${JSON.stringify(filter)} ${JSON.stringify(info)}`);
  }
});

test("an expression is the same the second time", () => {
  const filter = checkProcessFilter({ comm: /a/gy }, machine().libc, "x")!;
  const info = { ...emptyInfo(7, undefined), comm: "ba" };
  assert.deepEqual([isWanted(filter, info), isWanted(filter, info)], [true, true]);
});

test("what is no pattern is refused", () => {
  const { libc } = machine();
  assert.throws(() => checkProcessFilter({ comm: [] }, libc, "x"), /the list for comm is empty/);
  assert.throws(() => checkProcessFilter({ exe: 7 as unknown as string }, libc, "x"), /exe must be text or/);
});

test("wantedProcess(): losses pass, events without a known process do not", () => {
  const filter = checkProcessFilter({ comm: "sh" }, machine().libc, "x")!;
  const make = new Events(() => 1n);
  const known: ProcEvent & { process?: ProcessInfo } = make.exec(7);
  known.process = { ...emptyInfo(7, undefined), comm: "sh" };
  assert.deepEqual([make.lost(1), make.exec(7), known].map((event) => wantedProcess(filter, event)), [
    true,
    false,
    true,
  ]);
});
