/** Watches with exec records until it is killed; prints what `stats()` says of them. */
import process from "node:process";
import { watchProcesses } from "../../../mod.ts";

const execRecords = process.argv[2] as "auto" | "off" | "required";
const watch = await watchProcesses({ events: ["exec"], processInfo: { execRecords } });
console.log(JSON.stringify(watch.stats().commandLines));
for await (const _ of watch) continue;
