/** Sends forged process events, by multicast and to one port, and prints from which port and how many. */
import process from "node:process";
import { openSystem } from "../../../lib/system.ts";
import { encodeDatagram } from "../../../lib/connector/message.ts";
import { NLMSGHDR } from "../../../lib/netlink/message.ts";
import { NetlinkSocket } from "../../../lib/netlink/socket.ts";
import { PROCESS_EVENT_TYPES } from "../../../lib/processes/constants.ts";
import { viewOf } from "../../../lib/wire/bytes.ts";

const victim = Number(process.argv[2]);
const { libc } = await openSystem("forge");
const socket = NetlinkSocket.open(libc, "forge");
const counts = { multicast: 0, unicast: 0 };

/** No process can have this pid. */
const PID = 2_000_000_001;

/** A valid event of that process whose header claims port 0, the kernel, as its sender. */
function forged(what: number): Uint8Array {
  const data = new Uint8Array(40);
  const view = viewOf(data);
  view.setUint32(0, what, true);
  view.setBigUint64(8, process.hrtime.bigint(), true);
  for (const at of [16, 20, 24, 28]) view.setUint32(at, PID, true);
  return encodeDatagram({ id: { idx: 1, val: 1 }, seq: 0, ack: 0, flags: 0, data });
}

function send(datagram: Uint8Array): void {
  if (socket.send(datagram, 0, 1) > 0) counts.multicast++;
  if (socket.send(datagram, victim) > 0) counts.unicast++;
}

for (const what of [...Object.values(PROCESS_EVENT_TYPES), 0, 0x400]) {
  send(forged(what));
  for (
    const [at, value] of [[NLMSGHDR.pid, PID], [NLMSGHDR.type, 0x10], [NLMSGHDR.len, 0xffff], [
      NLMSGHDR.len,
      0,
    ]]
  ) {
    const datagram = forged(what);
    viewOf(datagram).setUint32(at!, value!, true);
    send(datagram);
  }
  send(forged(what).subarray(0, 50));
  const long = new Uint8Array(new ArrayBuffer(4000));
  long.set(forged(what));
  send(long);
}
console.log(JSON.stringify({ port: socket.port, ...counts }));
for await (const _ of process.stdin); // runs until its input ends, so that the watch can identify it
socket.close();
