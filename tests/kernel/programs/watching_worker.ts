/** A worker with a watch and a connector that reads for ever, and reports when both are open. */
import { parentPort } from "node:worker_threads";
import { openConnector, watchProcesses } from "../../../mod.ts";

const events = await watchProcesses({ events: ["exec"] });
const connector = await openConnector();
connector.addCallback({ idx: 28, val: 1 }, "nobody calls", () => {});
parentPort!.postMessage("open");
for await (const _ of events);
