/**
 * Attaches the exec recorder with `--attach yes`, and reads nothing: what it costs is the makers' alone. Reports how long
 * its program takes for an exec, as the kernel measures it.
 */
import { readdirSync, readFileSync } from "node:fs";
import process from "node:process";
import { ExecRecorder } from "../../lib/processes/exec_recorder.ts";
import { openSystem } from "../../lib/system.ts";
import { fixedBytes } from "../../lib/wire/bytes.ts";
import { option } from "./protocol.ts";

/** A command of bpf(2), `enum bpf_cmd`: the kernel measures programs while the returned descriptor is open. */
const BPF_ENABLE_STATS = 32;

const { libc } = await openSystem("measure exec records");
const recorder = option("attach") === "yes" ? ExecRecorder.open(libc, "measure exec records") : undefined;
// Its argument is BPF_STATS_RUN_TIME, 0. Linux 5.8 and newer.
if (recorder !== undefined) libc.bpf(BPF_ENABLE_STATS, fixedBytes(4));
process.stdout.write("ready\n");
const stay = setTimeout(() => {}, 1 << 30);
process.on("SIGTERM", () => {
  clearTimeout(stay);
  const exec = runNs();
  recorder?.[Symbol.dispose]();
  process.stdout.write(`${JSON.stringify({ events: 0, ...(exec !== undefined && { ns: { exec } }) })}\n`);
});

/** Nanoseconds for one run of our program; undefined if the kernel has not measured it. */
function runNs(): number | undefined {
  for (const fd of readdirSync("/proc/self/fdinfo")) {
    let text: string;
    try {
      text = readFileSync(`/proc/self/fdinfo/${fd}`, "latin1");
    } catch {
      continue; // that of the directory itself
    }
    const runs = Number(/^run_cnt:\s*(\d+)/m.exec(text)?.[1] ?? 0);
    if (runs > 0) return Number(/^run_time_ns:\s*(\d+)/m.exec(text)![1]) / runs;
  }
  return undefined;
}
