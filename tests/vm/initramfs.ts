// The guest's first root: a cpio archive ("newc") with init, busybox and the kernel modules.

import { readFileSync } from "node:fs";
import { basename, dirname, join } from "node:path";

export interface ArchiveFile {
  readonly path: string;
  readonly mode: number;
  readonly data: Uint8Array;
}

const FOLDER_MODE = 0o040755;
const FILE_TYPE = 0o100000;

/** The archive, with the folders that the files need. */
export function newcArchive(files: readonly ArchiveFile[], emptyFolders: readonly string[]): Buffer {
  const folders = new Set<string>();
  for (const path of [...files.map((file) => dirname(file.path)), ...emptyFolders]) {
    const parts = path.split("/").filter((part) => part !== "" && part !== ".");
    for (let count = 1; count <= parts.length; count++) folders.add(parts.slice(0, count).join("/"));
  }
  const parts: Uint8Array[] = [];
  let inode = 1;
  for (const folder of [...folders].sort()) {
    parts.push(...entry(folder, FOLDER_MODE, new Uint8Array(0), inode++));
  }
  for (const file of files) parts.push(...entry(file.path, FILE_TYPE | file.mode, file.data, inode++));
  parts.push(...entry("TRAILER!!!", 0, new Uint8Array(0), 0));
  return Buffer.concat(parts);
}

export interface InitramfsParts {
  readonly busybox: string;
  readonly init: string;
  /** Paths of .ko files, laid down under /mods by their name. */
  readonly modules: readonly string[];
  /** Other files for /tools. */
  readonly programs: readonly string[];
  /** Names of modules that init loads before it mounts the host's root, in order. */
  readonly bootModules: readonly string[];
  /** "name: need need" lines for the tests' own module loading. */
  readonly depends: string;
}

export function initramfs(parts: InitramfsParts): Buffer {
  const text = (path: string, content: string): ArchiveFile => ({
    path,
    mode: 0o644,
    data: Buffer.from(content),
  });
  const files: ArchiveFile[] = [
    { path: "init", mode: 0o755, data: readFileSync(parts.init) },
    { path: "bin/busybox", mode: 0o755, data: readFileSync(parts.busybox) },
    text("mods.early", parts.bootModules.map((name) => `${name}\n`).join("")),
    text("mods/depends", parts.depends),
  ];
  for (const path of parts.modules) {
    files.push({ path: join("mods", basename(path)), mode: 0o644, data: readFileSync(path) });
  }
  for (const path of parts.programs) {
    files.push({ path: join("tools", basename(path)), mode: 0o755, data: readFileSync(path) });
  }
  return newcArchive(files, ["proc", "sys", "dev", "newroot", "x", "mods", "tools"]);
}

/** Header, name and data; name and data are each padded so that what follows is at a multiple of 4. */
function entry(path: string, mode: number, data: Uint8Array, inode: number): readonly Uint8Array[] {
  const name = Buffer.from(`${path}\0`);
  const links = (mode & 0o170000) === 0o040000 ? 2 : 1;
  const fields = [inode, mode, 0, 0, links, 0, data.length, 0, 0, 0, 0, name.length, 0];
  const header = `070701${fields.map((field) => field.toString(16).padStart(8, "0")).join("")}`;
  return [Buffer.from(header), name, padding(header.length + name.length), data, padding(data.length)];
}

function padding(length: number): Uint8Array {
  return new Uint8Array((4 - (length % 4)) % 4);
}
