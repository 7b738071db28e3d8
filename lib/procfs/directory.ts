import type { Libc } from "../../ffi/libc.ts";
import { fixedBytes, LITTLE, viewOf } from "../wire/bytes.ts";
import { decodeCString, encodeCString } from "../wire/text.ts";

const O_RDONLY_DIRECTORY_CLOEXEC: Readonly<Record<Libc["arch"], number>> = {
  x64: 0o2200000,
  arm64: 0o2040000,
};

/** Byte offsets in `struct linux_dirent64`. */
const DIRENT = { d_reclen: 16, d_name: 19 } as const;

/** The names in a folder, or nothing where it cannot be read. */
export function* readDirectory(libc: Libc, path: string): Generator<string, void> {
  const fd = libc.open(encodeCString(path), O_RDONLY_DIRECTORY_CLOEXEC[libc.arch]);
  if (fd < 0) return;
  const bytes = fixedBytes(32_768);
  const view = viewOf(bytes);
  try {
    for (let length = libc.getdents64(fd, bytes); length > 0; length = libc.getdents64(fd, bytes)) {
      for (let at = 0; at < length;) {
        const size = view.getUint16(at + DIRENT.d_reclen, LITTLE);
        const name = decodeCString(bytes, at + DIRENT.d_name, at + size);
        if (name !== "." && name !== "..") yield name;
        at += size;
      }
    }
  } finally {
    libc.close(fd);
  }
}
