// Logs on a failing disk, in files that others use as well, and before their mirror runs.

import assert from "node:assert/strict";
import { test } from "node:test";
import { ERRNO } from "../../lib/errors/errno.ts";
import { diskLogsOn } from "../../lib/protocols/dm_log/disk.ts";
import { type DirtyLog, DirtyLogError, type DirtyLogs } from "../../lib/protocols/dm_log/log.ts";
import { CrashDisk } from "./vectors/crash_disk.ts";
import { create, ctr, FOLDER, openOn, PATH, refuses, REGIONS } from "./vectors/disk_log.ts";

test("until its mirror runs, a log counts only regions that will be in sync then", () => {
  const disk = new CrashDisk();
  const logs = diskLogsOn(disk.libc, { folder: FOLDER });
  const counts = (log: DirtyLog) => [log.syncCount(), log.remoteRecovering!(0n)];
  const nothing = [0n, { recovering: false, inSyncHint: 0n }];
  const log = create(logs, ctr("nosync"));
  assert.deepEqual(counts(log), nothing);
  log.resume(false);
  log.markRegions([7n]);
  log.flush();
  assert.deepEqual(counts(log), [5000n, { recovering: false, inSyncHint: 5000n }]);
  disk.losePower(() => false);
  const found = create(diskLogsOn(disk.libc, { folder: FOLDER }), ctr());
  assert.deepEqual(counts(found), nothing); // with 5000 the kernel would never request work
  found.resume(false);
  assert.deepEqual(counts(found), [4999n, { recovering: false, inSyncHint: 7n }]);
  found.setRegionSync(7n, true);
  found.postsuspend?.();
  assert.deepEqual(counts(found), [4999n, nothing[1]]); // still marked
  found.resume(false);
  assert.equal(found.syncCount(), 4999n);
  disk.loseProgram();
  const again = create(diskLogsOn(disk.libc, { folder: FOLDER }), ctr(undefined, true));
  assert.equal(again.syncCount(), 4999n); // that mirror runs
  disk.loseProgram();
  const anew = create(diskLogsOn(disk.libc, { folder: FOLDER }), ctr("sync"));
  anew.resume(false);
  for (let region = 0n; region < 5000n; region++) anew.setRegionSync(region, true);
  assert.equal(anew.syncCount(), 5000n);
  anew.postsuspend?.();
  assert.deepEqual(counts(anew), nothing);
});

test("after a failed fdatasync the pages are written again: a later fdatasync alone is not enough", () => {
  const disk = new CrashDisk();
  const log = openOn(disk, ctr("nosync"));
  log.markRegions([3n]);
  disk.failNext = { call: "fdatasync", errno: ERRNO.EIO! };
  assert.throws(() => log.flush(), { code: "EIO" });
  log.markRegions([3n]);
  log.flush();
  disk.losePower(() => false);
  assert.equal(openOn(disk).inSync(3n), false);
});

test("the next server repeats the failed fdatasync of another one", () => {
  for (const again of [true, false]) {
    const disk = new CrashDisk();
    const log = openOn(disk, ctr("nosync"));
    log.markRegions([3n]);
    disk.failNext = { call: "fdatasync", errno: ERRNO.EIO! };
    assert.throws(() => log.flush(), { code: "EIO" });
    disk.loseProgram();
    openOn(disk, ctr("nosync", again));
    disk.losePower(() => false);
    assert.equal(openOn(disk).inSync(3n), false);
  }
});

test("a file whose creation failed is created again, and its marks are not lost with its header", () => {
  for (const which of [0, 1, 2]) { // the pages, the header, the folder
    const disk = new CrashDisk();
    const { fdatasync } = disk.libc;
    let syncs = 0;
    Object.assign(disk.libc, {
      fdatasync: (fd: number) => {
        if (syncs++ === which) disk.failNext = { call: "fdatasync", errno: ERRNO.EIO! };
        return fdatasync(fd);
      },
    });
    assert.throws(() => openOn(disk, ctr("nosync")), { code: "EIO" });
    assert.equal(disk.openCount, 0);
    const log = openOn(disk, ctr("nosync"));
    log.markRegions([3n]);
    log.flush();
    disk.losePower(() => false);
    assert.equal(openOn(disk, ctr("nosync")).inSync(3n), false, `fdatasync ${which}`);
  }
});

