import assert from "node:assert/strict";
import { chmodSync, chownSync, mkdtempSync, readFileSync, rmSync, statSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { test } from "node:test";
import fc from "fast-check";
import type { System } from "../../ffi/libc.ts";
import { openSystem } from "../../lib/system.ts";
import { ERRNO } from "../../lib/errors/errno.ts";
import { SyscallError } from "../../lib/errors/syscall_error.ts";
import { diskLogPath, diskLogsOn } from "../../lib/protocols/dm_log/disk.ts";
import type { DiskLogDamage } from "../../lib/protocols/dm_log/disk_state.ts";
import { type DirtyLog, DirtyLogError } from "../../lib/protocols/dm_log/log.ts";
import { CrashDisk } from "./vectors/crash_disk.ts";
import { create, ctr, FOLDER, openOn, PATH, refuses, REGIONS, SECTORS } from "./vectors/disk_log.ts";

test("a new log is entirely out of sync, or with nosync in sync", () => {
  const log = openOn(new CrashDisk());
  assert.equal(log.syncCount(), 0n);
  assert.equal(log.resyncWork(), 0n);
  const synced = openOn(new CrashDisk(), ctr("nosync"));
  assert.equal(synced.syncCount(), BigInt(REGIONS));
  assert.equal(synced.resyncWork(), undefined);
  assert.equal(synced.isClean(4999n), true);
});

test("a log with sync is recovered at each start, but not when only its server restarts", () => {
  const disk = new CrashDisk();
  const log = openOn(disk, ctr("sync"));
  for (let region = 0n; region < BigInt(REGIONS); region++) {
    log.setRegionSync(region, true);
    log.clearRegions([region]);
  }
  log.flush();
  disk.loseProgram();
  assert.equal(openOn(disk, ctr("sync", true)).syncCount(), BigInt(REGIONS));
  disk.loseProgram();
  assert.equal(openOn(disk, ctr("sync")).syncCount(), 0n);
});

test("a region whose recovery was not reported is returned again, then the others, and failed ones only once", () => {
  const log = openOn(new CrashDisk());
  assert.equal(log.resyncWork(), 0n);
  assert.equal(log.resyncWork(), 0n);
  log.setRegionSync(0n, true);
  log.clearRegions([0n]);
  assert.equal(log.resyncWork(), 1n);
  log.setRegionSync(1n, false); // it failed
  assert.equal(log.resyncWork(), 2n);
  log.flush();
  log.resume(false);
  assert.equal(log.resyncWork(), 1n);
});

test("a region that does not exist is refused", () => {
  const log = openOn(new CrashDisk());
  assert.throws(() => log.inSync(BigInt(REGIONS)), refuses(ERRNO.EINVAL!));
  assert.throws(() => log.markRegions([2n ** 63n]), refuses(ERRNO.EINVAL!));
});

test("invalid arguments are refused", () => {
  const logs = diskLogsOn(new CrashDisk().libc, { folder: FOLDER });
  const bad = [
    ...[[], ["32768"], ["32768", "core", "1024"], ["32768", "disk"], ["32768", "disk", "1000"]],
    ...[["0", "disk", "1024"], ["-1", "disk", "1024"], ["1e6", "disk", "1024"], ["32768", "disk", "0"]],
    ...[["32768", "disk", "1024", "maybe"], ["32768", "disk", "1024", "sync", "sync"]],
    ...[["99999999999999999999", "disk", "1024"], ["9007199254740991", "disk", "1"]],
  ];
  for (const args of bad) {
    assert.throws(() => logs.create({ ...ctr(), args }), refuses(ERRNO.EINVAL!), `${args}`);
  }
});

test("diskLogPath() keeps any uuid inside the folder", () => {
  assert.equal(diskLogPath("/a/", "LVM-x_1"), "/a/LVM-x_1.dirtylog");
  assert.equal(diskLogPath("/a", "../b/c"), "/a/%2e%2e%2fb%2fc.dirtylog");
  assert.equal(diskLogPath("/a", "é"), "/a/%c3%a9.dirtylog");
  assert.throws(() => diskLogPath("/a", ""), DirtyLogError);
  assert.throws(() => diskLogPath("/a", "/".repeat(128)), refuses(ERRNO.ENAMETOOLONG!));
});

test("a file that is not a log, or of another mirror, is refused and not changed", () => {
  const disk = new CrashDisk();
  openOn(disk).destroy();
  const good = disk.files.get(PATH)!.bytes.slice();
  const changed = (at: number) => {
    const bytes = good.slice();
    bytes[at]! ^= 1;
    return bytes;
  };
  const cases: readonly (readonly [string, Uint8Array, number])[] = [
    ["no magic", changed(0), ERRNO.EINVAL!],
    ["version", changed(8), ERRNO.EIO!],
    ["checksum", changed(12), ERRNO.EIO!],
    ["region size", changed(16), ERRNO.EIO!],
    ["uuid", changed(40), ERRNO.EIO!],
    ["short", new TextEncoder().encode("something else"), ERRNO.EINVAL!],
    ["text", new TextEncoder().encode("something else entirely".repeat(100)), ERRNO.EINVAL!],
  ];
  for (const [what, bytes, errno] of cases) {
    const file = { bytes: bytes.slice(), stable: new Map<number, Uint8Array>(), dropped: new Set<number>() };
    disk.files.set(PATH, file);
    const before = disk.openCount;
    assert.throws(() => openOn(disk), refuses(errno), what);
    assert.deepEqual(file.bytes, bytes, what);
    assert.equal(disk.openCount, before, `${what}: a descriptor was left open`);
  }
  disk.files.set(PATH, { bytes: good, stable: new Map(), dropped: new Set() });
  const smaller = { ...ctr(), args: [`${SECTORS - 1024}`, "disk", "1024"] };
  assert.throws(() => openOn(disk, smaller), refuses(ERRNO.EINVAL!));
  openOn(disk);
});

test("a damaged page is reported once, and its regions are recovered", () => {
  const disk = new CrashDisk();
  openOn(disk, ctr("nosync")).destroy();
  disk.files.get(PATH)!.bytes[512 * 2 + 100]! ^= 4; // in the second page
  const damages: DiskLogDamage[] = [];
  const log = openOn(disk, ctr(), (damage) => damages.push(damage));
  assert.deepEqual(damages, [{ path: PATH, firstRegion: 2016, regionCount: 2016 }]);
  assert.equal(log.syncCount(), BigInt(REGIONS - 2016));
  assert.equal(log.resyncWork(), 2016n);
  disk.loseProgram();
  assert.equal(openOn(disk, ctr(), (damage) => damages.push(damage)).syncCount(), BigInt(REGIONS - 2016));
  assert.equal(damages.length, 1);
});

test("a flush with nothing to write costs no disk access, a mark one write, a flush one fdatasync", () => {
  const disk = new CrashDisk();
  const log = openOn(disk, ctr("nosync"));
  const count = () => ({ ...disk.calls });
  const start = count();
  log.flush();
  assert.deepEqual(count(), start);
  log.markRegions([1n, 2n, 3n]);
  log.markRegions([1n, 2n, 3n]);
  assert.equal(count()["pwrite"], start["pwrite"]! + 1);
  log.flush();
  log.flush();
  assert.deepEqual(count(), { pwrite: start["pwrite"]! + 1, fdatasync: start["fdatasync"]! + 1 });
});

test("a failed write is reported, and repeated by the next flush", () => {
  const disk = new CrashDisk();
  const log = openOn(disk, ctr("nosync"));
  disk.failNext = { call: "pwrite", errno: ERRNO.ENOSPC! };
  assert.throws(
    () => log.markRegions([7n]),
    (error) => error instanceof SyscallError && error.code === "ENOSPC",
  );
  log.flush();
  disk.losePower(() => false);
  assert.equal(openOn(disk).inSync(7n), false);
});

test("the log of a new table sees the last writes of the table that it replaces", () => {
  const disk = new CrashDisk();
  const logs = diskLogsOn(disk.libc, { folder: FOLDER });
  const old = create(logs, ctr("nosync"));
  old.resume(false);
  const next = create(logs, { ...ctr("nosync"), luid: 2n });
  old.markRegions([5n]);
  old.setRegionSync(9n, false);
  old.postsuspend?.();
  next.resume(false);
  next.markRegions([6n]);
  old.clearRegions([6n]); // of a write before
  old.flush();
  old.destroy();
  assert.equal(next.isClean(6n), false);
  assert.equal(next.inSync(5n), false); // it was being written
  assert.equal(next.inSync(9n), false);
  assert.equal(next.inSync(4n), true);
  next.destroy();
  assert.equal(disk.openCount, 0);
});

/** What the kernel may do with a log. */
type Step =
  | { readonly do: "mark" | "clear"; readonly regions: readonly number[] }
  | { readonly do: "flush" | "suspend"; readonly fails: boolean }
  | { readonly do: "recover" | "fail"; readonly region: number };

// Mostly few, so that several things happen to the same region; and the page boundaries.
const region = fc.oneof(fc.nat(3), fc.constantFrom(2015, 2016, REGIONS - 1), fc.nat(REGIONS - 1));
const regions = fc.array(region, { minLength: 1, maxLength: 8 });
const steps: fc.Arbitrary<Step[]> = fc.array(
  fc.oneof(
    fc.record({ do: fc.constantFrom("mark" as const, "clear" as const), regions }),
    fc.record({ do: fc.constantFrom("flush" as const, "suspend" as const), fails: fc.boolean() }),
    fc.record({ do: fc.constantFrom("recover" as const, "fail" as const), region }),
  ),
  { maxLength: 60 },
);

/** What was acknowledged, and therefore must survive. */
class Promises {
  /** Marked and not cleared. */
  readonly dirty = new Set<number>();
  /** Of them, those that a flush was answered after. */
  readonly dirtyForGood = new Set<number>();
  readonly outOfSync = new Set<number>();

  take(step: Step, log: DirtyLog, disk: CrashDisk): void {
    switch (step.do) {
      case "mark":
        log.markRegions(step.regions.map(BigInt));
        for (const region of step.regions) this.dirty.add(region);
        break;
      case "clear":
        log.clearRegions(step.regions.map(BigInt));
        for (const region of step.regions) {
          this.dirty.delete(region);
          this.dirtyForGood.delete(region);
        }
        break;
      case "recover":
        log.setRegionSync(BigInt(step.region), true);
        this.outOfSync.delete(step.region);
        break;
      case "fail":
        log.setRegionSync(BigInt(step.region), false);
        this.outOfSync.add(step.region);
        break;
      default:
        if (step.fails) disk.failNext = { call: "fdatasync", errno: ERRNO.EIO! };
        try {
          if (step.do === "flush") log.flush();
          else log.postsuspend?.();
        } catch (error) {
          assert.ok(step.fails && error instanceof SyscallError);
          return; // nothing was acknowledged
        } finally {
          disk.failNext = undefined;
        }
        for (const region of this.dirty) this.dirtyForGood.add(region);
    }
  }
}

test("whatever the kernel did, a crash of the program loses nothing that was acknowledged", () => {
  fc.assert(fc.property(steps, (steps) => {
    const disk = new CrashDisk();
    const before = openOn(disk, ctr("nosync"));
    const promises = new Promises();
    for (const step of steps) promises.take(step, before, disk);
    disk.loseProgram();
    const after = openOn(disk, ctr("nosync", true));
    for (let region = 0; region < REGIONS; region++) {
      assert.equal(after.inSync(BigInt(region)), !promises.outOfSync.has(region), `in sync: ${region}`);
      if (promises.dirty.has(region)) assert.equal(after.isClean(BigInt(region)), false, `dirty: ${region}`);
    }
  }));
});

test("whatever the kernel did, after a power loss every region that may differ between the legs is out of sync", () => {
  let distrusted = 0;
  fc.assert(fc.property(steps, fc.array(fc.boolean(), { minLength: 4, maxLength: 4 }), (steps, survivors) => {
    const disk = new CrashDisk();
    const before = openOn(disk, ctr("nosync"));
    const promises = new Promises();
    for (const step of steps) promises.take(step, before, disk);
    disk.losePower((sector) => survivors[sector]!);
    const after = openOn(disk, ctr("nosync"));
    for (let region = 0; region < REGIONS; region++) {
      const mayDiffer = promises.dirtyForGood.has(region) || promises.outOfSync.has(region);
      if (mayDiffer) assert.equal(after.inSync(BigInt(region)), false, `trusted: ${region}`);
      if (mayDiffer) distrusted++;
    }
  }));
  assert.ok(distrusted > 0);
});

test("a power loss during the creation of the file leaves a log that is entirely out of sync, or none", () => {
  fc.assert(
    fc.property(fc.array(fc.boolean(), { minLength: 4, maxLength: 4 }), fc.nat(2), (survivors, which) => {
      const disk = new CrashDisk();
      let syncs = 0;
      const { fdatasync } = disk.libc;
      // The power fails instead of one of the first flushes.
      Object.assign(disk.libc, {
        fdatasync: (fd: number) => (syncs++ === which ? -ERRNO.EIO! : fdatasync(fd)),
      });
      try {
        openOn(disk, ctr());
      } catch (error) {
        assert.ok(error instanceof SyscallError);
      }
      disk.losePower((sector) => survivors[sector]!);
      Object.assign(disk.libc, { fdatasync });
      const damaged = (): never => assert.fail("damaged");
      assert.equal(openOn(disk, ctr(), damaged).syncCount(), 0n);
    }),
  );
});

const system = openOrSay();

function openOrSay(): System | string {
  try {
    return openSystem("test a dirty log");
  } catch (error) {
    return (error as Error).message;
  }
}
const skip = typeof system === "string" ? system : false;

test("a log in a real file is persistent and private", { skip }, () => {
  assert.ok(typeof system !== "string");
  const folder = mkdtempSync(join(tmpdir(), "dirty-log-"));
  try {
    const logs = diskLogsOn(system.libc, { folder });
    const log = create(logs, ctr());
    log.resume(false);
    log.setRegionSync(3n, true);
    log.clearRegions([3n]);
    log.markRegions([4000n]);
    log.flush();
    log.destroy();
    const path = join(folder, "LOG-1.dirtylog");
    assert.equal(statSync(path).size, 512 * 4);
    assert.equal(statSync(path).mode & 0o777, 0o600);
    const found = create(logs, ctr(undefined, true));
    found.resume(true);
    assert.deepEqual([found.syncCount(), found.inSync(3n), found.isClean(3n)], [1n, true, true]);
    assert.equal(found.isClean(4000n), false);
    found.destroy();
    const held = create(logs, ctr());
    assert.throws(() => diskLogsOn(system.libc, { folder }).create(ctr()), refuses(ERRNO.EBUSY!));
    held.destroy();
    chmodSync(path, 0o620);
    assert.throws(() => logs.create(ctr()), refuses(ERRNO.EPERM!));
    chmodSync(path, 0o600);
    chmodSync(folder, 0o777);
    assert.throws(() => diskLogsOn(system.libc, { folder }), refuses(ERRNO.EPERM!));
    chmodSync(folder, 0o700);
    if (process.getuid?.() === 0) {
      chownSync(path, 65534, 65534);
      assert.throws(() => logs.create(ctr()), refuses(ERRNO.EPERM!));
      chownSync(path, 0, 0);
    }
    writeFileSync(path, readFileSync(path).subarray(0, 100));
    assert.throws(() => logs.create(ctr()), DirtyLogError);
    assert.throws(() => diskLogsOn(system.libc, { folder: `${folder}/none` }).create(ctr()), SyscallError);
  } finally {
    rmSync(folder, { recursive: true });
  }
});
