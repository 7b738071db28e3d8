import { FfiError, type FfiFailure } from "../ffi/ffi_error.ts";
import type { System } from "../ffi/libc.ts";
import { openFfi } from "../ffi/open.ts";
import {
  denoForbidsLibc,
  ffiBroken,
  libcNotLoaded,
  NODE_FORBIDS_FFI,
  NODE_FORBIDS_THREADS,
  nodeWithoutFfi,
  otherPlatform,
  type Refusal,
  unsupported,
} from "./errors/advice.ts";

/**
 * The system that this program runs on: one libc and one poller for the whole thread. Nothing here waits: a
 * watch for a process must be open before its caller can do anything to that process.
 *
 * @param action completes "Cannot …" in the errors.
 * @throws {UnsupportedError} On another platform or runtime, or without permission to call libc.
 */
export function openSystem(action: string): System {
  try {
    return openFfi();
  } catch (error) {
    if (!(error instanceof FfiError)) throw error;
    const { cause, failure } = error;
    throw unsupported(action, explainFfiFailure(failure), cause === undefined ? undefined : { cause });
  }
}

/** What an error of ffi/ means to a user, and what to do about it. */
export function explainFfiFailure(failure: FfiFailure): Refusal {
  switch (failure.reason) {
    case "platform":
      return otherPlatform(failure.platform, failure.arch);
    case "node-without-ffi":
      return nodeWithoutFfi(failure.version);
    case "node-ffi-denied":
      return NODE_FORBIDS_FFI;
    case "node-worker-denied":
      return NODE_FORBIDS_THREADS;
    case "deno-ffi-denied":
      return denoForbidsLibc(failure.paths);
    case "wrong-pid":
      return ffiBroken(failure.gotPid, failure.pid);
    case "libc-not-loaded":
      return libcNotLoaded(failure.message);
  }
}
