/**
 * A program that watches, handles an error in the given way, and continues. It prints what its watch
 * received about its own child afterwards, what a second watch did, and how often the subscription was interrupted.
 */
import { spawn } from "node:child_process";
import process from "node:process";
import { type ProcessWatch, waitForExit, watchProcesses } from "../../../mod.ts";

const [way, errors] = [process.argv[2]!, Number(process.argv[3])];
const prevent = (event: Event): void => event.preventDefault();
if (way === "uncaughtException") process.on("uncaughtException", () => {});
if (way === "unhandledRejection") process.on("unhandledRejection", () => {});
if (way === "error") addEventListener("error", prevent);
if (way === "unhandledrejection") addEventListener("unhandledrejection", prevent);

/** Reads until an exec of the process `pid()`, for a few seconds at most. */
async function hears(watch: ProcessWatch, pid: () => number | undefined): Promise<boolean> {
  const late = setTimeout(() => watch.close(), 10_000);
  for await (const event of watch) {
    if (event.type !== "exec" || event.pid !== pid()) continue;
    clearTimeout(late);
    return true;
  }
  return false;
}

const first = await watchProcesses({ events: ["exec"], heartbeatMs: 0 });
let pid: number | undefined = undefined;
const heard = hears(first, () => pid);
for (let i = 0; i < errors; i++) {
  if (way.toLowerCase().includes("rejection")) void Promise.reject(new Error("handled"));
  else {setTimeout(() => {
      throw new Error("handled");
    });}
}
await new Promise((resolve) => setTimeout(resolve, 200));
const second = await watchProcesses({ events: ["exec"], heartbeatMs: 0 });
const heardToo = hears(second, () => pid);
// It has finished its exec once it replies, and ends on request.
const child = spawn("/bin/sh", ["-c", "read line; exit 3"], { stdio: ["pipe", "ignore", "ignore"] });
pid = child.pid as number | undefined;
const exit = waitForExit(child.pid!, { signal: AbortSignal.timeout(10_000) }).catch((error: Error) =>
  error.message
);
await new Promise((resolve) => setTimeout(resolve, 50));
child.stdin!.end();
const { interruptions } = first.stats();
console.log(JSON.stringify({ first: await heard, second: await heardToo, exit: await exit, interruptions }));
process.exit(0);
