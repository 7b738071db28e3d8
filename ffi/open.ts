import { callsGoWrong, libcNotLoaded, otherPlatform, refuse } from "../lib/errors/advice.ts";
import { UnsupportedError } from "../lib/errors/unsupported_error.ts";
import { libcFrom } from "./bind.ts";
import { openInBun } from "./bun.ts";
import { openInDeno } from "./deno.ts";
import { type HostRuntime, identify } from "./host.ts";
import { atLeaving } from "./leaving.ts";
import type { Libc, Machine } from "./libc.ts";
import { openInNode } from "./node.ts";
import { EpollPoller } from "./poller.ts";
import type { Runtime } from "./runtime.ts";
import { soon } from "./soon.ts";

let opened: Machine | undefined;

/**
 * The machine that this program runs on: one libc and one waiting thread for the whole process. Nothing here waits:
 * who is asked to watch a process does so before the caller can do anything to it.
 *
 * @param action completes "Cannot …" in the errors.
 * @throws {UnsupportedError} On another platform or runtime, or without the permission to call libc.
 */
export function openMachine(action: string): Machine {
  return opened ??= open(action); // after an error it is tried again: a permission may be granted later
}

function open(action: string): Machine {
  const host = identify();
  const { platform, arch } = host;
  if (platform !== "linux" || (arch !== "x64" && arch !== "arm64")) {
    throw refuse(action, otherPlatform(platform, arch));
  }
  const { tables, startWaiting } = openRuntime(host.runtime, action, arch);
  const libc = libcFrom(tables, arch);
  // A signature that a runtime does not understand may answer nonsense instead of failing.
  const pid = libc.getpid();
  if (pid !== host.pid) throw refuse(action, callsGoWrong(pid, host.pid));
  // Deno ends whatever its threads do. What it takes for a threatened end would have to be undone where it does not come.
  const poller = new EpollPoller(libc, startWaiting, host.runtime === "deno" ? undefined : atLeaving);
  return { libc, poller, atLeaving, soon, library: tables.library };
}

function openRuntime(runtime: HostRuntime, action: string, arch: Libc["arch"]): Runtime {
  try {
    switch (runtime) {
      case "bun":
        return openInBun(arch);
      case "deno":
        return openInDeno(action, arch);
      case "node":
        return openInNode(action, arch);
    }
  } catch (cause) {
    if (cause instanceof UnsupportedError) throw cause;
    throw refuse(action, libcNotLoaded((cause as Error).message), { cause });
  }
}
