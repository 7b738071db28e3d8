import { libcFrom, type Runtime } from "./bind.ts";
import { openInBun } from "./bun.ts";
import { openInDeno } from "./deno.ts";
import { onExit } from "./exit_hooks.ts";
import { FfiError } from "./ffi_error.ts";
import { detectRuntime, type HostRuntime } from "./host.ts";
import type { Arch, System } from "./libc.ts";
import { openInNode } from "./node.ts";
import { EpollPoller } from "./poller.ts";

let opened: System | undefined;

/**
 * The system that this program runs on: one libc and one waiting thread for the whole process.
 *
 * @throws {FfiError} On another platform or runtime, or without the permission to call libc.
 */
export function openFfi(): System {
  return opened ??= open(); // after an error it is tried again: a permission may be granted later
}

function open(): System {
  const { runtime, platform, arch, pid } = detectRuntime();
  if (platform !== "linux" || (arch !== "x64" && arch !== "arm64")) {
    throw new FfiError({ reason: "platform", platform, arch });
  }
  const { tables, startWaiting } = openRuntime(runtime, arch);
  const libc = libcFrom(tables, arch);
  // A signature that a runtime does not understand may answer nonsense instead of failing.
  const gotPid = libc.getpid();
  if (gotPid !== pid) throw new FfiError({ reason: "wrong-pid", gotPid, pid });
  // Deno ends whatever its threads do, and there what looks like the end of the program may not be one.
  const poller = new EpollPoller(libc, startWaiting, runtime === "deno" ? undefined : onExit);
  return { libc, poller, onExit, deferStart, library: tables.library };
}

function openRuntime(runtime: HostRuntime, arch: Arch): Runtime {
  try {
    switch (runtime) {
      case "bun":
        return openInBun(arch);
      case "deno":
        return openInDeno(arch);
      case "node":
        return openInNode(arch);
    }
  } catch (cause) {
    if (cause instanceof FfiError) throw cause;
    throw new FfiError({ reason: "libc-not-loaded", message: (cause as Error).message }, { cause });
  }
}

/**
 * Calls `start` after the code that runs now: at once in Deno, where the first timer of any kind takes 4 ms and the
 * waiting thread next to nothing, in the next turn of the event loop elsewhere, where it is the other way round.
 */
function deferStart(start: () => void): void {
  if ("Deno" in globalThis) queueMicrotask(start);
  else setImmediate(start);
}
