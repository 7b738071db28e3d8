import type { Libc } from "../../ffi/libc.ts";
import { ERRNO } from "../../lib/errors/errno.ts";
import { encodeEntries, FakeFiles } from "./fake_files.ts";
import { FakeMemory } from "./fake_memory.ts";

const LITTLE = new Uint8Array(new Uint16Array([1]).buffer)[0] === 1;

const AF_NETLINK = 16;
const SOL_SOCKET = 1;
const SOL_NETLINK = 270;
const SO_RCVBUF = 8;
const SO_PASSCRED = 16;
const SO_ATTACH_FILTER = 26;
const SO_DETACH_FILTER = 27;
const SO_RCVBUFFORCE = 33;
const SO_MEMINFO = 55;
const NETLINK_ADD_MEMBERSHIP = 1;
const NETLINK_DROP_MEMBERSHIP = 2;
const NETLINK_LIST_MEMBERSHIPS = 9;
const MSG_PEEK = 0x02;
const MSG_CTRUNC = 0x08;
const MSG_TRUNC = 0x20;
const EAGAIN = -ERRNO.EAGAIN!;

/** Who sent a datagram, as recvfrom and recvmmsg give it. */
export interface FakeSender {
  /** `nl_pid`: 0, the default, is the kernel. */
  readonly port?: number;
  /** The number of the group it was sent to, 0 (the default) for none. */
  readonly group?: number;
  /** Given only to a socket that asked for it (SO_PASSCRED). Default: the kernel's, all 0. */
  readonly credentials?: { readonly pid: number; readonly uid: number; readonly gid: number };
  /** `nl_family`, where it shall be wrong. */
  readonly family?: number;
  /** The length of the name, where it shall be wrong; 0 writes no name at all. */
  readonly nameBytes?: number;
}

/** A datagram as a script hands it out. */
export interface FakeDatagram {
  readonly bytes: Uint8Array;
  readonly from?: FakeSender;
}

/** A call that was made: bytes among the arguments are copies of what they were when the call began. */
export interface FakeCall {
  readonly name: CallName;
  readonly args: readonly unknown[];
  readonly result: number;
}

/** A datagram that the code under test sent. */
export interface SentDatagram {
  readonly fd: number;
  readonly bytes: Uint8Array;
  /** `nl_pid` of the address, 0 for the kernel. */
  readonly port: number;
  /** `nl_groups` of the address, a mask. */
  readonly groups: number;
}

/** What a socket of the fake is like now. */
export interface FakeSocket {
  readonly fd: number;
  readonly port: number;
  /** The numbers of the groups that were joined and not left. */
  readonly groups: ReadonlySet<number>;
  /** The bytes of the filter that is attached, as `struct sock_filter`s. */
  readonly filter: Uint8Array | undefined;
  readonly passesCredentials: boolean;
  /** What SO_RCVBUF or SO_RCVBUFFORCE asked for. */
  readonly receiveBufferBytes: number;
  /** What SO_MEMINFO says was dropped: a test writes here. */
  drops: number;
}

/** The calls of {@linkcode Libc} that can be scripted and are recorded. */
export type CallName = {
  [Name in keyof Libc]: Libc[Name] extends (...args: never[]) => number ? Name : never;
}[keyof Libc];

/** A scripted result: a number or `-errno`, or a function that is asked; undefined goes on as if nothing was scripted. */
export type Scripted = number | ((...args: readonly unknown[]) => number | undefined);

interface Socket extends FakeSocket {
  port: number;
  groups: Set<number>;
  filter: Uint8Array | undefined;
  passesCredentials: boolean;
  receiveBufferBytes: number;
  readonly queue: (FakeDatagram | number)[];
}

interface OpenFile {
  readonly path: string;
  readonly entries: (readonly [string, number])[] | undefined;
  offset: number;
}

