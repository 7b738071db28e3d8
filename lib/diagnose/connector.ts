import { encodeDatagram } from "../connector/message.ts";
import { readKernelIdentifiers } from "../connector/proc_net.ts";
import { NO_PROC_EVENTS, OTHER_NETWORK_NAMESPACE } from "../errors/advice.ts";
import { ERRNO, errnoName } from "../errors/errno.ts";
import { NetlinkSocket } from "../netlink/socket.ts";
import { servesProcEvents } from "../processes/explain_refusal.ts";
import { explain, fail, type Finding, ok, unknown, warn } from "./check.ts";
import type { CallableScene, ReadableScene } from "./context.ts";

const ACTION = "diagnose";

/** An identifier that nobody serves: the kernel takes a message for it and forgets it. */
const NOBODY = { idx: 0xffff_fffe, val: 0xffff_fffe };

/** Only the first network namespace has this list. */
const NO_LIST = "/proc/net/connector, which only the first network namespace has, cannot be read";

const FIRST = "this is the kernel's first";

/** CONFIG_CONNECTOR, and whether a policy lets us have a socket. */
export function checkConnector({ system }: CallableScene): Finding {
  try {
    NetlinkSocket.open(system.libc, ACTION).close();
    return ok("a netlink socket of the connector can be opened");
  } catch (error) {
    return fail(explain(error));
  }
}

/** Whether the kernel's side of the connector is here: it answers a message with ECONNREFUSED where it is not. */
export function checkNetworkNamespace({ files, system }: ReadableScene): Finding {
  if (system === undefined) {
    return readKernelIdentifiers(files) === undefined ? unknown(NO_LIST) : ok(FIRST);
  }
  let socket: NetlinkSocket;
  try {
    socket = NetlinkSocket.open(system.libc, ACTION);
  } catch {
    return unknown("no socket of the connector can be opened");
  }
  const datagram = encodeDatagram({ id: NOBODY, seq: 0, ack: 0, flags: 0, data: new Uint8Array() });
  const result = socket.send(datagram);
  socket.close();
  if (result >= 0) return ok(FIRST);
  if (result === -ERRNO.ECONNREFUSED!) return fail(OTHER_NETWORK_NAMESPACE);
  return unknown(`sending to the kernel failed with ${errnoName(-result)}`);
}

/** CONFIG_PROC_EVENTS. */
export function checkProcessEvents({ files }: ReadableScene): Finding {
  const served = servesProcEvents(files);
  if (served === undefined) return unknown(NO_LIST);
  return served ? ok("the kernel serves them (CONFIG_PROC_EVENTS is on)") : fail(NO_PROC_EVENTS);
}

/** What else the kernel serves. */
export function checkIdentifiers({ files }: ReadableScene): Finding {
  const served = readKernelIdentifiers(files);
  if (served === undefined) return unknown(NO_LIST);
  if (served.length === 0) return warn("the kernel serves none");
  return ok(served.map(({ id, name }) => `${name} ${id.idx}:${id.val}`).join(", "));
}
