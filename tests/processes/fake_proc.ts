import type { Libc } from "../../ffi/libc.ts";
import { ERRNO } from "../../lib/errors/errno.ts";
import { LITTLE, viewOf } from "../../lib/wire/bytes.ts";
import { decodeCString, encodeText } from "../../lib/wire/text.ts";

/** A process of a {@linkcode FakeProc}. */
export interface FakeProcess {
  comm: string;
  parentPid: number;
  /** Left out, one of its own. */
  processGroup?: number;
  session: number;
  /** CLOCK_MONOTONIC; the fake machine was never suspended. */
  startNs: bigint;
  args: readonly string[];
  exe: string;
  uid: number;
  effectiveUid: number;
  cgroup: string;
  cwd: string;
  /** The device number of the terminal. */
  terminal: number;
  state: string;
  threads: number;
  /** The ids of its threads; left out, those that follow its own. */
  tids?: readonly number[];
  kernelThread: boolean;
  /** The process, where this is a thread. */
  tgid?: number;
  stackStart: number;
  /** It has the memory of its next program, and no stack yet. */
  inExec?: boolean;
  /** The wait status that a reader who may know it finds in stat. */
  status?: number;
}

const O_PATH = 0o10000000;

const encode = (text: string): Uint8Array => encodeText(text);

/** A /proc made of objects, behind the libc calls by which it is read. It counts them, and fails them on demand. */
export class FakeProc {
  readonly processes = new Map<number, FakeProcess>();
  /** Overrides: the bytes of a file by its path, or -errno. */
  readonly files = new Map<string, Uint8Array | number>();
  /** Files outside of /proc, by a path that leads to each: the path without links. Their content is in `files`. */
  readonly paths = new Map<string, string>();
  /** What getdents64 gives, instead of the processes. */
  directory: Uint8Array | number | undefined;
  nowNs = 1_000_000_000_000n;
  bootOffsetNs = 0n;
  /** Whether this kernel escapes names in stat, as it does in status. */
  escapes = false;
  /** Every call, as `open /proc/1/stat`. */
  readonly calls: string[] = [];
  /** Called before each open or readlink of a process's file: the moment to let it change. */
  onRead: ((path: string) => void) | undefined;
  readonly #open = new Map<number, { data: Uint8Array; at: number; directory: boolean }>();
  #nextFd = 3;
  #nextStack = 0x7ffc_0000_0000;

  readonly libc: Libc = {
    arch: "x64",
    open: (path: Uint8Array, flags: number) => this.#openPath(decodeCString(path), (flags & O_PATH) !== 0),
    read: (fd: number, into: Uint8Array, bytes = into.length) => this.#read(fd, into, bytes),
    getdents64: (fd: number, into: Uint8Array) => this.#getdents(fd, into),
    readlink: (path: Uint8Array, into: Uint8Array) => this.#readlink(decodeCString(path), into),
    close: (fd: number) => this.#open.delete(fd) ? 0 : -ERRNO["EBADF"]!,
    clock_gettime: (clock: number, into: Uint8Array) => this.#clock(clock, into),
  } as unknown as Libc;

  /** Descriptors that are open. */
  get openCount(): number {
    return this.#open.size;
  }

  /** Adds a process; what is left out is some ordinary value. */
  add(pid: number, fields: Partial<FakeProcess> = {}): FakeProcess {
    const process: FakeProcess = {
      comm: "prog",
      parentPid: 1,
      session: pid,
      startNs: this.nowNs,
      args: ["/bin/prog"],
      exe: "/bin/prog",
      uid: 0,
      effectiveUid: 0,
      cgroup: "/",
      cwd: "/",
      terminal: 0,
      state: "S",
      threads: 1,
      kernelThread: false,
      stackStart: this.stack(),
      ...fields,
    };
    this.processes.set(pid, process);
    return process;
  }

  /** A start of a stack that no program had yet. */
  stack(): number {
    return this.#nextStack += 16;
  }

