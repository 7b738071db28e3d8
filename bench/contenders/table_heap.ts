/** The heap that the entries of a process table take, by a collection before and one after it was filled. */
import process from "node:process";
import { ProcessTable } from "../../lib/processes/table.ts";
import { FakeProc } from "../../tests/processes/fake_proc.ts";
import { numberOption } from "./protocol.ts";

interface Globals {
  readonly Bun?: { gc(whole: true): void };
  readonly gc?: () => void;
}

async function usedBytes(): Promise<number> {
  const { Bun, gc } = globalThis as unknown as Globals;
  for (let i = 0; i < 4; i++) Bun === undefined ? gc!() : Bun.gc(true);
  if (Bun === undefined) return process.memoryUsage().heapUsed;
  const name = "bun:jsc"; // a constant here, or other runtimes look for it
  const { heapStats } = await import(name);
  const { heapSize, extraMemorySize } = heapStats();
  return heapSize + extraMemorySize;
}

const count = numberOption("count") ?? 50_000;
const proc = new FakeProc();
const args = ["sleep", "100000"];
for (let pid = 10; pid < 10 + count; pid++) {
  proc.add(pid, {
    comm: "sleep",
    args,
    exe: "/usr/bin/sleep",
    cgroup: "/system.slice/cron.service",
    parentPid: 10,
  });
}
const before = await usedBytes();
const table = new ProcessTable(proc.libc);
table.seed();
proc.calls.length = 0;
const bytes = await usedBytes() - before;
console.log(JSON.stringify({ events: table.size, ns: { bytes: bytes / table.size } }));
