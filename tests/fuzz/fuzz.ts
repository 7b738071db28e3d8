/**
 * Fuzzes every decoder of what others wrote:
 *
 *   bun tests/fuzz/fuzz.ts --seconds 60              each target for so long
 *   bun tests/fuzz/fuzz.ts --seconds 5 --seed 7      the same inputs again, as far as time allows
 *   bun tests/fuzz/fuzz.ts --only w1                 targets whose name holds "w1"
 */
import process from "node:process";
import { parseArgs } from "node:util";
import { fuzz, type Report } from "./engine.ts";
import { TARGETS } from "./targets.ts";

const { values } = parseArgs({
  options: {
    seconds: { type: "string", default: "10" },
    seed: { type: "string", default: String(Date.now() % 1_000_000) },
    only: { type: "string", default: "" },
  },
});
const seconds = Number(values.seconds);
const seed = Number(values.seed);
if (!(seconds > 0) || !Number.isInteger(seed)) throw new TypeError("--seconds and --seed want numbers");

const reports: Report[] = [];
for (const target of TARGETS.filter(({ name }) => name.includes(values.only))) {
  const report = fuzz(target, seconds * 1000, seed);
  reports.push(report);
  const { inputs, refused, corpus, failure } = report;
  const share = ((100 * refused) / inputs).toFixed(0);
  console.log(
    `${report.target.padEnd(36)} ${String(inputs).padStart(9)} inputs, ${share.padStart(3)} % refused, ` +
      `${String(corpus).padStart(5)} kept, ${report.seconds.toFixed(1)} s`,
  );
  if (failure !== undefined) {
    console.log(`  FAILED with ${failure.bytes} bytes: ${failure.reason}\n  ${failure.hex}`);
  }
}
const total = reports.reduce((sum, { inputs }) => sum + inputs, 0);
const time = reports.reduce((sum, report) => sum + report.seconds, 0);
const failures = reports.filter(({ failure }) => failure !== undefined).length;
console.log(`${total} inputs in ${time.toFixed(0)} s with seed ${seed}: ${failures} targets failed`);
process.exitCode = failures === 0 && reports.length > 0 ? 0 : 1;
