/**
 * Records every process in a database, with `--record yes`; otherwise only watches what a recorder watches, so that the
 * difference is the recording.
 */
import process from "node:process";
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { recordHistory } from "../../lib/history/mod.ts";
import { RECORDER_WATCH } from "../../lib/history/recorder.ts";
import { numberOption, option, ready, whenDrained } from "./protocol.ts";
import { subscribe } from "./subscribe.ts";
import { Tally } from "./tally.ts";

const tally = new Tally(numberOption("of") ?? 0);
if (option("record") === "yes") {
  const folder = mkdtempSync(join(tmpdir(), "kernel-connector-bench-"));
  const recorder = await recordHistory(join(folder, "history.db"));
  const meter = ready();
  whenDrained(tally, () => recorder.close());
  await recorder.closed;
  const { written, lost } = recorder.stats();
  rmSync(folder, { recursive: true });
  meter.report("history", tally, { events: written, own: undefined, lost });
  process.exit(0);
}
const watch = await subscribe({ ...RECORDER_WATCH, threads: false });
const meter = ready();
whenDrained(tally, () => watch.close());
for await (const batch of watch.batches()) {
  for (const event of batch) tally.take(event);
}
meter.report("history", tally);
