/**
 * The counterpart of the kernel documents' cn_test, from the user's side: joins a group, prints every message that
 * arrives there, and sends one message to it each second. Start it twice to see both halves; with a module that sends to the group,
 * once is enough.
 *
 *   bun examples/ucon.ts [IDX [VAL [MESSAGES]]]        (default: 12 1, for ever)
 *   deno run --allow-ffi=/lib/x86_64-linux-gnu/libc.so.6 examples/ucon.ts
 *   node examples/ucon.ts
 *
 * Wants CAP_NET_ADMIN. Ends with Ctrl-C, or when so many messages have arrived.
 */
import process from "node:process";
import { openConnector, SyscallError } from "../mod.ts";

const [idx = 12, val = 1, wanted = Infinity] = process.argv.slice(2).map(Number);

await using bus = await openConnector();
const messages = bus.messages({ groups: [idx] });

let counter = 0;
const timer = setInterval(() => {
  try {
    // The group is given: without it a message goes to the group of our own callback, and we have none.
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
