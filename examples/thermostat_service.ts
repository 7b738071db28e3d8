/**
 * A thermostat on the connector's bus. Other programs read its temperature, or set the target. Its protocol is a line of
 * text: "get" or "set 21.5". thermostat_client.ts is the client.
 *
 *   bun examples/thermostat_service.ts
 *   deno run --allow-ffi=/lib/x86_64-linux-gnu/libc.so.6 examples/thermostat_service.ts
 *   node examples/thermostat_service.ts
 *
 * Requires CAP_NET_ADMIN. Ends with Ctrl-C.
 */
import { type CbId, openConnector } from "../mod.ts";

/** The kernel's documentation leaves idx 12 to 26 to programs. */
const THERMOSTAT: CbId = { idx: 12, val: 1 };

const decoder = new TextDecoder();
const encoder = new TextEncoder();
let wanted = 20;

await using bus = await openConnector({ credentials: true, announce: true });
bus.addCallback(THERMOSTAT, "thermostat", (message, reply) => {
  const [command, value] = decoder.decode(message.data).split(" ");
  if (command === "set") {
    // The credentials come from the kernel, not from the message.
    if (message.from.credentials?.uid !== 0) return reply(encoder.encode("only root may set it"));
    const degrees = Number(value);
    if (!(degrees >= 5 && degrees <= 30)) return reply(encoder.encode("5 to 30 degrees"));
    wanted = degrees;
    console.log(`port ${message.from.port} wants ${wanted} degrees`);
  }
  // A simulated thermometer.
  const measured = wanted + Math.sin(Date.now() / 10_000);
  reply(encoder.encode(`measured ${measured.toFixed(1)} wanted ${wanted.toFixed(1)}`));
});
console.log(`thermostat: port ${bus.port}, groups ${bus.groups().join(", ")}`);
await bus.closed;
