import assert from "node:assert/strict";
import { test } from "node:test";
import { textWidth } from "../../lib/cli/io/text.ts";
import { TimeText } from "../../lib/cli/io/time.ts";
import { formatHeader, formatRow, layoutFor } from "../../lib/cli/commands/watch/table.ts";
import type { ProcessEvent } from "../../mod.ts";
import { RowMaker } from "../../lib/cli/commands/watch/row.ts";
import { NAMES, noonClock, process, SAMPLES } from "./samples.ts";

function maker(): RowMaker {
  return new RowMaker({ clock: noonClock(), times: new TimeText(), users: NAMES, groups: NAMES });
}

/** The lines of all samples, the header first. */
function lines(width: number | undefined): string[] {
  const rows = maker();
  const layout = layoutFor(width);
  return [
    formatHeader(layout),
    ...Object.values(SAMPLES).map((event) => formatRow(rows.make(event), layout)),
  ];
}

test("formatRow() at 200 columns: every type", () => {
  assert.deepEqual(lines(200), [
    "Time         Event      PID User     Info                 Duration Command",
    "12:00:01.012 fork      4711 nobody   parent 100                    sh -c 'exit 3'",
    "12:00:01.012 thread    4711 nobody   tid 4712                      sh -c 'exit 3'",
    "12:00:01.012 exec      4711 nobody   by 100 bash                   sh -c 'exit 3'",
    "12:00:01.012 exit      4711 nobody   3, parent 100 bash     12.3ms sh -c 'exit 3'",
    "12:00:01.012 exit      4711 nobody   SIGKILL, parent 100    12.3ms sh -c 'exit 3'",
    "12:00:01.012 exit      4711 nobody   SIGSEGV core           12.3ms sh -c 'exit 3'",
    "12:00:01.012 exit      4711 nobody   tid 4712                  0us sh -c 'exit 3'",
    "12:00:01.012 uid       4711 nobody   nobody                        sh -c 'exit 3'",
    "12:00:01.012 uid       4711 nobody   nobody, effective root          sh -c 'exit 3'",
    "12:00:01.012 gid       4711 nobody   nobody                        sh -c 'exit 3'",
    "12:00:01.012 sid       4711 nobody   new session                   sh -c 'exit 3'",
    "12:00:01.012 ptrace    4711 nobody   by 99                         sh -c 'exit 3'",
    "12:00:01.012 ptrace    4711 nobody   detached                      sh -c 'exit 3'",
    "12:00:01.012 comm      4711 nobody   -> a worker                   sh -c 'exit 3'",
    "12:00:01.012 comm      4711 nobody   tid 4712 -> pool-1            sh -c 'exit 3'",
    "12:00:01.012 core      4711 nobody                                 sh -c 'exit 3'",
    "12:00:01.012 lost                    12                            --- lost since 12:00:00.900 on cpu 0, 3, also kinds not shown ---",
    "12:00:01.012 lost                    some                          --- lost since 12:00:00.900, also kinds not shown ---",
    "12:00:01.012 other                   0x00000400",
    "12:00:01.012 exec      4711 root     by 100 bash                   [kworker/0:1]",
    "12:00:01.012 exec      4711 nobody   by 100 bash                   (sh)",
    "12:00:01.012 exec      4711 nobody   by 100 bash                   ?",
  ]);
});

test("formatRow() at 80 columns: no user, the command is truncated", () => {
  assert.deepEqual(lines(80).slice(0, 7), [
    "Time         Event      PID Info           Duration Command",
    "12:00:01.012 fork      4711 parent 100              sh -c 'exit 3'",
    "12:00:01.012 thread    4711 tid 4712                sh -c 'exit 3'",
    "12:00:01.012 exec      4711 by 100 bash             sh -c 'exit 3'",
    "12:00:01.012 exit      4711 3, parent 100    12.3ms sh -c 'exit 3'",
    "12:00:01.012 exit      4711 SIGKILL          12.3ms sh -c 'exit 3'",
    "12:00:01.012 exit      4711 SIGSEGV core     12.3ms sh -c 'exit 3'",
  ]);
  assert.equal(
    lines(80)[17],
    "12:00:01.012 lost           12                      --- lost since 12:00:00.900…",
  );
});

