import type { ReadCalls } from "../../ffi/libc.ts";
import { NETLINK_CONNECTOR } from "../netlink/message.ts";
import { readComm, readDirectory, readFile, readLink } from "../procfs/file.ts";
import { decodeText } from "../wire/text.ts";
import type { CbId } from "./message.ts";

/** How much of a list is read: enough for a million sockets. */
const LIMIT_BYTES = 128 << 20;

/** An identifier that the kernel serves: a line of /proc/net/connector. */
export interface KernelIdentifier {
  /** The identifier. */
  readonly id: CbId;
  /** The name of its callback, for people. */
  readonly name: string;
}

/** A socket of the connector in this network namespace: a line of /proc/net/netlink. */
export interface BusSocket {
  /** Its port; 0 is the kernel's own socket. */
  readonly port: number;
  /** The groups that it has joined, as a mask: bit n-1 is group n. */
  readonly groups: number;
  /** Memory of the messages in its receive queue, in bytes. */
  readonly receiveBytes: number;
  /** Memory of the messages in its send queue, in bytes. */
  readonly sendBytes: number;
  /** Messages that were dropped because its receive buffer was full. */
  readonly drops: number;
  /** The inode of the socket, by which its processes can be found. */
  readonly inode: number;
}

/** The identifiers that the kernel serves, or undefined outside the initial network namespace. */
export function readKernelIdentifiers(libc: ReadCalls): readonly KernelIdentifier[] | undefined {
  const text = read(libc, "/proc/net/connector");
  if (text === undefined) return undefined;
  const identifiers: KernelIdentifier[] = [];
  for (const line of text.split("\n")) {
    // "%-15s %u:%u": a name may be longer than its column, and may hold spaces.
    // The expression takes linear time, whatever the line is.
    const match = /^(.*\S|)\s+(\d+):(\d+)$/.exec(line);
    if (match === null) continue;
    identifiers.push({ id: { idx: Number(match[2]), val: Number(match[3]) }, name: match[1]! });
  }
  return identifiers;
}

/** The sockets on the bus, the kernel's included, or undefined if they cannot be read. */
export function readBusSockets(libc: ReadCalls): readonly BusSocket[] | undefined {
  const text = read(libc, "/proc/net/netlink");
  if (text === undefined) return undefined;
  const sockets: BusSocket[] = [];
  for (const line of text.split("\n")) {
    // sk Eth Pid Groups Rmem Wmem Dump Locks Drops Inode
    const [, protocol, port, groups, rmem, wmem, , , drops, inode] = line.trim().split(/\s+/);
    if (protocol !== String(NETLINK_CONNECTOR) || inode === undefined) continue;
    sockets.push({
      port: Number(port),
      groups: parseInt(groups!, 16) >>> 0,
      receiveBytes: Number(rmem),
      sendBytes: Number(wmem),
      drops: Number(drops),
      inode: Number(inode),
    });
  }
  return sockets;
}

/** A value that is read again only when it is older than a limit. */
export class CachedValue<T> {
  readonly #read: () => T;
  readonly #maxAgeMs: number;
  #value: { readonly of: T; readonly atMs: number } | undefined;

  constructor(maxAgeMs: number, read: () => T) {
    this.#maxAgeMs = maxAgeMs;
    this.#read = read;
  }

  /** The value, read now or less than the limit ago. */
  get(): T {
    const value = this.#value;
    return value !== undefined && performance.now() - value.atMs <= this.#maxAgeMs
      ? value.of
      : this.refresh();
  }

  /** The value, read now. */
  refresh(): T {
    const of = this.#read();
    this.#value = { of, atMs: performance.now() };
    return of;
  }
}

function read(libc: ReadCalls, path: string): string | undefined {
  const bytes = readFile(libc, path, LIMIT_BYTES);
  return typeof bytes === "number" ? undefined : decodeText(bytes);
}

/** A process that has a socket open. */
export interface SocketOwner {
  /** The process. */
  readonly pid: number;
  /** Its name, up to 15 bytes. */
  readonly comm: string;
}

/**
 * The processes that have each of these sockets open, by the socket's inode. Only processes of this pid namespace are
 * seen, and those of other users only with CAP_SYS_PTRACE.
 */
export function socketOwners(
  libc: ReadCalls,
  inodes: ReadonlySet<number>,
): ReadonlyMap<number, readonly SocketOwner[]> {
  const owners = new Map<number, SocketOwner[]>();
  if (inodes.size === 0) return owners;
  for (const name of readDirectory(libc, "/proc")) {
    if (!/^\d+$/.test(name)) continue;
    let owner: SocketOwner | undefined;
    for (const fd of readDirectory(libc, `/proc/${name}/fd`)) {
      const inode = Number(/^socket:\[(\d+)\]$/.exec(readLink(libc, `/proc/${name}/fd/${fd}`) ?? "")?.[1]);
      if (!inodes.has(inode)) continue;
      owner ??= {
        pid: Number(name),
        comm: readComm(libc, Number(name)) ?? "",
      };
      const known = owners.get(inode);
      if (known === undefined) owners.set(inode, [owner]);
      else if (known.at(-1) !== owner) known.push(owner);
    }
  }
  return owners;
}
