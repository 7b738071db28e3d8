/** Watches with exec records until it is killed; prints what `stats()` says of them, and what it knows of a child. */
import { spawn } from "node:child_process";
import process from "node:process";
import { watchProcesses } from "../../../mod.ts";

const execRecords = process.argv[2] as "auto" | "off" | "required";
const watch = await watchProcesses({ events: ["exec"], processInfo: { execRecords } });
const child = spawn("/bin/cat", ["alive", "-"], { stdio: ["pipe", "ignore", "ignore"] });
for await (const { type, pid, process: info } of watch) {
  if (type !== "exec" || pid !== child.pid) continue;
  child.stdin.end();
  console.log(JSON.stringify({ ...watch.stats().commandLines, commandLine: info!.commandLine }));
}
