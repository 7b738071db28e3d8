// One life between two power cuts: `crash_cycle.ts CYCLE last|write`. A mirror with a disk log is made on disks that
// outlive the machine, recovered, compared with what earlier lives were promised, and written until the power goes.
//
// What was found is a line of JSON in /run/x/cycles; a write that fsync answered for is one in /run/x/acknowledged.

import {
  constants,
  existsSync,
  mkdirSync,
  openSync,
  readFileSync,
  readSync,
  writeFileSync,
  writeSync,
} from "node:fs";
import { open } from "node:fs/promises";
import { create, MirrorShape, remove, Server } from "./mirror.ts";
import { eventually, load, runProgram } from "./support.ts";

const SECTOR = 512;
const BLOCK = 4096;
/** Writes under way at the same time, each in blocks of its own. */
const WRITERS = 4;
const BLOCKS = 512;
const SHAPE = new MirrorShape(BLOCKS * BLOCK / 1024, ["/dev/vda", "/dev/vdb"]);
const ACKNOWLEDGED = "/run/x/acknowledged";
const UUID = "POWER";

const cycle = Number(process.argv[2]);
const last = process.argv[3] === "last";

/** The number of the last acknowledged write of each block, by all lives so far, and the highest of all. */
function promised(): { readonly byBlock: ReadonlyMap<number, number>; readonly highest: number } {
  const byBlock = new Map<number, number>();
  let highest = 0;
  const text = existsSync(ACKNOWLEDGED) ? readFileSync(ACKNOWLEDGED, "utf8") : "";
  for (const line of text.split("\n")) {
    const [block, number] = line.split(" ").map(Number);
    if (number === undefined) continue;
    byBlock.set(block!, Math.max(number, byBlock.get(block!) ?? 0));
    highest = Math.max(highest, number);
  }
  return { byBlock, highest };
}

/** Every sector of a block contains the number of its write. */
function blockOf(number: number): Uint8Array {
  const bytes = new Uint8Array(BLOCK).fill(number & 0xff);
  const view = new DataView(bytes.buffer);
  for (let at = 0; at < BLOCK; at += SECTOR) view.setFloat64(at, number);
  return bytes;
}

/** The blocks of a leg with an older write than the acknowledged one. */
function lostOn(leg: string, byBlock: ReadonlyMap<number, number>): number[] {
  writeFileSync("/proc/sys/vm/drop_caches", "1");
  const fd = openSync(leg, "r");
  const bytes = new Uint8Array(BLOCK);
  const view = new DataView(bytes.buffer);
  return [...byBlock].filter(([block, number]) => {
    readSync(fd, bytes, 0, BLOCK, block * BLOCK);
    for (let at = 0; at < BLOCK; at += SECTOR) if (!(view.getFloat64(at) >= number)) return true;
    return false;
  }).map(([block]) => block);
}

async function writeUntilTheEnd(first: number): Promise<never> {
  const acknowledged = openSync(ACKNOWLEDGED, "a");
  let next = first;
  const writer = async (its: number): Promise<never> => {
    const device = await open("/dev/mapper/power", constants.O_WRONLY | constants.O_SYNC);
    for (let yieldToEventLoop = 0;; yieldToEventLoop++) {
      const block = its + WRITERS * (yieldToEventLoop * 37 % (BLOCKS / WRITERS));
      const number = next++;
      await device.write(blockOf(number), 0, BLOCK, block * BLOCK);
      writeSync(acknowledged, `${block} ${number}\n`);
    }
  };
  return await Promise.race(Array.from({ length: WRITERS }, (_, its) => writer(its)));
}

await load("virtio_blk", "crc32c_generic", "ext4", "dm_log_userspace", "dm_mirror");
await eventually("the disks", () => [...SHAPE.legs, "/dev/vdc"].every(existsSync));
mkdirSync("/run/log");
await runProgram("/run/tools/busybox", ["mount", "-t", "ext4", "/dev/vdc", "/run/log"]);
mkdirSync("/run/log/dirty", { recursive: true, mode: 0o700 });

const differedBefore = SHAPE.legsDiffer().length;
const server = await Server.start("/run/log/dirty");
// "sync" recovers all: also then the log must not count as in sync what it has found there.
const sync = cycle % 2 === 1;
await create("power", SHAPE.table("disk", UUID, ...sync ? ["sync"] : []));
const inSync = await SHAPE.recovery("power");
const { answered } = await server.stats();
const { byBlock, highest } = promised();
const lost = SHAPE.legs.map((leg) => lostOn(leg, byBlock).length);
const found = {
  cycle,
  sync,
  differedBefore,
  recovered: answered["set_region_sync"] ?? 0,
  inSync,
  regions: SHAPE.regions,
  differAfter: SHAPE.legsDiffer().length,
  acknowledged: highest,
  lost,
  complaints: server.lines.filter((line) => /^(error|damage)/.test(line)),
};
writeSync(openSync("/run/x/cycles", "a"), `${JSON.stringify(found)}\n`);
if (!last) await writeUntilTheEnd(highest + 1000); // what was under way at the cut has numbers, too
await remove("power");
await server.kill();
process.exit(0);
