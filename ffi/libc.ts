/**
 * The parts of the C library that this project uses, by what they are for. Every call answers a number or `-errno`;
 * none throws, and none blocks: descriptors are opened non-blocking, and waiting is the {@linkcode Poller}'s
 * business.
 *
 * C keeps the address of some buffers: each must lie in an `ArrayBuffer` of its own, `new Uint8Array(new ArrayBuffer(n))`,
 * since a runtime may keep a smaller one inside its own heap and move it.
 */
export interface Libc
  extends FileCalls, SocketCalls, EventCalls, SignalCalls, ProcessCalls, BpfCalls, MappingCalls {}

/** x86-64 and arm64 differ in a few constants and structures. */
export type Arch = "x64" | "arm64";

/** Reading files, links and directories. */
export interface ReadCalls {
  readonly arch: Arch;
  /** `path` ends with a NUL. */
  open(path: Uint8Array, flags: number, mode?: number): number;
  read(fd: number, into: Uint8Array, bytes?: number): number;
  /** `path` ends with a NUL; the answer is not NUL-terminated. */
  readlink(path: Uint8Array, into: Uint8Array): number;
  getdents64(fd: number, into: Uint8Array): number;
  close(fd: number): number;
}

/** Reading and writing files. */
interface FileCalls extends ReadCalls {
  pread(fd: number, into: Uint8Array, bytes: number, offset: number): number;
  write(fd: number, from: Uint8Array, bytes?: number): number;
  pwrite(fd: number, from: Uint8Array, bytes: number, offset: number): number;
  ftruncate(fd: number, bytes: number): number;
  fdatasync(fd: number): number;
  /** Fills the kernel's `struct stat`, whose layout is the architecture's. */
  fstat(fd: number, into: Uint8Array): number;
  flock(fd: number, operation: number): number;
}

/** Sockets. */
export interface SocketCalls {
  socket(domain: number, type: number, protocol: number): number;
  bind(fd: number, address: Uint8Array): number;
  /** Fills `address`; answers its length. */
  getsockname(fd: number, address: Uint8Array): number;
  setsockopt(fd: number, level: number, option: number, value: Uint8Array): number;
  /** Fills `value`; answers the length of what was written. */
  getsockopt(fd: number, level: number, option: number, value: Uint8Array): number;
  sendto(fd: number, data: Uint8Array, flags: number, address: Uint8Array): number;
  /** Fills `address`; `addressLength` is a `socklen_t`: what may be written there, then what was. */
  recvfrom(
    fd: number,
    into: Uint8Array,
    flags: number,
    address: Uint8Array,
    addressLength: Uint8Array,
  ): number;
  /** `headers` is an array of `struct mmsghdr`; answers how many datagrams were received. */
  recvmmsg(fd: number, headers: Uint8Array, count: number, flags: number): number;
  /** Whether a descriptor becomes ready within a time, by default now; `fd` is one `struct pollfd`. */
  poll(fd: Uint8Array, timeoutMs?: number): number;
  close(fd: number): number;
  /** The address of a fixed buffer, for structures that point at others. */
  addressOf(buffer: Uint8Array): bigint;
}

/** Waiting for readiness. */
export interface EventCalls {
  readonly arch: Arch;
  epoll_create1(flags: number): number;
  epoll_ctl(epollFd: number, operation: number, fd: number, event: Uint8Array): number;
  eventfd(initial: number, flags: number): number;
  write(fd: number, from: Uint8Array, bytes?: number): number;
  close(fd: number): number;
}

/** Readiness by signal. */
export interface SignalCalls extends Pick<ReadCalls, "open" | "read" | "close">, Pick<SocketCalls, "poll"> {
  /** `argument` is a number, or the address of a structure. */
  fcntl(fd: number, operation: number, argument: bigint): number;
  addressOf(buffer: Uint8Array): bigint;
}

/** BPF programs and maps. */
export interface BpfCalls {
  /** bpf(2); `attributes` is the used part of a `union bpf_attr`. */
  bpf(command: number, attributes: Uint8Array): number;
  addressOf(buffer: Uint8Array): bigint;
  close(fd: number): number;
}

/** Memory that is shared with the kernel. Addresses are numbers: user space ends far below 2 ** 53. */
export interface MappingCalls {
  /** Maps a part of a descriptor, shared; answers its address. */
  mmap(bytes: number, protection: number, fd: number, offset: number): number;
  munmap(address: number, bytes: number): number;
  getpagesize(): number;
  /** Copies what is mapped at `address`. */
  copyFrom(address: number, into: Uint8Array, bytes?: number): void;
  /** Copies `from` to what is mapped at `address`. */
  copyTo(address: number, from: Uint8Array): void;
}

/** Processes and clocks. */
interface ProcessCalls {
  getpid(): number;
  geteuid(): number;
  /** The nice value of the calling thread. */
  nice(): number;
  /** Sets the scheduling of the calling thread; `attributes` is a `struct sched_attr`. */
  sched_setattr(attributes: Uint8Array): number;
  /** A setting of the C library, as text with a 0 at its end; answers how many bytes that has, 0 where it is not known. */
  confstr(name: number, into: Uint8Array): number;
  prctl(option: number, argument: Uint8Array): number;
  /** A pidfd: it refers to this process even after the pid is reused. Closed on exec, readable once the process has ended. */
  pidfd_open(pid: number): number;
  /** Fills a `siginfo_t` (128 bytes). */
  waitid(idType: number, id: number, info: Uint8Array, options: number): number;
  /** Both are a `struct rlimit` (16 bytes): the first is set, then the second is filled with the previous limits. */
  prlimit(pid: number, resource: number, limit: Uint8Array, before: Uint8Array): number;
  ioctl(fd: number, request: number, argument: Uint8Array): number;
  /** Fills a `struct timespec` (16 bytes). */
  clock_gettime(clock: number, into: Uint8Array): number;
}

/**
 * Waits for descriptors to become readable. A descriptor is added once, armed for one wake-up at a time, and removed
 * before it is closed. While a descriptor is added the process stays alive, unless {@linkcode keepAlive} was called with
 * false.
 */
export interface Poller {
  /** `onReady` is called once after each {@linkcode arm}, or with an error when waiting has become impossible. */
  add(fd: number, onReady: (error?: Error) => void): number;
  /** Asks for one wake-up. Answers 1 if the descriptor is readable already: then none comes. */
  arm(fd: number): number;
  /** Forgets a descriptor. Its callback is not called again. */
  remove(fd: number): void;
  /** Whether a descriptor that was added keeps the process alive: one that was just added does. */
  keepAlive(fd: number, alive: boolean): void;
  /** The system call behind the last negative answer. */
  readonly failedCall: string;
}

/** Something to do when the program ends. */
export interface ExitHook {
  /** Called at the end, once; must be quick and cannot wait for anything. */
  leave(): void;
  /** Called when an error announced the end and the program lives on after all; another end may come then. Must not throw. */
  stay?(): void;
}

/** What a runtime gives: its libc, a way to wait, and word of the program's end. */
export interface System {
  readonly libc: Libc;
  readonly poller: Poller;
  /**
   * For a descriptor whose next arrival answers what was just sent. On Bun a signal takes two to three times as long as
   * the thread then; elsewhere it is the {@linkcode poller}.
   */
  readonly replyPoller: Poller;
  /** Answers a function that takes the registration back. */
  onExit(hook: ExitHook): () => void;
  /** The name or path by which libc was opened. */
  readonly library?: string;
}