/**
 * A C library that plays a script, so that real code meets what a kernel rarely does: EINTR, EAGAIN, ENOBUFS, cut,
 * short and foreign datagrams, files that give less than was asked for.
 *
 * It is a small kernel that behaves well by default: sockets open, bind, join and send; nothing is received
 * from them (EAGAIN); files exist where {@linkcode files} has them. Three ways to script it:
 *
 * - {@linkcode receives} queues what a socket receives, in order: a datagram, or `-errno` for one receive that fails.
 *   `-EAGAIN` is one look that finds the queue empty: what follows arrives after that.
 * - {@linkcode answers} queues results of any other call, each used once.
 * - {@linkcode onSend} sees each datagram that is sent, and may answer it with {@linkcode receives}.
 * - {@linkcode onBlock} is called where a caller would wait in poll(2).
 *
 * ```ts
 * const libc = new FakeLibc();
 * libc.answers("sendto", -ERRNO.EINTR!, -ERRNO.EPERM!); // twice an error, then as it should be
 * libc.onSend = ({ fd, bytes }) => libc.receives(fd, { bytes: answerTo(bytes) }); // from the kernel, unicast
 * libc.receives("all", -ERRNO.ENOBUFS!, { bytes, from: { port: 77, group: 12 } }, -ERRNO.EAGAIN!, { bytes: late });
 * libc.files.write("/proc/net/connector", "Name            ID\ncn_proc         1:1\n");
 * // … run the code, with `fakeSystem(libc)` as its system
 * assert.deepEqual(libc.names("recvmmsg", "recvfrom"), ["recvmmsg", "recvfrom", "recvmmsg"]);
 * assert.equal(libc.sent[0]!.groups, 1 << 11);
 * libc.assertAllClosed();
 * ```
 */
export class FakeLibc implements Libc {
  readonly arch: "x64" | "arm64" = "x64";
  readonly memory: FakeMemory = new FakeMemory();
  readonly files: FakeFiles = new FakeFiles();
  /** Every call, in order. */
  readonly calls: FakeCall[] = [];
  /** Every datagram that was sent with success. */
  readonly sent: SentDatagram[] = [];
  /** Called after each datagram that was sent with success, before `sendto` returns: as the kernel, which answers there. */
  onSend: ((datagram: SentDatagram) => void) | undefined;
  /** Called by a poll that would block: what it queues ends the wait. */
  onBlock: ((timeoutMs: number) => void) | undefined;
  /** Called when a socket becomes readable; {@linkcode FakePoller} sets it. */
  onReadable: ((fd: number) => void) | undefined;
  /** Most bytes that one `read` gives: /proc gives less than is asked for too. */
  readBytes: number = Infinity;
  /** Most that SO_RCVBUF and SO_RCVBUFFORCE give, in the kernel's own count, which is twice what is asked for. */
  receiveBufferLimit: number = 2 ** 31 - 1;
  /** What `getpid` answers. */
  pid: number = 4711;
  /** CLOCK_MONOTONIC and every other clock. */
  nowNs: bigint = 1_000_000_000n;
  /** How far CLOCK_REALTIME is ahead of {@linkcode nowNs}. */
  wallOffsetNs: bigint = 1_787_000_000_000_000_000n;
  readonly #scripts = new Map<CallName, Scripted[]>();
  readonly #sockets = new Map<number, Socket>();
  readonly #opened = new Map<number, OpenFile>();
  readonly #others = new Map<number, string>();
  readonly #mapped = new Set<number>();
  readonly #flags = new Map<number, number>();
  readonly #pending: (FakeDatagram | number)[] = [];
  #nextFd = 100;
  #nextPort = 0;

  // --- the script

