import { O_CLOEXEC, O_CREAT, O_NOFOLLOW, O_RDONLY, O_RDWR } from "../../../ffi/constants.ts";
import type { Libc } from "../../../ffi/libc.ts";
import { ERRNO } from "../../errors/errno.ts";
import { check } from "../../errors/syscall_error.ts";
import { fixedBytes, LITTLE, viewOf } from "../../wire/bytes.ts";
import { encodeCString } from "../../wire/text.ts";
import { DirtyLogError } from "./log.ts";

const LOCK_EX = 2;
const LOCK_NB = 4;

/** Byte offsets in the kernel's `struct stat`. */
const STAT = {
  x64: { mode: 24, uid: 28, SIZE: 144 },
  arm64: { mode: 16, uid: 24, SIZE: 128 },
} as const;

const S_IFMT = 0o170000;
const S_IFDIR = 0o040000;
const S_IFREG = 0o100000;
/** Write permission for group and others; the group bits include those granted by an access control list. */
const OTHERS_MAY_WRITE = 0o022;

/**
 * Opens a folder that only this user and root may change: whoever replaces a log decides what is not recovered.
 *
 * @throws {SyscallError} When it cannot be opened.
 * @throws {DirtyLogError} EPERM when another user owns it or may write to it.
 */
export function openPrivateFolder(libc: Libc, folder: string): number {
  const path = `${folder.replace(/\/+$/, "")}/`;
  const action = `keep dirty logs in ${path}`;
  const fd = check(libc.open(encodeCString(path), O_RDONLY | O_CLOEXEC), action, "open");
  return closeOnError(libc, fd, () => assertPrivate(libc, fd, S_IFDIR, "folder", action));
}

/**
 * Opens or creates a file that only this user and root may write to, and locks it until it is closed.
 *
 * @throws {SyscallError} When it cannot be opened.
 * @throws {DirtyLogError} EPERM as above, EBUSY when another server holds the lock.
 */
export function openLockedFile(libc: Libc, path: string): number {
  const action = `open the dirty log ${path}`;
  const flags = O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW[libc.arch];
  const fd = check(libc.open(encodeCString(path), flags, 0o600), action, "open");
  return closeOnError(libc, fd, () => {
    assertPrivate(libc, fd, S_IFREG, "regular file", action);
    const locked = libc.flock(fd, LOCK_EX | LOCK_NB);
    if (locked === -ERRNO.EAGAIN!) {
      const explanation =
        "another server is using it, and two would overwrite each other's marks: stop that one first";
      throw new DirtyLogError(action, ERRNO.EBUSY!, explanation);
    }
    check(locked, action, "flock");
  });
}

function closeOnError(libc: Libc, fd: number, checkFile: () => void): number {
  try {
    checkFile();
    return fd;
  } catch (error) {
    libc.close(fd);
    throw error;
  }
}

function assertPrivate(libc: Libc, fd: number, type: number, what: string, action: string): void {
  const layout = STAT[libc.arch];
  const stat = fixedBytes(layout.SIZE);
  check(libc.fstat(fd, stat), action, "fstat");
  const mode = viewOf(stat).getUint32(layout.mode, LITTLE);
  const uid = viewOf(stat).getUint32(layout.uid, LITTLE);
  if ((mode & S_IFMT) !== type) throw new DirtyLogError(action, ERRNO.EINVAL!, `it is not a ${what}`);
  if (uid !== 0 && uid !== libc.geteuid()) {
    const explanation = `it belongs to user ${uid}, who could change it: chown it to the server's user`;
    throw new DirtyLogError(action, ERRNO.EPERM!, explanation);
  }
  if ((mode & OTHERS_MAY_WRITE) !== 0) {
    const explanation = `others may write to it (mode ${(mode & 0o7777).toString(8)}): chmod go-w it`;
    throw new DirtyLogError(action, ERRNO.EPERM!, explanation);
  }
}
