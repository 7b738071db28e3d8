/** Attaches the exec recorder with `--attach yes`, and reads nothing: what it costs is the makers' alone. */
import process from "node:process";
import { ExecRecorder } from "../../lib/processes/exec_recorder.ts";
import { openSystem } from "../../lib/system.ts";
import { option } from "./protocol.ts";

const { libc } = await openSystem("measure exec records");
const recorder = option("attach") === "yes" ? ExecRecorder.open(libc, "measure exec records") : undefined;
process.stdout.write("ready\n");
const stay = setTimeout(() => {}, 1 << 30);
process.on("SIGTERM", () => {
  clearTimeout(stay);
  recorder?.[Symbol.dispose]();
  process.stdout.write(`${JSON.stringify({ events: 0 })}\n`);
});