  /**
   * Queues what a socket receives: datagrams, and `-errno` for single receives that fail. `"all"`: every socket that
   * is open, or where none is, the first that will be.
   */
  receives(fd: number | "all", ...items: readonly (FakeDatagram | number)[]): void {
    if (fd === "all" && this.#sockets.size === 0) {
      this.#pending.push(...items);
      return;
    }
    const sockets = fd === "all" ? [...this.#sockets.values()] : [this.#socket(fd)];
    for (const socket of sockets) {
      socket.queue.push(...items);
      this.onReadable?.(socket.fd);
    }
  }

  /** Queues results of a call. Where the queue is empty the call behaves. */
  answers(name: CallName, ...results: readonly Scripted[]): void {
    this.#scripts.set(name, [...this.#scripts.get(name) ?? [], ...results]);
  }

  // --- what happened

  /** The names of the calls that were made, in order; only these if some are given. */
  names(...only: readonly CallName[]): CallName[] {
    const names = this.calls.map(({ name }) => name);
    return only.length === 0 ? names : names.filter((name) => only.includes(name));
  }

  /** The sockets that are open, in the order of opening. */
  get sockets(): readonly FakeSocket[] {
    return [...this.#sockets.values()];
  }

  /** Whether a receive on the socket would give anything but EAGAIN, now or at the look after. */
  readable(fd: number): boolean {
    return (this.#sockets.get(fd)?.queue.length ?? 0) > 0;
  }

  /** Throws if a descriptor is still open. A descriptor closed twice has thrown already. */
  assertAllClosed(): void {
    const open = [
      ...[...this.#sockets.keys()].map((fd) => `socket ${fd}`),
      ...[...this.#opened].map(([fd, { path }]) => `${path} as ${fd}`),
      ...[...this.#others].map(([fd, what]) => `${what} ${fd}`),
      ...[...this.#mapped].map((address) => `memory at ${address}`),
    ];
    if (open.length > 0) throw new Error(`Still open: ${open.join(", ")}`);
  }

  // --- Libc

  socket(domain: number, type: number, protocol: number): number {
    return this.#call("socket", [domain, type, protocol], () => {
      const fd = this.#nextFd++;
      this.#sockets.set(fd, {
        fd,
        port: 0,
        groups: new Set(),
        filter: undefined,
        passesCredentials: false,
        receiveBufferBytes: 106_496,
        drops: 0,
        queue: this.#pending.splice(0),
      });
      return fd;
    });
  }

  bind(fd: number, address: Uint8Array): number {
    return this.#call("bind", [fd, address], () => {
      const socket = this.#socket(fd);
      const view = viewOf(address);
      socket.port = view.getUint32(4, LITTLE) ||
        (this.#nextPort++ === 0 ? this.pid : 0xf000_0000 + this.#nextPort);
      const mask = view.getUint32(8, LITTLE);
      for (let group = 1; group <= 32; group++) {
        if (((mask >>> (group - 1)) & 1) === 1) socket.groups.add(group);
      }
      return 0;
    });
  }

  getsockname(fd: number, address: Uint8Array): number {
    return this.#call("getsockname", [fd, address], () => {
      const view = viewOf(address);
      const { port, groups } = this.#socket(fd);
      view.setUint16(0, AF_NETLINK, LITTLE);
      view.setUint32(4, port, LITTLE);
      view.setUint32(8, maskOf(groups), LITTLE);
      return 12;
    });
  }

