// Prints an event, a watch and a connector, each as console.log does.

import { spawn } from "node:child_process";
import { openConnector, watchProcesses } from "../../../mod.ts";

await using events = await watchProcesses({ events: ["exit"] });
const child = spawn("/bin/sh", ["-c", "exit 3"], { stdio: "ignore" });
for await (const event of events) {
  if (event.pid !== child.pid) continue;
  console.log(event);
  break;
}
console.log("---");
console.log(events);
console.log("---");
await using bus = await openConnector();
console.log(bus);
