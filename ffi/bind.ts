import type { StartWaiting } from "./epoll_thread.ts";
import type { Libc } from "./libc.ts";
import {
  type Bound,
  type CFunction,
  EVENT_SYMBOLS,
  LAZY_SYMBOLS,
  MAPPING_SYMBOLS,
  MEMCPY_ADDRESS,
  MEMCPY_READ,
  PROCESS_SYMBOLS,
  SYMBOLS,
} from "./symbols.ts";

/**
 * Where a C library may be. By its bare name the dynamic loader finds glibc's anywhere; the full paths serve runtimes
 * that grant permission by path, and musl, whose C library has no name that all distributions share.
 */
export const LIBC_NAME = "libc.so.6";

/** The full paths by which distributions install libc, the most common first. */
export function libcPaths(arch: "x64" | "arm64"): readonly string[] {
  const cpu = arch === "x64" ? "x86_64" : "aarch64";
  return [
    `/lib/${cpu}-linux-gnu/libc.so.6`,
    "/lib64/libc.so.6",
    `/usr/lib/${cpu}-linux-gnu/libc.so.6`,
    "/usr/lib64/libc.so.6",
    "/usr/lib/libc.so.6",
    "/lib/libc.so.6",
    `/lib/ld-musl-${cpu}.so.1`,
    `/lib/libc.musl-${cpu}.so.1`,
  ];
}

/** What the adapter of a runtime brings. */
export interface Runtime {
  readonly tables: BoundTables;
  readonly startWaiting: StartWaiting;
}

/** A runtime's `dlopen`: throws where the library or a function of the table is not found. */
export type Dlopen = (library: string, table: Readonly<Record<string, CFunction>>) => unknown;

/** The signature table and memcpy's two faces, bound by a runtime's `dlopen`. */
export interface BoundTables {
  /** The name by which the library was found. */
  readonly library: string;
  readonly symbols: Bound<typeof SYMBOLS>;
  /** Binds the rest. */
  readonly bindLazy: () => Bound<typeof LAZY_SYMBOLS>;
  readonly bindEvent: () => Bound<typeof EVENT_SYMBOLS>;
  readonly bindProcess: () => Bound<typeof PROCESS_SYMBOLS>;
  readonly bindMapping: () => Bound<typeof MAPPING_SYMBOLS>;
  readonly memcpyAddress: Bound<typeof MEMCPY_ADDRESS>;
  readonly memcpyRead: Bound<typeof MEMCPY_READ>;
}

/** Binds the tables in the first of `libraries` that opens; throws the first failure where none does. */
export function bindTables(libraries: readonly string[], dlopen: Dlopen): BoundTables {
  let failure: unknown;
  for (const library of libraries) {
    try {
      return {
        library,
        symbols: dlopen(library, SYMBOLS) as BoundTables["symbols"],
        bindLazy: () => dlopen(library, LAZY_SYMBOLS) as Bound<typeof LAZY_SYMBOLS>,
        bindEvent: () => dlopen(library, EVENT_SYMBOLS) as Bound<typeof EVENT_SYMBOLS>,
        bindProcess: () => dlopen(library, PROCESS_SYMBOLS) as Bound<typeof PROCESS_SYMBOLS>,
        bindMapping: () => dlopen(library, MAPPING_SYMBOLS) as Bound<typeof MAPPING_SYMBOLS>,
        memcpyAddress: dlopen(library, MEMCPY_ADDRESS) as BoundTables["memcpyAddress"],
        memcpyRead: dlopen(library, MEMCPY_READ) as BoundTables["memcpyRead"],
      };
    } catch (error) {
      failure ??= error;
    }
  }
  throw failure;
}

const EINTR = 4;
const EAGAIN = 11;
const ENOMEM = 12;
const ENOBUFS = 105;
/** What an empty queue, a signal, an overrun and a moment without memory answer. */
const CALL_AGAIN: ReadonlySet<number> = new Set([EAGAIN, EINTR, ENOBUFS, ENOMEM]);

/** Number of getdents64 in `syscall(2)`. */
const SYS_GETDENTS64 = { x64: 217, arm64: 61 } as const;
/** Number of fstat in `syscall(2)`. */
const SYS_FSTAT = { x64: 5, arm64: 80 } as const;
/** Number of pidfd_open in `syscall(2)`, the same on both. */
const SYS_PIDFD_OPEN = 434;
/** Number of sched_setattr in `syscall(2)`. */
const SYS_SCHED_SETATTR = { x64: 314, arm64: 274 } as const;
/** Number of bpf in `syscall(2)`. */
const SYS_BPF = { x64: 321, arm64: 280 } as const;

const MAP_SHARED = 1;
/** Of getpriority(2): a thread, 0 being the caller. */
const PRIO_PROCESS = 0;