  setsockopt(fd: number, level: number, option: number, value: Uint8Array): number {
    return this.#call("setsockopt", [fd, level, option, value], () => {
      const socket = this.#socket(fd);
      const view = viewOf(value);
      const number = view.getInt32(0, LITTLE);
      if (level === SOL_NETLINK && option === NETLINK_ADD_MEMBERSHIP) {
        if (number < 1 || number > 32) return -ERRNO.EINVAL!;
        socket.groups.add(number);
      } else if (level === SOL_NETLINK && option === NETLINK_DROP_MEMBERSHIP) {
        if (number < 1 || number > 32) return -ERRNO.EINVAL!;
        socket.groups.delete(number);
      } else if (level === SOL_SOCKET) {
        if (option === SO_PASSCRED) socket.passesCredentials = number !== 0;
        if (option === SO_RCVBUF || option === SO_RCVBUFFORCE) socket.receiveBufferBytes = number;
        if (option === SO_DETACH_FILTER) socket.filter = undefined;
        if (option === SO_ATTACH_FILTER) {
          const steps = view.getUint16(0, LITTLE);
          socket.filter = this.memory.at(view.getBigUint64(8, LITTLE), steps * 8).slice();
        }
      }
      return 0;
    });
  }

  getsockopt(fd: number, level: number, option: number, value: Uint8Array): number {
    return this.#call("getsockopt", [fd, level, option, value], () => {
      const socket = this.#socket(fd);
      const view = viewOf(value);
      if (level === SOL_NETLINK && option === NETLINK_LIST_MEMBERSHIPS) {
        view.setUint32(0, maskOf(socket.groups), LITTLE);
        return 4;
      }
      if (level !== SOL_SOCKET || option !== SO_MEMINFO) return -ERRNO.ENOPROTOOPT!;
      for (let word = 0; word < 9 && word * 4 < value.length; word++) view.setUint32(word * 4, 0, LITTLE);
      view.setUint32(4, Math.min(socket.receiveBufferBytes * 2, this.receiveBufferLimit), LITTLE);
      view.setUint32(32, socket.drops, LITTLE);
      return 36;
    });
  }

  sendto(fd: number, data: Uint8Array, flags: number, address: Uint8Array): number {
    const view = viewOf(address);
    const bytes = data.slice();
    const datagram = { fd, bytes, port: view.getUint32(4, LITTLE), groups: view.getUint32(8, LITTLE) };
    const result = this.#call("sendto", [fd, data, flags, address], () => {
      this.#socket(fd);
      return data.length === 0 ? -ERRNO.ENODATA! : data.length;
    });
    if (result >= 0) {
      this.sent.push(datagram);
      this.onSend?.(datagram);
    }
    return result;
  }

  recvfrom(
    fd: number,
    into: Uint8Array,
    flags: number,
    address: Uint8Array,
    addressLength: Uint8Array,
  ): number {
    return this.#call("recvfrom", [fd, into, flags, address, addressLength], () => {
      const { queue } = this.#socket(fd);
      const item = queue[0] ?? EAGAIN;
      if (typeof item === "number" || (flags & MSG_PEEK) === 0) queue.shift();
      if (typeof item === "number") return item;
      into.set(item.bytes.subarray(0, into.length));
      const length = viewOf(addressLength);
      const { name, nameBytes } = nameOf(item.from);
      address.set(name.subarray(0, Math.min(nameBytes, length.getUint32(0, LITTLE), name.length)));
      length.setUint32(0, nameBytes, LITTLE);
      return (flags & MSG_TRUNC) === 0 ? Math.min(into.length, item.bytes.length) : item.bytes.length;
    });
  }

  /** Whether something is queued, after {@linkcode onBlock} if nothing is and the caller would wait for it. */
  poll(fd: Uint8Array, timeoutMs = 0): number {
    return this.#call("poll", [fd], () => {
      const view = viewOf(fd);
      const { queue } = this.#socket(view.getInt32(0, LITTLE));
      if (queue.length === 0 && timeoutMs > 0) this.onBlock?.(timeoutMs);
      const ready = queue.length > 0 ? 1 : 0;
      view.setInt16(6, ready, LITTLE);
      return ready;
    });
  }

  recvmmsg(fd: number, headers: Uint8Array, count: number, flags: number): number {
    return this.#call("recvmmsg", [fd, headers, count, flags], () => {
      const { queue, passesCredentials } = this.#socket(fd);
      const view = viewOf(headers);
      let received = 0;
      while (received < count) {
        const item = queue[0] ?? EAGAIN;
        if (typeof item === "number") {
          // As in Linux: what was received is answered first, and an error stays for the next call.
          if (received > 0) break;
          queue.shift();
          return item;
        }
        queue.shift();
        const at = received * 64;
        view.setUint32(at + 56, this.#deliver(item, view, at, passesCredentials), LITTLE);
        received++;
      }
      return received;
    });
  }

  epoll_create1(flags: number): number {
    return this.#call("epoll_create1", [flags], () => this.#other("epoll set"));
  }

  epoll_ctl(epollFd: number, operation: number, fd: number, event: Uint8Array): number {
    return this.#call("epoll_ctl", [epollFd, operation, fd, event], () => 0);
  }

  eventfd(initial: number, flags: number): number {
    return this.#call("eventfd", [initial, flags], () => this.#other("eventfd"));
  }

  open(path: Uint8Array, flags: number, mode?: number): number {
    const name = cString(path);
    return this.#call("open", [name, flags, mode], () => {
      if (this.files.file(name) === undefined) {
        const folder = this.files.folder(name);
        if (folder === undefined) return -ERRNO.ENOENT!;
        const entries = [[".", 4], ["..", 4], ...folder] as (readonly [string, number])[];
        return this.#opens({ path: name, entries, offset: 0 });
      }
      return this.#opens({ path: name, entries: undefined, offset: 0 });
    });
  }

  read(fd: number, into: Uint8Array, bytes: number = into.length): number {
    return this.#call("read", [fd, into, bytes], () => {
      const file = this.#file(fd);
      if (file.entries !== undefined) return -ERRNO.EISDIR!;
      const content = this.files.file(file.path);
      if (content === undefined) return -ERRNO.ESRCH!; // a process's file whose process is gone
      const part = content.subarray(file.offset, file.offset + Math.min(bytes, into.length, this.readBytes));
      into.set(part);
      file.offset += part.length;
      return part.length;
    });
  }

  pread(fd: number, into: Uint8Array, bytes: number, offset: number): number {
    return this.#call("pread", [fd, into, bytes, offset], () => {
      const part = (this.files.file(this.#file(fd).path) ?? new Uint8Array()).subarray(
        offset,
        offset + bytes,
      );
      into.set(part);
      return part.length;
    });
  }

  write(fd: number, from: Uint8Array, bytes: number = from.length): number {
    return this.#call("write", [fd, from, bytes], () => {
      if (this.#others.has(fd)) return bytes;
      const file = this.#file(fd);
      this.#put(file.path, from.subarray(0, bytes), file.offset);
      file.offset += bytes;
      return bytes;
    });
  }

  pwrite(fd: number, from: Uint8Array, bytes: number, offset: number): number {
    return this.#call("pwrite", [fd, from, bytes, offset], () => {
      this.#put(this.#file(fd).path, from.subarray(0, bytes), offset);
      return bytes;
    });
  }

  ftruncate(fd: number, bytes: number): number {
    return this.#call("ftruncate", [fd, bytes], () => {
      const { path } = this.#file(fd);
      const content = new Uint8Array(bytes);
      content.set((this.files.file(path) ?? new Uint8Array()).subarray(0, bytes));
      this.files.write(path, content);
      return 0;
    });
  }

  fdatasync(fd: number): number {
    return this.#call("fdatasync", [fd], () => 0);
  }

  fstat(fd: number, into: Uint8Array): number {
    return this.#call("fstat", [fd, into], () => {
      const view = viewOf(into.fill(0));
      view.setUint32(24, this.#file(fd).entries === undefined ? 0o100600 : 0o040700, LITTLE); // st_mode
      return 0;
    });
  }

  flock(fd: number, operation: number): number {
    return this.#call("flock", [fd, operation], () => 0);
  }

  readlink(path: Uint8Array, into: Uint8Array): number {
    const name = cString(path);
    return this.#call("readlink", [name, into], () => {
      const target = this.files.target(name);
      if (target === undefined) return -ERRNO.ENOENT!;
      const bytes = new TextEncoder().encode(target).subarray(0, into.length);
      into.set(bytes);
      return bytes.length;
    });
  }

  getdents64(fd: number, into: Uint8Array): number {
    return this.#call("getdents64", [fd, into], () => {
      const file = this.#file(fd);
      if (file.entries === undefined) return -ERRNO.ENOTDIR!;
      const { bytes, entries } = encodeEntries(file.entries.slice(file.offset), into);
      if (entries === 0 && file.offset < file.entries.length) return -ERRNO.EINVAL!;
      file.offset += entries;
      return bytes;
    });
  }

  close(fd: number): number {
    return this.#call("close", [fd], () => {
      // Never tolerated: the number may be another file's by then.
      if (!this.#sockets.delete(fd) && !this.#opened.delete(fd) && !this.#others.delete(fd)) {
        throw new Error(`close(${fd}): not open`);
      }
      return 0;
    });
  }

  /** Keeps the flags of F_SETFL for F_GETFL, and of what is no socket no O_ASYNC. */
  fcntl(fd: number, operation: number, argument: bigint): number {
    return this.#call("fcntl", [fd, operation, argument], () => {
      const [F_GETFL, F_SETFL, O_NONBLOCK, O_ASYNC] = [3, 4, 0o4000, 0o20000];
      if (operation === F_GETFL) return this.#flags.get(fd) ?? O_NONBLOCK;
      if (operation === F_SETFL) {
        this.#flags.set(fd, Number(argument) & (this.#sockets.has(fd) ? ~0 : ~O_ASYNC));
      }
      return 0;
    });
  }

  prctl(option: number, argument: Uint8Array): number {
    return this.#call("prctl", [option, argument], () => 0);
  }

  pidfd_open(pid: number): number {
    return this.#call("pidfd_open", [pid], () => -ERRNO.ENOSYS!);
  }

  waitid(idType: number, id: number, info: Uint8Array, options: number): number {
    return this.#call("waitid", [idType, id, info, options], () => -ERRNO.ECHILD!);
  }

  ioctl(fd: number, request: number, argument: Uint8Array): number {
    return this.#call("ioctl", [fd, request, argument], () => -ERRNO.ENOTTY!);
  }

  prlimit(pid: number, resource: number, limit: Uint8Array, before: Uint8Array): number {
    return this.#call("prlimit", [pid, resource, limit, before], () => 0);
  }

  /** As for a user who may load no programs, where a test does not script it. */
  bpf(command: number, attributes: Uint8Array): number {
    return this.#call("bpf", [command, attributes], () => -ERRNO.EPERM!);
  }

  getpagesize(): number {
    return this.#call("getpagesize", [], () => 4096);
  }

  /** Maps memory that nobody else has; what a test writes there with {@linkcode FakeMemory.at} is read from it. */
  mmap(bytes: number, protection: number, fd: number, offset: number): number {
    return this.#call("mmap", [bytes, protection, fd, offset], () => {
      const address = Number(this.memory.addressOf(new Uint8Array(bytes)));
      this.#mapped.add(address);
      return address;
    });
  }

  munmap(address: number, bytes: number): number {
    return this.#call("munmap", [address, bytes], () => this.#mapped.delete(address) ? 0 : -ERRNO.EINVAL!);
  }

  copyFrom(address: number, into: Uint8Array, bytes: number = into.length): void {
    into.set(this.memory.at(BigInt(address), bytes));
  }

  copyTo(address: number, from: Uint8Array): void {
    this.memory.at(BigInt(address), from.length).set(from);
  }

  getpid(): number {
    return this.#call("getpid", [], () => this.pid);
  }

  nice(): number {
    return this.#call("nice", [], () => 0);
  }

  sched_setattr(attributes: Uint8Array): number {
    return this.#call("sched_setattr", [attributes], () => 0);
  }

  geteuid(): number {
    return this.#call("geteuid", [], () => 0);
  }

  /** What `confstr` answers; the default is musl's. */
  glibcVersion = "";

  confstr(_name: number, into: Uint8Array): number {
    return this.#call("confstr", [], () => {
      if (this.glibcVersion === "") return 0;
      const text = new TextEncoder().encode(`${this.glibcVersion}\0`);
      into.set(text);
      return text.length;
    });
  }

  clock_gettime(clock: number, into: Uint8Array): number {
    return this.#call("clock_gettime", [clock, into], () => {
      const view = viewOf(into);
      const ns = this.nowNs + (clock === 0 ? this.wallOffsetNs : 0n);
      view.setBigInt64(0, ns / 1_000_000_000n, LITTLE);
      view.setBigInt64(8, ns % 1_000_000_000n, LITTLE);
      return 0;
    });
  }

  addressOf(buffer: Uint8Array): bigint {
    return this.memory.addressOf(buffer);
  }

  // --- within

  #call(name: CallName, args: readonly unknown[], behave: () => number): number {
    const copies = args.map((arg) => arg instanceof Uint8Array ? arg.slice() : arg);
    const scripted = this.#scripts.get(name)?.shift();
    const result = (typeof scripted === "function" ? scripted(...args) : scripted) ?? behave();
    this.calls.push({ name, args: copies, result });
    return result;
  }

  /** Writes a datagram as recvmmsg does, through the pointers of the `struct msghdr` at `at`; answers bytes copied. */
  #deliver(
    { bytes, from = {} }: FakeDatagram,
    header: DataView,
    at: number,
    withCredentials: boolean,
  ): number {
    const word = (offset: number): bigint => header.getBigUint64(at + offset, LITTLE);
    let flags = 0;
    const { name, nameBytes } = nameOf(from);
    const room = header.getUint32(at + 8, LITTLE);
    const written = Math.min(nameBytes, room, 12);
    if (word(0) !== 0n && written > 0) this.memory.at(word(0), written).set(name.subarray(0, written));
    header.setUint32(at + 8, nameBytes, LITTLE);

    let copied = 0;
    for (let i = 0; i < Number(word(24)); i++) {
      const vector = viewOf(this.memory.at(word(16) + BigInt(i * 16), 16));
      const part = bytes.subarray(copied, copied + Number(vector.getBigUint64(8, LITTLE)));
      this.memory.at(vector.getBigUint64(0, LITTLE), part.length).set(part);
      copied += part.length;
    }
    if (copied < bytes.length) flags |= MSG_TRUNC;

    const controlRoom = Number(word(40));
    let controlBytes = 0;
    if (withCredentials) {
      if (word(32) === 0n || controlRoom < 28) {
        flags |= MSG_CTRUNC;
      } else {
        const { pid, uid, gid } = from.credentials ?? { pid: 0, uid: 0, gid: 0 };
        const control = viewOf(this.memory.at(word(32), 28));
        control.setBigUint64(0, 28n, LITTLE);
        control.setInt32(8, SOL_SOCKET, LITTLE);
        control.setInt32(12, 2, LITTLE); // SCM_CREDENTIALS
        control.setUint32(16, pid, LITTLE);
        control.setUint32(20, uid, LITTLE);
        control.setUint32(24, gid, LITTLE);
        controlBytes = Math.min(32, controlRoom);
      }
    }
    header.setBigUint64(at + 40, BigInt(controlBytes), LITTLE);
    header.setInt32(at + 48, flags, LITTLE);
    return copied;
  }

  #socket(fd: number): Socket {
    const socket = this.#sockets.get(fd);
    if (socket === undefined) throw new Error(`${fd} is not an open socket`);
    return socket;
  }

  #file(fd: number): OpenFile {
    const file = this.#opened.get(fd);
    if (file === undefined) throw new Error(`${fd} is not an open file`);
    return file;
  }

  #opens(file: OpenFile): number {
    const fd = this.#nextFd++;
    this.#opened.set(fd, file);
    return fd;
  }

  #other(what: string): number {
    const fd = this.#nextFd++;
    this.#others.set(fd, what);
    return fd;
  }

  #put(path: string, bytes: Uint8Array, offset: number): void {
    const before = this.files.file(path) ?? new Uint8Array();
    const content = new Uint8Array(Math.max(before.length, offset + bytes.length));
    content.set(before);
    content.set(bytes, offset);
    this.files.write(path, content);
  }
}

function viewOf(bytes: Uint8Array): DataView {
  return new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
}

/** The address of a sender, and how long it is said to be. */
function nameOf(from: FakeSender = {}): { readonly name: Uint8Array; readonly nameBytes: number } {
  const name = new Uint8Array(12);
  const view = viewOf(name);
  view.setUint16(0, from.family ?? AF_NETLINK, LITTLE);
  view.setUint32(4, from.port ?? 0, LITTLE);
  view.setUint32(8, from.group ? (1 << (from.group - 1)) >>> 0 : 0, LITTLE);
  return { name, nameBytes: from.nameBytes ?? 12 };
}

function maskOf(groups: ReadonlySet<number>): number {
  let mask = 0;
  for (const group of groups) mask |= 1 << (group - 1);
  return mask >>> 0;
}

function cString(bytes: Uint8Array): string {
  const end = bytes.indexOf(0);
  if (end < 0) throw new Error("A path without its NUL");
  return new TextDecoder().decode(bytes.subarray(0, end));
}
