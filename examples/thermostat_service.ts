/**
 * A thermostat on the connector's bus: other programs ask for its temperature, and set the one that is wanted. Its
 * protocol is a line of text: "get", or "set 21.5". See thermostat_client.ts for the other side.
 *
 *   bun examples/thermostat_service.ts
 *   deno run --allow-ffi=/lib/x86_64-linux-gnu/libc.so.6 examples/thermostat_service.ts
 *   node examples/thermostat_service.ts
 *
 * Wants CAP_NET_ADMIN. Ends with Ctrl-C.
 */
import { type CbId, openConnector } from "../mod.ts";

/** A number below 12 belongs to a driver of the kernel. */
const THERMOSTAT: CbId = { idx: 12, val: 1 };

const decoder = new TextDecoder();
const encoder = new TextEncoder();
let wanted = 20;

await using bus = await openConnector({ credentials: true });
bus.addCallback(THERMOSTAT, "thermostat", (message, reply) => {
  const [command, value] = decoder.decode(message.data).split(" ");
  if (command === "set") {
    // Who asks is what the kernel says, not what the message says.
    if (message.from.credentials?.uid !== 0) return reply(encoder.encode("only root may set it"));
    const degrees = Number(value);
    if (!(degrees >= 5 && degrees <= 30)) return reply(encoder.encode("5 to 30 degrees"));
    wanted = degrees;
    console.log(`port ${message.from.port} wants ${wanted} degrees`);
  }
  // A thermometer of sine waves: replace it by a real one.
  const measured = wanted + Math.sin(Date.now() / 10_000);
  reply(encoder.encode(`measured ${measured.toFixed(1)} wanted ${wanted.toFixed(1)}`));
});
console.log(`thermostat: port ${bus.port}, groups ${bus.groups().join(", ")}`);
await bus.ended();
