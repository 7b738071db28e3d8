import assert from "node:assert/strict";
import { test } from "node:test";
import { checkProcessFilter, isWanted, matchEvent } from "../../lib/processes/process_filter.ts";
import type { ProcessFilter } from "../../lib/processes/filter.ts";
import { emptyInfo, type ProcessInfo } from "../../lib/processes/info.ts";
import { encodeText } from "../../lib/wire/text.ts";
import { cgroupTest } from "../../lib/processes/cgroup_path.ts";
import { FakeLibc } from "../support/fake_libc.ts";
import { Events } from "./events.ts";
import { FakeProc } from "./fake_proc.ts";

const PASSWD =
  "root:x:0:0:root:/root:/bin/sh\n# no line\n\nwww:x:33:33::/:/bin/false\nwww:x:34:34::/:\nodd:x:abc:1::/:\n" +
  "4711:x:5:5::/:/bin/sh\n";

function system(): FakeProc {
  const fake = new FakeProc();
  fake.files.set("/etc/passwd", encodeText(PASSWD));
  return fake;
}

function wants(filter: ProcessFilter, fields: Partial<ProcessInfo>, fake: FakeProc = system()): boolean {
  const checked = checkProcessFilter(filter, fake.libc, "watch processes")!;
  return isWanted(checked, { ...emptyInfo(7, undefined), ...fields });
}

test("nothing asked for is no filter", () => {
  assert.equal(checkProcessFilter({}, system().libc, "x"), undefined);
});

