// The folder outside the repository in which everything fetched or built is kept.
// An entry appears by one rename when it is whole, so an interrupted run leaves nothing half made.

import { existsSync, mkdirSync, readdirSync, renameSync, rmSync } from "node:fs";
import { homedir } from "node:os";
import { dirname, join, resolve } from "node:path";

export function cacheFolder(): string {
  const chosen = process.env.KERNEL_CONNECTOR_VM_CACHE;
  if (chosen !== undefined && chosen !== "") return resolve(chosen);
  return join(homedir(), ".cache", "kernel-connector", "vm");
}

/**
 * The folder of the entry `name`, made by `make` in a temporary folder when it is not there yet.
 * With `renew` it is made again, and the old one goes once the new one is whole.
 */
export function cached(name: string, make: (folder: string) => void, renew = false): string {
  const entry = join(cacheFolder(), name);
  if (existsSync(entry) && !renew) return entry;
  const temporary = join(temporaryFolder(), `${name.replaceAll("/", "-")}.${process.pid}`);
  const old = join(temporaryFolder(), `old-${name.replaceAll("/", "-")}.${process.pid}`);
  rmSync(temporary, { recursive: true, force: true });
  mkdirSync(temporary, { recursive: true });
  try {
    make(temporary);
    mkdirSync(dirname(entry), { recursive: true });
    if (renew && existsSync(entry)) renameSync(entry, old);
    try {
      renameSync(temporary, entry);
    } catch (error) {
      // another run was faster: its entry is as good as ours
      if (!existsSync(entry)) throw error;
    }
  } finally {
    for (const folder of [temporary, old]) rmSync(folder, { recursive: true, force: true });
  }
  return entry;
}

/** Removes what interrupted runs left behind: temporary folders whose process is gone. */
export function sweep(): void {
  for (const name of readdirSync(temporaryFolder())) {
    const pid = Number(name.slice(name.lastIndexOf(".") + 1));
    if (!existsSync(`/proc/${pid}`)) rmSync(join(temporaryFolder(), name), { recursive: true, force: true });
  }
}

function temporaryFolder(): string {
  const folder = join(cacheFolder(), "tmp");
  mkdirSync(folder, { recursive: true });
  return folder;
}
