// Learns of every question from the service itself, and does what it can: perfect replies from the wrong port before
// the right one, replies to what is long answered, wrong numbers, and datagrams that are none.
// Arguments: idx val of the service

import { openSystem } from "../../../lib/system.ts";
import { encodeDatagram } from "../../../lib/connector/message.ts";
import { NetlinkSocket } from "../../../lib/netlink/socket.ts";
import { openConnector } from "../../../mod.ts";
import { say, whileWanted } from "../kernel.ts";
import { word } from "./payload.ts";

const [idx, val] = process.argv.slice(2).map(Number) as [number, number];
const id = { idx, val };
const { libc } = await openSystem("intrude");
const raw = NetlinkSocket.open(libc, "intrude");
const bus = await openConnector();
const wrong = new Uint8Array(12).fill(0x66);
const done = { forged: 0, late: 0, wrongNumbers: 0, malformed: 0, stray: 0, kernels: 0 };
let before: { seq: number; ack: number } | undefined;

function send(kind: keyof typeof done, datagram: Uint8Array, port: number): void {
  // What finds no room is not sent, and not counted.
  if (raw.send(datagram, port) >= 0) done[kind]++;
}

function reply(seq: number, ack: number, its = id): Uint8Array {
  return encodeDatagram({ id: its, seq, ack: ack >>> 0, flags: 0, data: wrong });
}

bus.addCallback({ idx, val: (val ^ 1) >>> 0 }, "secrets", ({ data }, answer) => {
  const [port, seq, ack, number] = [0, 1, 2, 3].map((i) => word(data, i)) as [number, number, number, number];
  send("forged", reply(seq, ack + 1), port);
  if (number % 4 === 0) send("wrongNumbers", reply(seq, ack + 2), port);
  if (number % 4 === 1) send("wrongNumbers", reply((seq + 2 ** 31) >>> 0, ack + 1), port);
  if (number % 4 === 2) send("malformed", reply(seq, ack + 1).subarray(0, number % 36), port);
  if (number % 4 === 3) {
    const lying = reply(seq, ack + 1);
    lying[32] = 0xff; // cn_msg.len says more than there is
    send("malformed", lying, port);
  }
  if (number % 5 === 0) send("kernels", reply(seq, ack + 1, { idx: 1, val: 1 }), port);
  if (number % 7 === 0) send("stray", new Uint8Array([36, 0, 0, 0, 3, 0, ...new Uint8Array(30)]), port);
  if (before !== undefined) send("late", reply(before.seq, before.ack + 1), port);
  before = { seq, ack };
  answer(new Uint8Array());
});
say({ port: bus.port });
whileWanted(() => say(done));
