import { ffiBroken, libcNotLoaded, otherPlatform, unsupported } from "../lib/errors/advice.ts";
import { UnsupportedError } from "../lib/errors/unsupported_error.ts";
import { libcFrom } from "./bind.ts";
import { openInBun } from "./bun.ts";
import { openInDeno } from "./deno.ts";
import { detectRuntime, type HostRuntime } from "./host.ts";
import { onExit } from "./exit_hooks.ts";
import type { Libc, System } from "./libc.ts";
import { openInNode } from "./node.ts";
import { EpollPoller } from "./poller.ts";
import type { Runtime } from "./runtime.ts";
import { deferStart } from "./defer_start.ts";

let opened: System | undefined;

/**
 * The machine that this program runs on: one libc and one waiting thread for the whole process. Nothing here waits:
 * who is asked to watch a process does so before the caller can do anything to it.
 *
 * @param action completes "Cannot …" in the errors.
 * @throws {UnsupportedError} On another platform or runtime, or without the permission to call libc.
 */
export function openSystem(action: string): System {
  return opened ??= open(action); // after an error it is tried again: a permission may be granted later
}

function open(action: string): System {
  const host = detectRuntime();
  const { platform, arch } = host;
  if (platform !== "linux" || (arch !== "x64" && arch !== "arm64")) {
    throw unsupported(action, otherPlatform(platform, arch));
  }
  const { tables, startWaiting } = openRuntime(host.runtime, action, arch);
  const libc = libcFrom(tables, arch);
  // A signature that a runtime does not understand may answer nonsense instead of failing.
  const pid = libc.getpid();
  if (pid !== host.pid) throw unsupported(action, ffiBroken(pid, host.pid));
  // Deno ends whatever its threads do. What it takes for a threatened end would have to be undone where it does not come.
  const poller = new EpollPoller(libc, startWaiting, host.runtime === "deno" ? undefined : onExit);
  return { libc, poller, onExit, deferStart, library: tables.library };
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
    throw unsupported(action, libcNotLoaded((cause as Error).message), { cause });
  }
}
