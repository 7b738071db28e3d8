/** The time to decode and to encode one message, in nanoseconds, without system calls. */
import process from "node:process";
import { decodeCnMsg, decodeProcEvent, encodeCnMsg } from "../../lib/codec.ts";
import { numberOption } from "./protocol.ts";

/** The size of one receive, so that the results live as long as in a watch. */
const MESSAGES = 256;
const SLOT_BYTES = 128;
const EVENT_BYTES = 40;
const repeats = numberOption("repeats") ?? 2000;
const view = new DataView(new ArrayBuffer(MESSAGES * SLOT_BYTES));
const little = new Uint8Array(new Uint16Array([1]).buffer)[0] === 1;
let kept: unknown[] = [];

/** `struct proc_event`s, each with its own numbers and, for comm, its own name. */
function fill(what: number): void {
  for (let i = 0; i < MESSAGES; i++) {
    const at = i * SLOT_BYTES;
    view.setUint32(at, what, little);
    view.setUint32(at + 4, i & 1, little);
    view.setBigUint64(at + 8, 1_000_000_000_000n + BigInt(i), little);
    for (let word = 0; word < 4; word++) view.setUint32(at + 16 + word * 4, 1000 + i, little);
    if (what === 0x200) {
      const name = `worker-${i}`.padEnd(16, "\0");
      for (let k = 0; k < 16; k++) view.setUint8(at + 24 + k, name.charCodeAt(k));
    }
  }
}

/** The best of several repetitions, because other load can only slow it down. */
function best(one: (at: number) => unknown): number {
  let ns = Infinity;
  for (let round = 0; round < 10; round++) {
    const start = performance.now();
    for (let repeat = 0; repeat < repeats; repeat++) {
      kept = [];
      for (let i = 0; i < MESSAGES; i++) kept.push(one(i * SLOT_BYTES));
    }
    ns = Math.min(ns, (performance.now() - start) * 1e6 / (repeats * MESSAGES));
  }
  return ns;
}

const ns: Record<string, number> = {};
for (const [kind, what] of Object.entries({ fork: 0x1, exec: 0x2, comm: 0x200, exit: 0x8000_0000 })) {
  fill(what);
  ns[`decode ${kind}`] = best((at) => decodeProcEvent(view, at, at + EVENT_BYTES, at));
}
const id = { idx: 20, val: 1 };
const data = new Uint8Array(64);
ns["encode a message of 64 bytes"] = best((at) => encodeCnMsg({ id, seq: at, ack: 0, flags: 0, data }));
const encoded = encodeCnMsg({ id, seq: 1, ack: 0, flags: 0, data });
const message = new DataView(encoded.buffer, encoded.byteOffset, encoded.byteLength);
ns["decode a message of 64 bytes"] = best(() => decodeCnMsg(message, 0, message.byteLength));

process.stdout.write(`${JSON.stringify({ events: kept.length, ns })}\n`);
