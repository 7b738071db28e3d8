import { openSystem } from "../../ffi/open.ts";
import { Connector } from "./connector.ts";
import type { ConnectorOptions } from "./options.ts";

/**
 * Opens an agent on the connector's bus: for callbacks, messages, conversations and streams of any identifier.
 *
 * @throws {UnsupportedError} Where the kernel has no connector, and where libc cannot be called.
 * @example A service and its client, which would be two programs
 * ```ts
 * import assert from "node:assert/strict";
 * import { openConnector } from "kernel-connector";
 *
 * const thermostat = { idx: 24, val: 1 };
 * await using service = await openConnector();
 * service.addCallback(thermostat, "thermostat", (message, reply) => reply(message.data.toReversed()));
 *
 * await using client = await openConnector();
 * const answer = await client.request(thermostat, new Uint8Array([1, 2, 3]), { timeoutMs: 500 });
 * assert.deepEqual([...answer.data], [3, 2, 1]);
 * assert.equal(answer.from.port, service.port);
 * ```
 */
export async function openConnector(options: ConnectorOptions = {}): Promise<Connector> {
  return new Connector(await openSystem("open the connector"), options);
}
