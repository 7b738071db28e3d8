// Two connectors talk to each other, and try the kernel: for a network namespace of its own.

import { inspectBus, openConnector, UnsupportedError } from "../../../mod.ts";
import { randomId, say } from "../kernel.ts";

const id = randomId();
await using service = await openConnector();
service.addCallback(id, "echo", ({ data }, reply) => reply(data));
await using client = await openConnector();
const timeoutMs = 30_000;
const toGroup = await client.request(id, new Uint8Array([1]), { timeoutMs });
const toPort = await client.request(id, new Uint8Array([2]), { port: service.port, timeoutMs });
let reason: string | undefined;
try {
  client.send({ idx: 1, val: 1 }, new Uint8Array(2), { port: 0 });
} catch (error) {
  if (error instanceof UnsupportedError) reason = error.reason;
}
say({
  answers: [...toGroup.data, ...toPort.data],
  received: service.stats().messages,
  reason,
  identifiers: (await inspectBus()).identifiers ?? null,
});
process.exit(0);
