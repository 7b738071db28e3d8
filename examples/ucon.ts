/**
 * The userspace counterpart of cn_test in the kernel's documentation: joins a group, prints every message sent to it, and
 * sends one message a second. Start it twice, or once together with a kernel module that sends to the group.
 *
 *   bun examples/ucon.ts [IDX [VAL [MESSAGES]]]        (default: 12 1, without end)
 *   deno run --allow-ffi=/lib/x86_64-linux-gnu/libc.so.6 examples/ucon.ts
 *   node examples/ucon.ts
 *
 * Requires CAP_NET_ADMIN. Ends with Ctrl-C, or after MESSAGES messages.
 */
import process from "node:process";
import { openConnector, SyscallError } from "../mod.ts";

const [idx = 12, val = 1, wanted = Infinity] = process.argv.slice(2).map(Number);

await using bus = await openConnector();
const messages = bus.messages({ groups: [idx] });

let counter = 0;
const timer = setInterval(() => {
  try {
    // Without a group, the message would go to the group of our own callback, and we have none.
    const { seq, ack } = bus.send({ idx, val }, new TextEncoder().encode(`counter ${counter++}`), {
      group: idx,
    });
    console.log(`sent ${idx}:${val} seq ${seq} ack ${ack}`);
  } catch (error) {
    if (!(error instanceof SyscallError && error.code === "ESRCH")) throw error;
    console.log(`nobody else listens to group ${idx}`);
  }
}, 1000);

let arrived = 0;
for await (const message of messages) {
  if (message.type === "lost") {
    console.log(`${message.count} messages lost`);
    continue;
  }
  const { id, seq, ack, data, from } = message;
  const sender = from.port === 0 ? "the kernel" : `port ${from.port}`;
  console.log(
    `${id.idx}:${id.val} seq ${seq} ack ${ack} from ${sender}: ${
      JSON.stringify(new TextDecoder().decode(data))
    }`,
  );
  if (++arrived >= wanted) break;
}
clearInterval(timer);