  #openPath(path: string, onlyPath: boolean): number {
    this.calls.push(`open ${path}`);
    this.onRead?.(path);
    const tids = this.#tids(path);
    const failure = this.files.get(path);
    if (typeof failure === "number") return failure;
    const real = this.paths.get(path);
    if (onlyPath && real === undefined) return -ERRNO["ENOENT"]!;
    if (onlyPath) this.files.set(`/proc/self/fd/${this.#nextFd}`, encode(real!));
    const directory = path === "/proc" || tids !== undefined;
    const data = tids !== undefined
      ? direntBlock([".", "..", ...tids.map(String)])
      : directory || onlyPath
      ? new Uint8Array(0)
      : this.#content(path);
    if (typeof data === "number") return data;
    const fd = this.#nextFd++;
    this.#open.set(fd, { data, at: 0, directory });
    return fd;
  }

  #tids(path: string): readonly number[] | undefined {
    const pid = Number(/^\/proc\/(\d+)\/task$/.exec(path)?.[1] ?? NaN);
    const process = this.processes.get(pid);
    return process && (process.tids ?? Array.from({ length: process.threads }, (_, i) => pid + i));
  }

  #read(fd: number, into: Uint8Array, bytes: number): number {
    this.calls.push("read");
    const file = this.#open.get(fd);
    if (file === undefined) return -ERRNO["EBADF"]!;
    const part = file.data.subarray(file.at, file.at + bytes);
    into.set(part);
    file.at += part.length;
    return part.length;
  }

  #getdents(fd: number, into: Uint8Array): number {
    const file = this.#open.get(fd);
    if (file === undefined || !file.directory) return -ERRNO["ENOTDIR"]!;
    if (typeof this.directory === "number") return this.directory;
    if (file.at === 0 && file.data.length === 0) {
      const names = [".", "..", "self", ...[...this.processes.keys()].sort((a, b) => a - b).map(String)];
      file.data = this.directory ?? direntBlock(names);
    }
    // Whole records only, as the kernel.
    const view = viewOf(file.data);
    let end = file.at;
    while (end < file.data.length) {
      const size = this.directory === undefined ? view.getUint16(end + 16, LITTLE) : file.data.length - end;
      if (end + size - file.at > into.length) break;
      end += size;
    }
    const part = file.data.subarray(file.at, end);
    into.set(part);
    file.at = end;
    return part.length;
  }

  #readlink(path: string, into: Uint8Array): number {
    this.calls.push(`readlink ${path}`);
    this.onRead?.(path);
    const content = this.#content(path);
    if (typeof content === "number") return content;
    into.set(content.subarray(0, into.length));
    return Math.min(content.length, into.length);
  }

  #clock(clock: number, into: Uint8Array): number {
    const ns = clock === 7 ? this.nowNs + this.bootOffsetNs : this.nowNs;
    viewOf(into).setBigInt64(0, ns / 1_000_000_000n, LITTLE);
    viewOf(into).setBigInt64(8, ns % 1_000_000_000n, LITTLE);
    return 0;
  }

  #content(path: string): Uint8Array | number {
    const override = this.files.get(path);
    if (override !== undefined) return override;
    const match = /^\/proc\/(\d+)\/(\w+)$/.exec(path);
    const process = match === null ? undefined : this.processes.get(Number(match[1]));
    if (match === null || process === undefined) return -ERRNO["ENOENT"]!;
    const ended = process.state === "Z";
    switch (match[2]) {
      case "stat":
        return encode(statLine(Number(match[1]), process, this.bootOffsetNs, this.escapes));
      case "comm":
        return encode(`${process.comm}\n`);
      case "status":
        return encode(
          `Name:\t${escapeComm(process.comm)}\nUmask:\t0022\nTgid:\t${
            process.tgid ?? match[1]
          }\nUid:\t${process.uid}\t${process.effectiveUid}\t0\t0\n`,
        );
      case "cmdline":
        return ended || process.kernelThread
          ? new Uint8Array(0)
          : encode(process.args.map((argument) => `${argument}\0`).join(""));
      case "exe":
        return ended || process.kernelThread ? -ERRNO["ENOENT"]! : encode(process.exe);
      case "cwd":
        return ended ? -ERRNO["ENOENT"]! : encode(process.cwd);
      case "cgroup":
        return encode(`1:name=systemd:/old\n0::${process.cgroup}\n`);
    }
    return -ERRNO["ENOENT"]!;
  }
}

/** The line of /proc/PID/stat. */
export function statLine(pid: number, process: FakeProcess, bootOffsetNs: bigint, escapes = false): string {
  const flags = process.kernelThread ? 0x0020_8040 : 0x0040_0100;
  const ticks = (process.startNs + bootOffsetNs) / 10_000_000n;
  const comm = escapes ? escapeComm(process.comm) : process.comm;
  return `${pid} (${comm}) ${process.state} ${process.parentPid} ${
    process.processGroup ?? pid
  } ${process.session} ${process.terminal} -1 ` +
    `${flags} 1 2 3 4 5 6 7 8 20 0 ${process.threads} 0 ${ticks} 4096 100 18446744073709551615 ` +
    `${
      process.inExec ? "0 0 0" : `1 2 ${process.stackStart}`
    } 0 0 0 0 0 0 0 0 0 17 0 0 0 0 0 0 1 2 3 4 5 6 7 ${process.status ?? 0}\n`;
}

/** Records of `struct linux_dirent64`. */
export function direntBlock(names: readonly string[]): Uint8Array {
  const parts: number[] = [];
  for (const name of names) {
    const bytes = encode(name);
    const record = new Uint8Array((19 + bytes.length + 1 + 7) & ~7);
    viewOf(record).setUint16(16, record.length, LITTLE);
    record[18] = 4;
    record.set(bytes, 19);
    parts.push(...record);
  }
  return Uint8Array.from(parts);
}

function escapeComm(comm: string): string {
  return comm.replaceAll("\\", "\\\\").replaceAll("\n", "\\n");
}
