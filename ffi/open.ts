import { libcFrom, type Runtime } from "./bind.ts";
import { openInBun } from "./bun.ts";
import { openInDeno } from "./deno.ts";
import { onExit } from "./exit_hooks.ts";
import { FfiError } from "./ffi_error.ts";
import { detectRuntime, type HostRuntime } from "./host.ts";
import type { Arch, System } from "./libc.ts";
import { openInNode } from "./node.ts";
import { EpollPoller } from "./poller.ts";
import { SignalPoller } from "./signal_poller.ts";
import { DenoSignal, ProcessSignal } from "./wake_signal.ts";

let opened: System | undefined;

/**
 * The system that this program runs on: one libc and one poller for the whole thread.
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
  const thread = new EpollPoller(libc, startWaiting, runtime === "deno" ? undefined : onExit);
  const poller = new SignalPoller(libc, runtime === "deno" ? new DenoSignal() : new ProcessSignal(), thread);
  const replyPoller = runtime === "bun" ? thread : poller;
  return { libc, poller, replyPoller, onExit, library: tables.library };
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
