import type { Libc } from "../../../ffi/libc.ts";
import { decodeCString } from "../../../lib/wire/text.ts";

const SECTOR = 512;

const EAGAIN = 11;

/** A file: what programs see, and which of its sectors a loss of power could still take back, to what. */
interface File {
  bytes: Uint8Array;
  /** Contents of sectors as they are on stable storage, where that is not what programs see. */
  readonly stable: Map<number, Uint8Array>;
  /** Of them, those that a flush failed for: no later one takes them along, until they are written again. */
  readonly dropped: Set<number>;
}

/**
 * Files as a machine has them that may lose power: what was written is seen by everybody at once, and lost with the
 * power until it is flushed. Sectors are lost one by one, or torn where asked.
 */
export class CrashDisk {
  readonly files = new Map<string, File>();
  readonly #open = new Map<number, string>();
  /** The descriptor that holds a file's lock. */
  readonly #locks = new Map<string, number>();
  #nextFd = 100;
  /** How many calls of each kind there were. */
  readonly calls: Record<string, number> = { pwrite: 0, fdatasync: 0 };
  /** When set, the next of this call fails with the error number. */
  failNext: { call: "pwrite" | "fdatasync" | "pread" | "open" | "flock"; errno: number } | undefined;
  /** Owner and mode of what is named here; else the folder is 0700, the files 0600, and all are root's, who also runs. */
  readonly owners = new Map<string, { readonly uid: number; readonly mode: number }>();

  /** The calls that a dirty log on a file makes. Any other call fails the test. */
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
        // As Linux: told once, and the pages are taken for written.
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

  /** The power goes: of each sector that was not flushed `survives` says whether it is kept. */
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

  /** The program ends: all that it wrote stays. */
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
