/**
 * Prints what every process executes and how it exits. Ends with Ctrl-C.
 *
 *   bun examples/watch.ts
 *   deno run --allow-ffi=/lib/x86_64-linux-gnu/libc.so.6 examples/watch.ts
 *   node examples/watch.ts
 */
import { watchProcesses } from "../mod.ts";

await using events = await watchProcesses({ events: ["exec", "exit"], processInfo: true });
console.log("watching");

for await (const event of events) {
  if (event.type === "lost") console.log(`${event.count ?? "some"} events were lost`);
  else if (event.type === "exec") {
    console.log(event.pid, "exec", event.process.commandLine?.join(" ") ?? "?");
  } else if (event.type === "exit") {
    console.log(event.pid, "exit", event.signal ?? event.exitCode);
  }
}
