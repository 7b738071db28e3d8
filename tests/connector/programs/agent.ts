// An agent with a callback that replies with its sender's credentials, and with others that are added and removed on request.
// Arguments: idx val

import { type CbId, openConnector } from "../../../mod.ts";
import { say, whileWanted } from "../kernel.ts";

const [idx, val] = process.argv.slice(2).map(Number) as [number, number];
const bus = await openConnector({ credentials: true, announce: true });
bus.addCallback({ idx, val }, "agent", ({ from, data }, reply) => {
  reply(new TextEncoder().encode(JSON.stringify({ from, bytes: data.length })));
});
say({ port: bus.port, pid: process.pid });
whileWanted(({ add, del }: { add?: CbId; del?: CbId }) => {
  if (add !== undefined) bus.addCallback(add, "more", () => {});
  if (del !== undefined) bus.delCallback(del);
});
