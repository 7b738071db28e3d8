import type { ReadCalls } from "../../ffi/libc.ts";
import { openSystem } from "../system.ts";
import { UnsupportedError } from "../errors/unsupported_error.ts";
import { groupsOf } from "../netlink/message.ts";
import { type KernelIdentifier, readBusSockets, readKernelIdentifiers, socketOwners } from "./proc_net.ts";

const ACTION = "list the connector's users";

/** A socket on the bus, and its processes. */
export interface ConnectorSocket {
  /** Its port; 0 is the kernel's own socket. */
  readonly port: number;
  /** The numbers of the groups that it has joined. */
  readonly groups: readonly number[];
  /** Memory of the messages in its receive queue, in bytes. */
  readonly receiveBytes: number;
  /** Messages that were dropped because its receive buffer was full. */
  readonly drops: number;
  /** Its inode. */
  readonly inode: number;
  /** The processes that have it open, as far as permissions show them; none for the kernel's. */
  readonly owners: readonly { readonly pid: number; readonly comm: string }[];
}

/** The identifiers and the sockets on the bus. */
export interface BusSnapshot {
  /** The identifiers that the kernel serves; undefined outside the initial network namespace. */
  readonly identifiers: readonly KernelIdentifier[] | undefined;
  /** The sockets of this network namespace, in the order of their ports. */
  readonly sockets: readonly ConnectorSocket[];
}

/** As {@linkcode inspectBus}, on a given system. */
export function inspectBusOn(libc: ReadCalls): BusSnapshot {
  const sockets = readBusSockets(libc);
  if (sockets === undefined) {
    throw new UnsupportedError(ACTION, "no-connector", "/proc/net/netlink cannot be read");
  }
  const owners = socketOwners(
    libc,
    new Set(sockets.filter(({ port }) => port !== 0).map(({ inode }) => inode)),
  );
  return {
    identifiers: readKernelIdentifiers(libc),
    sockets: sockets
      .map(({ port, groups, receiveBytes, drops, inode }): ConnectorSocket => ({
        port,
        groups: groupsOf(groups),
        receiveBytes,
        drops,
        inode,
        owners: owners.get(inode) ?? [],
      }))
      .sort((a, b) => a.port - b.port),
  };
}

/**
 * Lists the identifiers that the kernel serves, and every socket on the bus with its groups, drops and processes.
 *
 * @throws {UnsupportedError} Where /proc or libc cannot be used.
 * @example
 * ```ts
 * import assert from "node:assert/strict";
 * import { inspectBus } from "kernel-connector";
 *
 * const { identifiers, sockets } = await inspectBus();
 * assert.ok(identifiers?.some(({ name }) => name === "cn_proc"));
 * assert.deepEqual(sockets.find(({ port }) => port === 0)?.owners, []);
 * ```
 */
export async function inspectBus(): Promise<BusSnapshot> {
  return inspectBusOn((await openSystem(ACTION)).libc);
}
