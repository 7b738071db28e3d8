import { spawn } from "node:child_process";
import process from "node:process";
import { waitForExit } from "../../../mod.ts";

/** Waits for the processes in its arguments, or else for a child that it kills; this is the first thing it does. */
const pids = process.argv.slice(2).map(Number);
if (pids.length === 0) {
  const child = spawn("/bin/sleep", ["60"], { stdio: "ignore" });
  const gone = waitForExit(child.pid!);
  process.kill(child.pid!, "SIGTERM");
  console.log(JSON.stringify(await gone));
}
for (const pid of pids) console.log(JSON.stringify(await waitForExit(pid)));
