import { detectRuntime, type Host } from "../../ffi/host.ts";
import type { Libc, System } from "../../ffi/libc.ts";
import { openSystem } from "../../ffi/open.ts";
import { readTextFile } from "../procfs/file.ts";
import { fileCalls, type FileFunctions } from "./file_calls.ts";

/** What the checks look at. */
export interface Context {
  readonly host: Host;
  /** The machine, where C can be called. */
  readonly system: System | undefined;
  /** Why there is no machine. */
  readonly refusal: unknown;
  /** What files are read by: the machine's libc, or the runtime's own functions; undefined where neither may. */
  readonly files: Libc | undefined;
}

/** A {@linkcode Scene} in which files can be read. */
export interface ReadableScene extends Context {
  readonly files: Libc;
}

/** A {@linkcode Scene} in which C can be called. */
export interface CallableScene extends ReadableScene {
  readonly system: System;
}

/** What there is to look at here. Never throws. */
export async function openScene(): Promise<Context> {
  const host = detectRuntime();
  try {
    const system = await openSystem("diagnose");
    return { host, system, refusal: undefined, files: system.libc };
  } catch (refusal) {
    return { host, system: undefined, refusal, files: ownFiles(host) };
  }
}

/** Whether this can be looked at without calling C. Deno lets nobody look at /proc, and might ask the user. */
function ownFiles(host: Host): Libc | undefined {
  if (host.runtime === "deno" || host.platform !== "linux") return undefined;
  const { process } = globalThis as { process?: { getBuiltinModule?: (name: string) => unknown } };
  const functions = process?.getBuiltinModule?.("node:fs") as FileFunctions | undefined;
  if (functions === undefined) return undefined;
  const files = fileCalls(functions);
  return readTextFile(files, "/proc/self/status") === undefined ? undefined : files;
}
