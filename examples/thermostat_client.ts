/**
 * Reads the temperature of thermostat_service.ts, or sets it.
 *
 *   bun examples/thermostat_client.ts [set 21.5]
 *   deno run --allow-ffi=/lib/x86_64-linux-gnu/libc.so.6 examples/thermostat_client.ts
 *   node examples/thermostat_client.ts
 *
 * Requires CAP_NET_ADMIN.
 */
import process from "node:process";
import { openConnector, SyscallError, TimeoutError } from "../mod.ts";

const command = process.argv.slice(2).join(" ") || "get";

await using bus = await openConnector();
try {
  // Without a port or a group, the request goes to the group of the identifier, and the first reply counts. The long
  // timeout is for a busy machine.
  const reply = await bus.request({ idx: 12, val: 1 }, new TextEncoder().encode(command), {
    timeoutMs: 5000,
  });
  console.log(`port ${reply.from.port}: ${new TextDecoder().decode(reply.data)}`);
} catch (error) {
  if (error instanceof SyscallError && error.code === "ESRCH") console.error("no thermostat is running");
  else if (error instanceof TimeoutError) console.error("another program listens, but not a thermostat");
  else throw error;
  process.exitCode = 1;
}
