import { bindTables, LIBC_NAME, libcPaths, type Runtime } from "./bind.ts";
import { EPOLL_EVENT } from "./constants.ts";
import {
  EPOLL_WAIT_FAILS,
  epollTimeoutMs,
  EVENTS_AT_ONCE,
  MAX_FAILURES,
  type StartWaiting,
} from "./epoll_thread.ts";
import { FfiError } from "./ffi_error.ts";
import type { Libc } from "./libc.ts";
import { type CFunction, EPOLL_WAIT } from "./symbols.ts";

/** The slice of Deno that is used. */
interface DenoSlice {
  readonly internal: symbol;
  dlopen(path: string, table: unknown): { symbols: unknown; close(): void };
  permissions: {
    querySync(what: { name: "ffi"; path?: string }): { state: "granted" | "prompt" | "denied" };
    /** Asks whoever sits at the terminal; "denied" at once where nobody does. */
    requestSync(what: { name: "ffi"; path?: string }): { state: "granted" | "denied" };
  };
}

/** Opens libc in Deno, by the path for which permission was granted. */
export function openInDeno(arch: Libc["arch"]): Runtime {
  const { Deno } = globalThis as unknown as { Deno: DenoSlice };
  const dlopen = (
    library: string,
    table: Readonly<Record<string, CFunction>>,
    nonblocking = false,
  ): unknown => {
    const rows = Object.entries(table).map(([name, row]) => [name, { ...row, nonblocking }]);
    return Deno.dlopen(library, Object.fromEntries(rows)).symbols;
  };
  const tables = bindTables(granted(Deno, arch), dlopen);
  const bindEpollWait = (): EpollWait =>
    (dlopen(tables.library, EPOLL_WAIT, true) as { epoll_wait: EpollWait }).epoll_wait;
  return { tables, startWaiting: waitByCall(bindEpollWait, keepCallAlive(Deno), arch) };
}

type KeepCallAlive = (call: Promise<unknown>, alive: boolean) => void;

/** Says whether a call that is under way keeps the process alive. Deno has that for its own modules only. */
function keepCallAlive(Deno: DenoSlice): KeepCallAlive {
  const core = (Deno as unknown as Record<symbol, { core?: DenoCore } | undefined>)[Deno.internal]?.core;
  return (call, alive) => alive ? core?.refOpPromise?.(call) : core?.unrefOpPromise?.(call);
}

interface DenoCore {
  refOpPromise?(call: Promise<unknown>): void;
  unrefOpPromise?(call: Promise<unknown>): void;
}

function opens(Deno: DenoSlice, path: string): boolean {
  try {
    Deno.dlopen(path, {}).close();
    return true;
  } catch {
    return false;
  }
}

/** The paths to try: Deno grants FFI for everything, or by absolute path. */
function granted(Deno: DenoSlice, arch: Libc["arch"]): readonly string[] {
  const state = (path?: string): string =>
    Deno.permissions.querySync(path === undefined ? { name: "ffi" } : { name: "ffi", path }).state;
  const paths = libcPaths(arch);
  if (state() === "granted") return [LIBC_NAME, ...paths];
  const scoped = paths.filter((path) => state(path) === "granted");
  if (scoped.length > 0) return scoped;
  // A path where no library is wants no second question: the next one may be asked for.
  for (const path of paths) {
    if (state(path) !== "prompt" || Deno.permissions.requestSync({ name: "ffi", path }).state !== "granted") {
      break;
    }
    if (opens(Deno, path)) return [path];
  }
  throw new FfiError({ reason: "deno-ffi-denied", paths });
}

type EpollWait = (epollFd: number, events: Uint8Array, count: number, timeoutMs: number) => Promise<number>;

/** Deno makes the blocking call on a thread of its own and answers with a promise. */
function waitByCall(
  bindEpollWait: () => EpollWait,
  keepCallAlive: KeepCallAlive,
  arch: Libc["arch"],
): StartWaiting {
  const { data, SIZE } = EPOLL_EVENT[arch];
  const timeoutMs = epollTimeoutMs(!("DedicatedWorkerGlobalScope" in globalThis));
  let epollWait: EpollWait | undefined;
  return (epollFd, stopFd, onReady, onDeath) => {
    const call = epollWait ??= bindEpollWait();
    const words = new Int32Array(new ArrayBuffer(SIZE * EVENTS_AT_ONCE * 4));
    const events = new Uint8Array(words.buffer);
    let pending: Promise<number> | undefined;
    let alive = true;
    async function wait(): Promise<void> {
      let failures = 0;
      while (failures < MAX_FAILURES) {
        pending = call(epollFd, events, EVENTS_AT_ONCE, timeoutMs);
        if (!alive) keepCallAlive(pending, false);
        const count = await pending;
        failures = count < 0 ? failures + 1 : 0;
        for (let i = 0; i < count; i++) {
          const fd = words[i * SIZE + data]!;
          if (fd === stopFd) return;
          onReady(fd);
        }
      }
      throw new Error(EPOLL_WAIT_FAILS);
    }
    const done = wait().catch(onDeath);
    return {
      stop: () => done,
      keepAlive(next) {
        if (next === alive) return;
        alive = next;
        if (pending !== undefined) keepCallAlive(pending, alive);
      },
    };
  };
}
