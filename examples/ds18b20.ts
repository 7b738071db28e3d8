/**
 * Prints the temperatures of all DS18B20 thermometers on the kernel's 1-wire buses, repeatedly. Ends with Ctrl-C.
 *
 *   bun examples/ds18b20.ts
 *   deno run --allow-ffi=/lib/x86_64-linux-gnu/libc.so.6 examples/ds18b20.ts
 *   node examples/ds18b20.ts
 */
import { crc8, openW1, type W1Slave } from "../lib/protocols/w1/mod.ts";

const FAMILY = "28-";
const CONVERT = 0x44;
const READ_SCRATCHPAD = 0xbe;
/** The duration of a conversion with 12 bits. */
const CONVERSION_MS = 750;

await using w1 = await openW1();
const slaves: W1Slave[] = [];
for (const master of await w1.masters()) {
  for (const slave of await w1.master(master).search()) {
    if (slave.startsWith(FAMILY)) slaves.push(w1.slave(slave));
  }
}
console.log(`${slaves.length} thermometers`);

while (slaves.length > 0) {
  for (const slave of slaves) await slave.write(Uint8Array.of(CONVERT));
  await new Promise((resolve) => setTimeout(resolve, CONVERSION_MS));
  for (const slave of slaves) console.log(slave.id, await temperature(slave) ?? "wrong checksum");
}

/** The temperature in degrees Celsius, or undefined if the CRC of the scratchpad is wrong. */
async function temperature(slave: W1Slave): Promise<number | undefined> {
  const scratchpad = await slave.query(Uint8Array.of(READ_SCRATCHPAD), 9);
  if (crc8(scratchpad) !== 0) return undefined;
  return new DataView(scratchpad.buffer, scratchpad.byteOffset).getInt16(0, true) / 16;
}
