/**
 * Prints identifiers as they are registered and unregistered, by drivers in the kernel and by programs on the bus.
 *
 *   bun examples/identifiers.ts [IDX]
 *   deno run --allow-ffi=/lib/x86_64-linux-gnu/libc.so.6 examples/identifiers.ts
 *   node examples/identifiers.ts
 *
 * Showing programs requires CAP_NET_ADMIN. Ends with Ctrl-C.
 */
import process from "node:process";
import { watchIdentifiers } from "../mod.ts";

const only = process.argv[2];
const idx = only === undefined ? undefined : [{ first: Number(only), range: 1 }];

await using watch = await watchIdentifiers({ idx, pollMs: 200 });
if (watch.agentsUnseen !== undefined) console.error(`programs are not shown: ${watch.agentsUnseen.message}`);
for await (const { type, id, where, port, name } of watch) {
  const whose = where === "kernel" ? `the kernel's ${name}` : `port ${port}'s`;
  console.log(`${type === "registered" ? "+" : "-"} ${id.idx}:${id.val} ${whose}`);
}
