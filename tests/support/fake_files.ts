/** A read-only file tree in memory for `Libc`: files, links, and their directories. */
export class FakeFiles {
  readonly #files = new Map<string, Uint8Array>();
  readonly #links = new Map<string, string>();

  /** Creates or replaces a file. */
  write(path: string, content: string | Uint8Array): void {
    this.#files.set(path, typeof content === "string" ? new TextEncoder().encode(content) : content);
  }

  /** Creates or replaces a symbolic link, whose target need not exist. */
  link(path: string, target: string): void {
    this.#links.set(path, target);
  }

  /** Removes a file, a link, or a directory with its content. */
  remove(path: string): void {
    for (const tree of [this.#files, this.#links]) {
      for (const name of [...tree.keys()]) {
        if (name === path || name.startsWith(`${path}/`)) tree.delete(name);
      }
    }
  }

  file(path: string): Uint8Array | undefined {
    return this.#files.get(path);
  }

  target(path: string): string | undefined {
    return this.#links.get(path);
  }

  /** The names in a folder with their `d_type` (4 folder, 8 file, 10 link), or undefined where there is none. */
  folder(path: string): ReadonlyMap<string, number> | undefined {
    const inside = path.endsWith("/") ? path : `${path}/`;
    const names = new Map<string, number>();
    const add = (tree: ReadonlyMap<string, unknown>, type: number): void => {
      for (const name of tree.keys()) {
        if (!name.startsWith(inside)) continue;
        const [first = "", ...rest] = name.slice(inside.length).split("/");
        names.set(first, rest.length > 0 ? 4 : type);
      }
    };
    add(this.#links, 10);
    add(this.#files, 8);
    return names.size === 0 ? undefined : names;
  }
}

/** The result of one getdents64 call on a directory (`struct linux_dirent64`), in pieces that fit. */
export function encodeEntries(
  names: readonly (readonly [string, number])[],
  into: Uint8Array,
): { readonly bytes: number; readonly entries: number } {
  const view = new DataView(into.buffer, into.byteOffset, into.byteLength);
  const little = new Uint8Array(new Uint16Array([1]).buffer)[0] === 1;
  let at = 0;
  let entries = 0;
  for (const [name, type] of names) {
    const text = new TextEncoder().encode(name);
    const length = (19 + text.length + 1 + 7) & ~7;
    if (at + length > into.length) break;
    into.fill(0, at, at + length);
    view.setBigUint64(at, BigInt(entries + 1), little); // d_ino
    view.setBigUint64(at + 8, BigInt(entries + 1), little); // d_off
    view.setUint16(at + 16, length, little); // d_reclen
    view.setUint8(at + 18, type); // d_type
    into.set(text, at + 19);
    at += length;
    entries++;
  }
  return { bytes: at, entries };
}
