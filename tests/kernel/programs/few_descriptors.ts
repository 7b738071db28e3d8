/** Opens a watch while only as many descriptors are left as its argument says, and prints how that ends. */
import { closeSync, openSync } from "node:fs";
import process from "node:process";
import { watchProcesses } from "../../../mod.ts";

await (await watchProcesses()).close(); // what a runtime opens once is open now
const open: number[] = [];
try {
  for (;;) open.push(openSync("/dev/null", "r"));
} catch {
  // none is left
}
for (let i = 0; i < Number(process.argv[2]); i++) closeSync(open.pop()!);
try {
  await (await watchProcesses({ processInfo: true })).close();
  console.log("open");
} catch (error) {
  console.log((error as Error).message);
}
process.exit();
