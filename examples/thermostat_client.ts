/**
 * Asks the thermostat of thermostat_service.ts for its temperature, or sets it.
 *
 *   bun examples/thermostat_client.ts [set 21.5]
 *   deno run --allow-ffi=/lib/x86_64-linux-gnu/libc.so.6 examples/thermostat_client.ts
 *   node examples/thermostat_client.ts
 *
 * Wants CAP_NET_ADMIN.
 */
import process from "node:process";
import { openConnector, SyscallError, TimeoutError } from "../mod.ts";

const question = process.argv.slice(2).join(" ") || "get";

await using bus = await openConnector();
try {
  // Nobody is named, so the group of the identifier is asked, and the first answer counts. Five seconds are for a busy
  // machine, whose programs get a turn when it can.
  const answer = await bus.request({ idx: 12, val: 1 }, new TextEncoder().encode(question), {
    timeoutMs: 5000,
  });
  console.log(`port ${answer.from.port}: ${new TextDecoder().decode(answer.data)}`);
} catch (error) {
  if (error instanceof SyscallError && error.code === "ESRCH") console.error("no thermostat is running");
  else if (error instanceof TimeoutError) console.error("something listens, but it is no thermostat");
  else throw error;
  process.exitCode = 1;
}