test("formatRow() at 60 columns: no milliseconds either", () => {
  assert.deepEqual(lines(60).slice(0, 6), [
    "Time     Event      PID Info           Duration Command",
    "12:00:01 fork      4711 parent 100              sh -c 'exit…",
    "12:00:01 thread    4711 tid 4712                sh -c 'exit…",
    "12:00:01 exec      4711 by 100 bash             sh -c 'exit…",
    "12:00:01 exit      4711 3, parent 100    12.3ms sh -c 'exit…",
    "12:00:01 exit      4711 SIGKILL          12.3ms sh -c 'exit…",
  ]);
  for (const width of [1, 10, 40, 60, 80, 99, 100, 200]) {
    for (const line of lines(width)) assert(line.length <= width, `${width}: ${line}`);
  }
});

test("formatRow() keeps the columns with pids of seven digits", () => {
  const ids = { pid: 4_194_301, tid: 4_194_301, parentPid: 4_194_302, parentTid: 4_194_302 };
  const { fork, thread, exec, exit, killed } = SAMPLES;
  for (const width of [60, 80, 99, 100, 119, 120, 200]) {
    const layout = layoutFor(width);
    const column = formatHeader(layout).indexOf("Command");
    for (const event of [fork, thread, exec, exit, killed]) {
      const its = { ...event, ...ids, process: process({ ...ids, commandLine: ["Command"] }) };
      const line = formatRow(maker().make(its), layout);
      assert.equal(line.indexOf("Command"), column, `${width}: ${line}`);
    }
  }
});

test("formatRow() cuts nothing if there is no terminal", () => {
  const commandLine = ["echo", "x".repeat(5000)];
  const row = maker().make({ ...SAMPLES.exec, process: process({ commandLine }) });
  assert(formatRow(row, layoutFor(undefined)).endsWith(`echo ${"x".repeat(5000)}`));
});

test("RowMaker shows the previous name and user, if known", () => {
  const rows = maker();
  const before = process({ comm: "sh", uid: 0, effectiveUid: 0 });
  assert.equal(rows.make(SAMPLES.comm, before).info, "sh -> a worker");
  assert.equal(rows.make(SAMPLES.uid, before).info, "root -> nobody");
  assert.equal(rows.make(SAMPLES.setuid, before).info, "root -> nobody, effective root");
  assert.equal(rows.make(SAMPLES.threadComm, before).info, "tid 4712 -> pool-1");
  assert.equal(rows.make(SAMPLES.comm, process({ comm: undefined })).info, "-> a worker");
});

test("RowMaker shows the lifetime of a thread at its exit", () => {
  const rows = maker();
  rows.make({ ...SAMPLES.thread, timestampNs: 1_000_000_000n });
  assert.equal(rows.make(SAMPLES.threadExit).duration, "12.3ms");
  assert.equal(rows.make(SAMPLES.threadExit).duration, "", "the start is forgotten with the thread");
  const killed = { ...SAMPLES.threadExit, exitCode: null, signal: "SIGKILL" } as const;
  assert.equal(rows.make(killed).info, "tid 4712 SIGKILL");
});

test("RowMaker leaves unknown cells empty", () => {
  const { process: _, ...exit } = SAMPLES.exit;
  const bare: ProcessEvent = exit;
  assert.deepEqual(maker().make(bare), {
    time: "12:00:01.012",
    event: "exit",
    pid: "4711",
    user: "",
    info: "3",
    shorterInfo: undefined,
    duration: "",
    command: "?",
  });
  const unknown = process({ uid: undefined, startNs: undefined });
  const row = maker().make({ ...SAMPLES.exit, process: unknown });
  assert.deepEqual([row.user, row.duration], ["", ""]);
});