/** Makes a {@linkcode Libc} of what an adapter bound: one body for every runtime. */
export function libcFrom(bound: BoundTables, arch: Libc["arch"]): Libc {
  const c = bound.symbols;
  let lazyBound: Bound<typeof LAZY_SYMBOLS> | undefined;
  const lazy = (): Bound<typeof LAZY_SYMBOLS> => lazyBound ??= bound.bindLazy();
  let eventBound: Bound<typeof EVENT_SYMBOLS> | undefined;
  const events = (): Bound<typeof EVENT_SYMBOLS> => eventBound ??= bound.bindEvent();
  let processBound: Bound<typeof PROCESS_SYMBOLS> | undefined;
  const process = (): Bound<typeof PROCESS_SYMBOLS> => processBound ??= bound.bindProcess();
  let mappingBound: Bound<typeof MAPPING_SYMBOLS> | undefined;
  const mapping = (): Bound<typeof MAPPING_SYMBOLS> => mappingBound ??= bound.bindMapping();
  const errnoPointer = c.__errno_location();
  const errno = new Int32Array(new ArrayBuffer(4));
  const errnoBytes = new Uint8Array(errno.buffer);
  const length = new Uint32Array(new ArrayBuffer(4));
  const lengthBytes = new Uint8Array(length.buffer);

  // errno lives until the next call into C, whoever makes it: it is read here and nowhere else.
  function result(value: number): number {
    if (value >= 0) return value;
    bound.memcpyRead.memcpy(errnoBytes, errnoPointer, 4);
    return -errno[0]!;
  }
  /**
   * The same for calls that are made millions of times and change nothing when they fail. Once in millions of calls the
   * runtime's own work in this thread, a signal handler or a collection, overwrites errno between the call and its
   * reading. An errno that only means to call again is returned at once, any other when it comes twice in a row.
   */
  function confirmed(call: () => number): number {
    let refusal = 0;
    for (let tries = 0; tries < 8; tries++) {
      const answer = result(call());
      if (answer >= 0 || CALL_AGAIN.has(-answer) || answer === refusal) return answer;
      refusal = answer;
    }
    return refusal;
  }
  function filled(value: number): number {
    return value < 0 ? result(value) : length[0]!;
  }

  return {
    arch,
    socket: (domain, type, protocol) => result(c.socket(domain, type, protocol)),
    bind: (fd, address) => result(c.bind(fd, address, address.length)),
    getsockname(fd, address) {
      length[0] = address.length;
      return filled(c.getsockname(fd, address, lengthBytes));
    },
    setsockopt: (fd, level, option, value) => result(c.setsockopt(fd, level, option, value, value.length)),
    getsockopt(fd, level, option, value) {
      length[0] = value.length;
      return filled(c.getsockopt(fd, level, option, value, lengthBytes));
    },
    sendto: (fd, data, flags, address) =>
      result(c.sendto(fd, data, data.length, flags, address, address.length)),
    recvfrom: (fd, into, flags, address, addressLength) =>
      confirmed(() => lazy().recvfrom(fd, into, into.length, flags, address, addressLength)),
    recvmmsg: (fd, headers, count, flags) => confirmed(() => c.recvmmsg(fd, headers, count, flags, null)),
    poll: (fd, timeoutMs = 0) => result(c.poll(fd, 1, timeoutMs)),
    epoll_create1: (flags) => result(events().epoll_create1(flags)),
    epoll_ctl: (epollFd, operation, fd, event) => result(events().epoll_ctl(epollFd, operation, fd, event)),
    eventfd: (initial, flags) => result(events().eventfd(initial, flags)),
    fcntl: (fd, operation, argument) => result(c.fcntl(fd, operation, argument)),
    open: (path, flags, mode = 0) => result(c.open(path, flags, mode)),
    read: (fd, into, bytes = into.length) => result(c.read(fd, into, bytes)),
    pread: (fd, into, bytes, offset) => result(lazy().pread(fd, into, bytes, BigInt(offset))),
    write: (fd, from, bytes = from.length) => result(lazy().write(fd, from, bytes)),
    pwrite: (fd, from, bytes, offset) => result(lazy().pwrite(fd, from, bytes, BigInt(offset))),
    ftruncate: (fd, bytes) => result(lazy().ftruncate(fd, BigInt(bytes))),
    fdatasync: (fd) => result(lazy().fdatasync(fd)),
    fstat: (fd, into) => result(lazy().syscall(SYS_FSTAT[arch], fd, into, 0)),
    flock: (fd, operation) => result(lazy().flock(fd, operation)),
    readlink: (path, into) => result(lazy().readlink(path, into, into.length)),
    getdents64: (fd, into) => result(lazy().syscall(SYS_GETDENTS64[arch], fd, into, into.length)),
    close: (fd) => result(c.close(fd)),
    prctl: (option, argument) => result(lazy().prctl(option, argument)),
    pidfd_open: (pid) => result(process().syscall(SYS_PIDFD_OPEN, pid, 0)),
    waitid: (idType, id, info, options) => result(process().waitid(idType, id, info, options)),
    ioctl: (fd, request, argument) => result(process().ioctl(fd, request, argument)),
    prlimit: (pid, resource, limit, before) => result(lazy().prlimit(pid, resource, limit, before)),
    bpf: (command, attributes) =>
      result(lazy().syscall(SYS_BPF[arch], command, attributes, attributes.length)),
    mmap: (bytes, protection, fd, offset) =>
      result(Number(mapping().mmap(0n, bytes, protection, MAP_SHARED, fd, BigInt(offset)))),
    munmap: (address, bytes) => result(mapping().munmap(BigInt(address), bytes)),
    getpagesize: () => mapping().getpagesize(),
    copyFrom: (address, into, bytes = into.length) => mapping().memcpy(into, BigInt(address), bytes),
    copyTo: (address, from) => mapping().memmove(BigInt(address), from, from.length),
    getpid: () => c.getpid(),
    geteuid: () => lazy().geteuid(),
    nice: () => lazy().getpriority(PRIO_PROCESS, 0),
    sched_setattr: (attributes) => result(lazy().syscall(SYS_SCHED_SETATTR[arch], 0, attributes, 0)),
    confstr: (name, into) => lazy().confstr(name, into, into.length),
    clock_gettime: (clock, into) => result(c.clock_gettime(clock, into)),
    addressOf: (buffer) => BigInt(bound.memcpyAddress.memcpy(buffer, buffer, 0)),
  };
}