test("a filter says which fields it needs", () => {
  const fields = (filter: ProcessFilter): unknown => checkProcessFilter(filter, system().libc, "x")?.fields;
  assert.deepEqual(fields({ comm: "x" }), []);
  assert.deepEqual(fields({ users: [0], exe: "x", cgroup: "/" }), ["user", "exe", "cgroup"]);
  assert.deepEqual(fields({ exe: "x", exclude: { exe: /x/, commandLine: "y" } }), ["exe", "commandLine"]);
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
  const fake = system();
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

test("name: the kernel's, or that of the program or script", () => {
  const exe = "/opt/tools/make";
  assert.equal(wants({ name: "make" }, { comm: "make" }), true);
  assert.equal(wants({ name: "make" }, { comm: "other", exe }), true);
  assert.equal(wants({ name: "make" }, { comm: "remake", exe: "/bin/remake" }), false);
  assert.equal(wants({ name: "m?ke" }, { comm: "x", exe: `${exe} (deleted)` }), true);
  assert.equal(wants({ name: /^ma/ }, { comm: "x", exe }), true);
  assert.equal(wants({ name: /^tools/ }, { comm: "x", exe }), false);
  // The kernel keeps 15 bytes.
  assert.equal(wants({ name: "systemd-journald" }, { comm: "systemd-journal" }), true);
  assert.equal(wants({ name: "systemd-*-with-a-long-name" }, { exe: "/x/systemd-x-with-a-long-name" }), true);
  assert.equal(wants({ name: "make", exclude: { name: "make" } }, { comm: "make" }), false);
  assert.throws(() => wants({ name: "bin/make" }, {}), /names have no \/; exe compares paths/);
  assert.throws(() => wants({ name: "" }, {}), /can never match: it is empty/);
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
  const filter = checkProcessFilter({ comm: /a/gy }, system().libc, "x")!;
  const info = { ...emptyInfo(7, undefined), comm: "ba" };
  assert.deepEqual([isWanted(filter, info), isWanted(filter, info)], [true, true]);
});

test("patterns: in names and arguments * is any text, in paths it ends at a /", () => {
  const cases: [ProcessFilter, Partial<ProcessInfo>, boolean][] = [
    [{ comm: "ba*" }, { comm: "bash" }, true],
    [{ comm: "ba*" }, { comm: "dbash" }, false],
    [{ comm: "b?sh" }, { comm: "bash" }, true],
    [{ comm: "b?sh" }, { comm: "bsh" }, false],
    [{ comm: "a\\*b" }, { comm: "axb" }, false],
    [{ comm: "a\\*b" }, { comm: "a*b" }, true],
    [{ comm: "a\\b" }, { comm: "a\\b" }, true], // no pattern
    [{ comm: "*\n*\u001b*" }, { comm: "x\n\u001b[2J" }, true],
    [{ comm: "\udcff*" }, { comm: "\udcffx" }, true],
    [{ comm: "?" }, { comm: "\u{1f600}" }, true],
    [{ exe: "python3*" }, { exe: "/usr/bin/python3.13" }, true],
    [{ exe: "python3*" }, { exe: "/opt/python3/bin/x" }, false],
    [{ exe: "/usr/*/x" }, { exe: "/usr/bin/x" }, true],
    [{ exe: "/usr/*/x" }, { exe: "/usr/a/b/x" }, false],
    [{ exe: "/usr/**/x" }, { exe: "/usr/a/b/x (deleted)" }, true],
    [{ exe: "*/bin/x" }, { exe: "/usr/bin/x" }, false],
    [{ exe: "**/bin/x" }, { exe: "/usr/bin/x" }, true],
    [{ cgroup: "/*.slice" }, { cgroup: "/a.slice/b/c" }, true],
    [{ cgroup: "/*.slice" }, { cgroup: "/a/b.slice" }, false],
    [{ cgroup: "docker-*" }, { cgroup: "/system.slice/docker-12.scope/init" }, true],
    [{ commandLine: "make te" }, { commandLine: ["/usr/bin/make", "test"] }, true],
    [{ commandLine: "make * -j" }, { commandLine: ["/usr/bin/make", "test", "-j2"] }, true],
    [{ commandLine: "make -j" }, { commandLine: ["/usr/bin/make", "test", "-j2"] }, false],
    [{ commandLine: /^\S*make( |$)/ }, { commandLine: ["/usr/bin/make", "test"] }, true],
    [{ commandLine: "x" }, {}, false],
  ];
  for (const [filter, info, expected] of cases) {
    assert.equal(wants(filter, info), expected, `${JSON.stringify(filter)} ${JSON.stringify(info)}`);
  }
});

test("what is excluded is not wanted; what is not known of a process is not excluded", () => {
  const cases: [ProcessFilter, Partial<ProcessInfo>, boolean][] = [
    [{ exclude: { comm: "sh" } }, { comm: "sh" }, false],
    [{ exclude: { comm: "sh" } }, { comm: "bash" }, true],
    [{ exclude: { comm: "sh" } }, {}, true],
    [{ exclude: { comm: "x", exe: "sh" } }, { comm: "y", exe: "/bin/sh" }, false],
    [{ users: [0], exclude: { users: [33] } }, { uid: 0, effectiveUid: 33 }, false],
    [{ users: [0], exclude: { commandLine: ["a", /b$/] } }, { uid: 0, commandLine: ["xb"] }, false],
    [{ users: [0], exclude: { cgroup: "/x" } }, { uid: 0, cgroup: "/y" }, true],
  ];
  for (const [filter, info, expected] of cases) {
    assert.equal(wants(filter, info), expected, `${JSON.stringify(filter)} ${JSON.stringify(info)}`);
  }
});

test("of a long name the first 15 bytes are compared, as the kernel has no more", () => {
  assert.equal(wants({ comm: "gnome-terminal-server" }, { comm: "gnome-terminal-" }), true);
  assert.equal(wants({ comm: "gnome-terminal-server" }, { comm: "gnome-terminal" }), false);
  assert.equal(wants({ comm: "kworker/u8:1-events_unbound" }, { comm: "kworker/u8:1-events_unbound" }), true);
  // Cut in the middle of a character.
  assert.equal(wants({ comm: "a".repeat(14) + "\u00e4b" }, { comm: "a".repeat(14) + "\udcc3" }), true);
  const { wanted } = checkProcessFilter({ comm: "gnome-terminal-server" }, system().libc, "x")!;
  assert.match(wanted[0]!.note!, /15 bytes of a name: compared is "gnome-terminal-"/);
  assert.throws(
    () => checkProcessFilter({ comm: "*gnome-terminal-server" }, system().libc, "watch processes"),
    /^TypeError: Cannot watch processes: comm "\*gnome-terminal-server" can never match: names have 15 bytes/,
  );
});

test("exe: links, relative paths, names in PATH, folders and what is not there", () => {
  const fake = system();
  fake.files.set("/proc/self/environ", encodeText("A=1\0PATH=/opt/bin:/bin::\0"));
  for (
    const [path, real] of [
      ["/bin/sleep", "/usr/bin/sleep"],
      ["/bin/sh", "/usr/bin/dash"],
      ["./tool", "/home/me/tool"],
      ["/usr", "/usr"],
      ["/usr/.", "/usr"],
      ["/bin", "/usr/bin"],
    ] as const
  ) {
    fake.paths.set(path, real);
    fake.files.set(real, encodeText("\x7fELF"));
  }
  const runs = (exe: string, file: string): boolean => wants({ exe }, { exe: file }, fake);
  assert(runs("/bin/sleep", "/usr/bin/sleep"));
  assert(runs("/bin/sleep", "/usr/bin/sleep (deleted)"));
  assert(runs("./tool", "/home/me/tool"));
  assert(!runs("./tool", "/home/you/tool"));
  assert(runs("sh", "/usr/bin/dash"));
  assert(runs("sh", "/container/bin/sh"));
  assert(runs("/bin/*", "/usr/bin/sleep"));
  assert(runs("/bin/*", "/bin/sleep"));
  assert(runs("/nowhere/x", "/nowhere/x"));
  const check = (exe: string): string | undefined =>
    checkProcessFilter({ exe }, fake.libc, "watch processes")!.wanted[0]!.note;
  assert.equal(check("/bin/sleep"), undefined);
  assert.equal(check("sh"), undefined);
  assert.match(check("/nowhere/x")!, /there is no file \/nowhere\/x now/);
  assert.match(check("nowhere")!, /no program "nowhere" in PATH now/);
  assert.match(check("/nowhere/*")!, /there is no folder \/nowhere now/);
  assert.throws(() => check("./nowhere"), /there is no file ".\/nowhere" in the working directory/);
  assert.throws(() => check("/usr"), /"\/usr" is a folder; "\/usr\/\*" is what is in it/);
  assert.throws(() => check("bin/*"), /must begin with \/ or \*/);
  assert.throws(() => check("a\0b"), /it holds a NUL/);
  assert.equal(fake.openCount, 0);
});

test("exe: of a script the interpreter runs it, and nobody else who names it", () => {
  const fake = system();
  fake.files.set("/proc/self/environ", encodeText("PATH=/bin\0"));
  for (
    const [path, real] of [
      ["/opt/tool", "/opt/tool"],
      ["/home/me/./tool", "/opt/tool"],
      ["/opt/env-tool", "/opt/env-tool"],
      ["/bin/linked", "/opt/tool"],
      ["/bin/sh", "/usr/bin/dash"],
      ["/usr/bin/env", "/usr/bin/env"],
      ["/bin/python3", "/usr/bin/python3.13"],
    ] as const
  ) fake.paths.set(path, real);
  fake.files.set("/opt/tool", encodeText("#! /bin/sh -e\necho\n"));
  fake.files.set("/opt/env-tool", encodeText("#!/usr/bin/env -S python3 -u\n"));
  const runs = (exe: string, file: string, ...commandLine: string[]): boolean =>
    wants({ exe }, { exe: file, commandLine, cwd: "/home/me" }, fake);
  assert(runs("/opt/tool", "/usr/bin/dash", "/bin/sh", "-e", "/opt/tool", "x"));
  assert(runs("linked", "/usr/bin/dash", "/bin/sh", "-e", "./tool"));
  assert(!runs("/opt/tool", "/usr/bin/vim", "vim", "/opt/tool"));
  assert(!runs("/opt/tool", "/usr/bin/dash", "sh", "-c", "/opt/tool"));
  assert(!runs("/opt/tool", "/usr/bin/dash", "sh", "/other", "/opt/tool"));
  assert(runs("/opt/env-tool", "/usr/bin/env", "/usr/bin/env", "-S python3 -u", "/opt/env-tool"));
  assert(runs("/opt/env-tool", "/usr/bin/python3.13", "python3", "-u", "/opt/env-tool"));
  assert(!runs("/opt/env-tool", "/usr/bin/dash", "sh", "/opt/env-tool"));
  const { fields } = checkProcessFilter({ exe: "linked" }, fake.libc, "x")!;
  assert.deepEqual(fields, ["exe", "commandLine", "cwd"]);
  assert.equal(fake.openCount, 0);
});

const MOUNTS = `
30 20 0:26 / /sys/fs/cgroup rw - tmpfs tmpfs rw
31 30 0:27 / /sys/fs/cgroup/memory rw - cgroup cgroup rw,memory
41 30 0:38 / /sys/fs/cgroup/unified rw,relatime shared:9 - cgroup2 cgroup2 rw
42 30 0:38 /part /mnt/a\\040b rw,relatime - cgroup2 cgroup2 rw
`;

test("cgroup: with its mount point, by its name alone, absent, of another hierarchy, and on a kernel without", () => {
  const fake = system();
  fake.files.set("/proc/self/mountinfo", encodeText(MOUNTS));
  fake.paths.set("/sys/fs/cgroup/unified/system.slice", "/sys/fs/cgroup/unified/system.slice");
  const isIn = (group: string, cgroup: string): boolean => wants({ cgroup: group }, { cgroup }, fake);
  assert(isIn("/sys/fs/cgroup/unified/system.slice/", "/system.slice/x"));
  assert(isIn("/sys/fs/cgroup/unified", "/x"));
  assert(isIn("/mnt/a b/c", "/part/c/d"));
  assert(isIn("/sys/fs/cgroup/unified/*.slice", "/system.slice/x"));
  assert(isIn("0::/system.slice", "/system.slice"));
  assert(isIn("system.slice/x", "/system.slice/x/y"));
  assert(isIn("x.service", "/system.slice/x.service/y"));
  assert(!isIn("x.service", "/system.slice/ax.service"));
  assert(isIn("/gone", "/gone (deleted)"));
  const check = (cgroup: string): string | undefined =>
    checkProcessFilter({ cgroup }, fake.libc, "watch processes")!.wanted[0]!.note;
  assert.equal(check("/sys/fs/cgroup/unified/system.slice"), undefined);
  assert.equal(check("/system.slice"), undefined);
  assert.match(check("/nosuch")!, /there is no control group \/nosuch now/);
  assert.throws(
    () => check("/sys/fs/cgroup/memory/x"),
    /of a single controller \(\/sys\/fs\/cgroup\/memory, cgroup v1\)/,
  );
  fake.files.set("/proc/self/cgroup", encodeText("3:memory:/x\n"));
  assert.throws(
    () => check("/x"),
    /^UnsupportedError: Cannot watch processes: this kernel has no unified control/,
  );
  assert.equal(fake.openCount, 0);
});

test("cgroup: a name that no group has now", () => {
  const libc = new FakeLibc();
  const note = (name: string): string | undefined => cgroupTest(libc, name, (why) => new TypeError(why)).note;
  assert.equal(note("nosuch"), undefined, "no hierarchy is mounted");
  libc.files.write("/proc/self/mountinfo", MOUNTS);
  assert.equal(note("nosuch"), undefined, "the hierarchy cannot be read");
  for (const group of ["", "/system.slice", "/system.slice/x.service"]) {
    libc.files.write(`/sys/fs/cgroup/unified${group}/cgroup.procs`, "");
  }
  for (const name of ["system.slice", "x.service", "x*"]) assert.equal(note(name), undefined, name);
  for (const name of ["nosuch", "cgroup.procs", "y*"]) {
    assert.equal(note(name), `there is no control group named ${name} now`);
  }
  libc.assertAllClosed();
});

test("the user that logged in", () => {
  const fake = system();
  const refused = /^UnsupportedError: Cannot x: this kernel keeps no login users/;
  assert.throws(() => checkProcessFilter({ loginUsers: ["www"] }, fake.libc, "x"), refused);
  fake.files.set("/proc/self/loginuid", encodeText("4294967295"));
  assert.equal(wants({ loginUsers: ["www"] }, { uid: 0, loginUid: 33 }, fake), true);
  assert.equal(wants({ loginUsers: ["www"] }, { uid: 33, loginUid: null }, fake), false);
  assert.equal(wants({ loginUsers: ["www"] }, { uid: 33 }, fake), false);
});

test("what is no pattern is refused", () => {
  const { libc } = system();
  assert.throws(() => checkProcessFilter({ comm: [] }, libc, "x"), /the list for comm is empty/);
  assert.throws(() => checkProcessFilter({ exe: 7 as unknown as string }, libc, "x"), /exe must be text or/);
  for (
    const [filter, message] of [
      [{ exe: "" }, /exe "" can never match: it is empty/],
      [{ cgroup: "" }, /cgroup "" can never match/],
      [{ commandLine: "" }, /commandLine "" can never match/],
      [{ users: "root" }, /users must be a list of names and numbers, and is root/],
      [{ exclude: { comm: [] } }, /the list for exclude.comm is empty/],
      [{ exclude: 5 }, /exclude must be an object, and is 5/],
    ] as const
  ) assert.throws(() => checkProcessFilter(filter as unknown as ProcessFilter, libc, "x"), message);
});

test("matchEvent(): losses match, events without a known process are undecided", () => {
  const filter = checkProcessFilter({ comm: "sh" }, system().libc, "x")!;
  const make = new Events(() => 1n);
  const known = { ...make.exec(7), process: { ...emptyInfo(7, undefined), comm: "sh" } };
  assert.deepEqual([make.lost(1), make.exec(7), known].map((event) => matchEvent(filter, event)), [
    true,
    undefined,
    true,
  ]);
  const others = checkProcessFilter({ exclude: { comm: "sh" } }, system().libc, "x")!;
  assert.deepEqual([make.lost(1), make.exec(7), known].map((event) => matchEvent(others, event)), [
    true,
    true,
    false,
  ]);
});

test("matchEvent(): undecided is what only an unknown value keeps from matching", () => {
  const make = new Events(() => 1n);
  const match = (filter: ProcessFilter, fields: Partial<ProcessInfo>): boolean | undefined =>
    matchEvent(checkProcessFilter(filter, system().libc, "x")!, {
      ...make.exec(7),
      process: { ...emptyInfo(7, "gone"), ...fields },
    });
  const filter = { comm: "sh", commandLine: "make", exclude: { users: [5] } };
  assert.equal(match(filter, { comm: "sh", commandLine: ["make"] }), true);
  assert.equal(match(filter, { comm: "sh" }), undefined, "its command line could be");
  assert.equal(match(filter, {}), undefined);
  assert.equal(match(filter, { comm: "cc" }), false, "its name decides");
  assert.equal(match(filter, { comm: "sh", commandLine: ["ls"] }), false, "its command line decides");
  assert.equal(match(filter, { comm: "sh", uid: 5, effectiveUid: 5 }), false, "its user decides");
  assert.equal(match({ users: [5] }, {}), undefined);
  assert.equal(match({ users: [5] }, { uid: 6, effectiveUid: 6 }), false);
  assert.equal(match({ exe: "/bin/*" }, {}), undefined);
  assert.equal(match({ exe: "/bin/*" }, { kernelThread: true }), false, "a kernel thread has no file");
  assert.equal(match({ cgroup: /x/ }, {}), undefined);
  assert.equal(match({ exclude: { comm: "sh" } }, {}), true, "what is unknown is not excluded");
});