test("RowMaker marks a truncated command line", () => {
  const cut = process({ commandLine: ["java", "-cp"], commandLineTruncated: true });
  assert.equal(maker().make({ ...SAMPLES.exec, process: cut }).command, "java -cp …");
});

test("RowMaker shows a process as it is now", () => {
  const rows = maker();
  const info = process() as {
    -readonly [Name in keyof ReturnType<typeof process>]: ReturnType<typeof process>[Name];
  };
  assert.equal(rows.make({ ...SAMPLES.exec, process: info }).command, "sh -c 'exit 3'");
  info.commandLine = undefined;
  assert.equal(rows.make({ ...SAMPLES.exec, process: info }).command, "(sh)");
});

test("--parents: the chain before the command, the nearest parent last, cut with it", () => {
  const parents = [{ pid: 3, comm: "sh" }, { pid: 2, comm: undefined }, { pid: 1, comm: "ma\x1bke" }];
  const exec = { ...SAMPLES.exec, process: process({ parents }) };
  const row = maker().make(exec);
  assert.equal(row.command, "ma\\x1bke > ? > sh > sh -c 'exit 3'");
  for (const width of [40, 60, 80, 120]) {
    assert(textWidth(formatRow(row, layoutFor(width))) <= width, String(width));
  }
  assert.match(formatRow(row, layoutFor(undefined)), / ma\\x1bke > \? > sh > sh -c 'exit 3'$/);
  assert.equal(maker().make({ ...exec, process: process({ parents: [] }) }).command, "sh -c 'exit 3'");
});

test("columns keep their positions with the longest pids, users and parents, at every width", () => {
  const parent = { pid: 4194303, parentPid: 4194304, parentComm: "systemd-journal" };
  const info = process({ ...parent, uid: 4294967294, startNs: 1n });
  const events: ProcessEvent[] = [
    { ...SAMPLES.fork, parentPid: 4194304, pid: 4194303, process: info },
    { ...SAMPLES.thread, pid: 4194303, tid: 4194302, process: info },
    { ...SAMPLES.exec, pid: 4194303, process: info },
    { ...SAMPLES.exit, pid: 4194303, process: info },
    { ...SAMPLES.dumped, pid: 4194303, process: info },
    { ...SAMPLES.attached, pid: 4194303, tracerPid: 4194301, process: info },
  ];
  for (const width of [60, 79, 80, 99, 100, 119, 120, 200]) {
    const layout = layoutFor(width);
    const column = formatHeader(layout).indexOf("Command");
    for (const event of events) {
      const line = formatRow(maker().make(event), layout);
      assert.equal(line.slice(column - 1, column + 3), " sh ", `${width}: ${line}`);
    }
  }
});

test("RowMaker shows the parent of an exec and of an exit, if there is room", () => {
  const rows = maker();
  const exec = rows.make({ ...SAMPLES.exec, process: process({ parentPid: 5969, parentComm: "sh" }) });
  assert.equal(exec.info, "by 5969 sh");
  const killed = rows.make({
    ...SAMPLES.killed,
    process: process({ parentPid: 5969, parentComm: "a\x1bb" }),
  });
  assert.equal(killed.info, "SIGKILL, parent 5969 a\\x1bb");
  assert.deepEqual(killed.shorterInfo, ["SIGKILL, parent 5969", "SIGKILL"]);
  const nameless = rows.make({
    ...SAMPLES.exec,
    process: process({ parentPid: 5969, parentComm: undefined }),
  });
  assert.deepEqual([nameless.info, nameless.shorterInfo], ["by 5969", [""]]);
  assert.equal(rows.make({ ...SAMPLES.exec, process: process({ parentPid: undefined }) }).info, "");
});