test("a mark whose write failed is in the file before the next one is answered", () => {
  const disk = new CrashDisk();
  const log = openOn(disk, ctr("nosync"));
  for (const change of [() => log.markRegions([7n]), () => log.setRegionSync(8n, false)]) {
    disk.failNext = { call: "pwrite", errno: ERRNO.EIO! };
    assert.throws(change, { code: "EIO" });
    change();
  }
  disk.loseProgram();
  const found = openOn(disk, ctr("nosync", true));
  assert.deepEqual([found.isClean(7n), found.inSync(8n)], [false, false]);
});

test("an unreadable sector is reported as damage, even if the callback throws", () => {
  const disk = new CrashDisk();
  openOn(disk, ctr("nosync")).destroy();
  const { pread } = disk.libc;
  Object.assign(disk.libc, {
    pread: (fd: number, into: Uint8Array, bytes: number, offset: number) =>
      offset === 1024 ? -ERRNO.EIO! : pread(fd, into, bytes, offset),
  });
  const shown: unknown[] = [];
  const { error } = console;
  console.error = (...words) => shown.push(words);
  try {
    const log = openOn(disk, ctr(), () => {
      throw new Error("a listener's own");
    });
    assert.equal(log.syncCount(), BigInt(REGIONS - 2016));
  } finally {
    console.error = error;
  }
  assert.match(String(shown), /onDamage failed:,Error: a listener's own/);
});

test("a file belongs to one server while one of its logs is in use", () => {
  const disk = new CrashDisk();
  const [one, two] = [1, 2].map(() => diskLogsOn(disk.libc, { folder: FOLDER })) as [DirtyLogs, DirtyLogs];
  const log = create(one, ctr());
  const next = create(one, ctr());
  log.destroy();
  const before = disk.openCount;
  assert.throws(() => two.create(ctr()), refuses(ERRNO.EBUSY!));
  assert.equal(disk.openCount, before);
  next.destroy();
  create(two, ctr()).destroy();
  disk.failNext = { call: "flock", errno: ERRNO.ENOSYS! };
  assert.throws(() => two.create(ctr()), { code: "ENOSYS" });
  assert.equal(disk.openCount, 0);
});

test("a second mirror with the uuid of a running one is refused, and disturbs nothing", () => {
  const disk = new CrashDisk();
  const logs = diskLogsOn(disk.libc, { folder: FOLDER });
  const first = create(logs, ctr("nosync"));
  first.resume(false);
  first.markRegions([5n]);
  first.flush();
  const second = create(logs, ctr("nosync"));
  const calls = { ...disk.calls };
  assert.throws(() => second.resume(false), refuses(ERRNO.EBUSY!));
  const methods = [
    () => second.inSync(5n),
    () => second.isClean(5n),
    () => second.markRegions([6n]),
    () => second.setRegionSync(5n, true),
    () => second.resyncWork(),
    () => second.syncCount(),
    () => second.remoteRecovering?.(5n),
  ];
  for (const method of methods) assert.throws(method, refuses(ERRNO.EBUSY!));
  for (
    const method of [() => second.clearRegions([5n]), () => second.flush(), () => second.postsuspend?.()]
  ) {
    method();
  }
  assert.deepEqual(disk.calls, calls);
  assert.deepEqual([first.syncCount(), first.isClean(5n)], [BigInt(REGIONS), false]);
  // Of two mirrors that outlived their server, the second one has to wait: it gets no log.
  assert.throws(() => logs.create(ctr("nosync", true)), refuses(ERRNO.EBUSY!));
  first.destroy();
  assert.throws(() => second.resume(false), refuses(ERRNO.EBUSY!)); // its legs do not match the file
  second.destroy();
  assert.equal(disk.openCount, 0);
});

test("a folder or file that others may change is refused", () => {
  const theirs: readonly (readonly [string, number, number, string])[] = [
    [`${FOLDER}/`, 1000, 0o040755, "belongs to user 1000"],
    [`${FOLDER}/`, 0, 0o040775, "mode 775"],
    [`${FOLDER}/`, 0, 0o041777, "mode 1777"],
    [`${FOLDER}/`, 0, 0o100700, "not a folder"],
    [PATH, 1000, 0o100600, "belongs to user 1000"],
    [PATH, 0, 0o100602, "mode 602"],
    [PATH, 0, 0o060600, "not a regular file"],
  ];
  for (const [path, uid, mode, why] of theirs) {
    const disk = new CrashDisk();
    disk.owners.set(path, { uid, mode });
    const refusal = (error: unknown) => error instanceof DirtyLogError && error.message.includes(why);
    assert.throws(() => diskLogsOn(disk.libc, { folder: FOLDER }).create(ctr()), refusal, why);
    assert.equal(disk.openCount, 0);
    assert.deepEqual(disk.calls, { pwrite: 0, fdatasync: 0 });
  }
});
