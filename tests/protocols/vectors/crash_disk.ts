import type { Libc } from "../../../ffi/libc.ts";
import { decodeCString } from "../../../lib/wire/text.ts";

const SECTOR = 512;

const EAGAIN = 11;

/** A file: what programs see, and the sectors that a power loss would restore to older contents. */
interface File {
  bytes: Uint8Array;
  /** The contents of sectors on stable storage that differ from what programs see. */
  readonly stable: Map<number, Uint8Array>;
  /** Those of them whose flush failed: later flushes skip them until they are written again. */
  readonly dropped: Set<number>;
}

/**
 * Files on a machine that may lose power: a write is visible to everyone at once, and lost with the
 * power until it is flushed. Sectors are lost one by one, or torn on request.
 */
export class CrashDisk {
  readonly files = new Map<string, File>();
  readonly #open = new Map<number, string>();
  /** The descriptor that holds a file's lock. */
  readonly #locks = new Map<string, number>();
  #nextFd = 100;
  /** The number of calls of each kind. */
  readonly calls: Record<string, number> = { pwrite: 0, fdatasync: 0 };
  /** When set, the next call of this kind fails with the errno. */
  failNext: { call: "pwrite" | "fdatasync" | "pread" | "open" | "flock"; errno: number } | undefined;
  /** Owners and modes by path; by default the directory is 0700, the files 0600, and all belong to root, who runs this. */
  readonly owners = new Map<string, { readonly uid: number; readonly mode: number }>();

  /** The calls that a dirty log in a file makes. Any other call fails the test. */
  readonly libc: Libc = {
    arch: "x64",
    open: (path: Uint8Array, flags: number) => {
      if (this.#fails("open")) return this.#error();
      const name = decodeCString(path);
      if (!name.endsWith("/") && !this.files.has(name)) {
        if ((flags & 0o100) === 0) return -2;
        this.files.set(name, { bytes: new Uint8Array(), stable: new Map(), dropped: new Set() });
      }
      this.#open.set(++this.#nextFd, name);
      return this.#nextFd;
    },
    pread: (fd: number, into: Uint8Array, bytes: number, offset: number) => {
      if (this.#fails("pread")) return this.#error();
      const part = this.#file(fd).bytes.subarray(offset, offset + bytes);
      into.set(part);
      return part.length;
    },
    pwrite: (fd: number, from: Uint8Array, bytes: number, offset: number) => {
      this.calls["pwrite"]!++;
      if (this.#fails("pwrite")) return this.#error();
      const file = this.#file(fd);
      if (file.bytes.length < offset + bytes) {
        const longer = new Uint8Array(offset + bytes);
        longer.set(file.bytes);
        file.bytes = longer;
      }
      for (let at = offset; at < offset + bytes; at += SECTOR) {
        file.dropped.delete(at);
        if (!file.stable.has(at)) file.stable.set(at, file.bytes.slice(at, at + SECTOR));
      }
      file.bytes.set(from.subarray(0, bytes), offset);
      return bytes;
    },
    fdatasync: (fd: number) => {
      this.calls["fdatasync"]!++;
      const folder = this.#open.get(fd)!.endsWith("/");
      if (this.#fails("fdatasync")) {
        // As Linux: reports the error once, and then treats the pages as clean.
        if (!folder) { for (const at of this.#file(fd).stable.keys()) this.#file(fd).dropped.add(at); }
        return this.#error();
      }
      if (folder) return 0;
      const { stable, dropped } = this.#file(fd);
      for (const at of stable.keys()) if (!dropped.has(at)) stable.delete(at);
      return 0;
    },
    fstat: (fd: number, into: Uint8Array) => {
      const name = this.#open.get(fd)!;
      const folder = name.endsWith("/");
      const { uid, mode } = this.owners.get(name) ?? { uid: 0, mode: folder ? 0o040700 : 0o100600 };
      const view = new DataView(into.buffer, into.byteOffset);
      view.setUint32(24, mode, true);
      view.setUint32(28, uid, true);
      return 0;
    },
    flock: (fd: number) => {
      if (this.#fails("flock")) return this.#error();
      const name = this.#open.get(fd)!;
      if (this.#locks.has(name)) return -EAGAIN;
      this.#locks.set(name, fd);
      return 0;
    },
    geteuid: () => 0,
    close: (fd: number) => {
      const name = this.#open.get(fd);
      if (name !== undefined && this.#locks.get(name) === fd) this.#locks.delete(name);
      return this.#open.delete(fd) ? 0 : -9;
    },
  } as unknown as Libc;

  /** How many descriptors are open. */
  get openCount(): number {
    return this.#open.size;
  }

  /** The power fails: `survives` decides for each unflushed sector whether it is kept. */
  losePower(survives: (sector: number) => boolean): void {
    for (const file of this.files.values()) {
      for (const [at, old] of file.stable) {
        if (!survives(at / SECTOR)) file.bytes.set(old, at);
      }
      file.stable.clear();
      file.dropped.clear();
    }
    this.loseProgram();
  }

  /** The program ends: everything that it wrote is kept. */
  loseProgram(): void {
    this.#open.clear();
    this.#locks.clear();
  }

  #fails(call: string): boolean {
    return this.failNext?.call === call;
  }

  #error(): number {
    const { errno } = this.failNext!;
    this.failNext = undefined;
    return -errno;
  }

  #file(fd: number): File {
    return this.files.get(this.#open.get(fd)!)!;
  }
}
