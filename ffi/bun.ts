import { bindTables, LIBC_NAME, libcPaths, type Runtime } from "./bind.ts";
import { attachWorker, type ReferencedWorker, type StartWaiting, threadSource } from "./epoll_thread.ts";
import type { Libc } from "./libc.ts";

/** The slice of `bun:ffi` that is used. */
interface BunFfi {
  dlopen(path: string, table: unknown): { symbols: unknown };
}

/** The slice of `process` that is used: modules by call, which bundlers leave alone and nobody has to wait for. */
interface BunProcess {
  getBuiltinModule(name: "bun:ffi"): BunFfi;
}

/** Opens libc in Bun. */
export function openInBun(arch: Libc["arch"]): Runtime {
  const ffi = (globalThis as unknown as { process: BunProcess }).process.getBuiltinModule("bun:ffi");
  const tables = bindTables([LIBC_NAME, ...libcPaths(arch)], (library, table) => {
    const rows = Object.entries(table).map(([name, row]) => [name, {
      args: row.parameters.map(bunType),
      returns: bunType(row.result),
    }]);
    return ffi.dlopen(library, Object.fromEntries(rows)).symbols;
  });
  return { tables, startWaiting: waitInWorker(tables.library, arch) };
}

function bunType(type: string): string {
  return type === "pointer" ? "ptr" : type;
}

/** The slice of a web worker that is used. */
interface BunWorker extends ReferencedWorker {
  onmessage: ((event: { data: number | string }) => void) | null;
  onerror: ((event: { message?: string }) => void) | null;
  addEventListener(type: "close", listener: () => void): void;
  terminate(): void;
}

interface BunGlobals {
  readonly Bun: { readonly isMainThread: boolean };
  readonly Worker: new (url: string) => BunWorker;
}

function waitInWorker(libcName: string, arch: Libc["arch"]): StartWaiting {
  return (epollFd, stopFd, onReady, onDeath) => {
    const bind = `import { dlopen } from "bun:ffi";
const { symbols } = dlopen(${
      JSON.stringify(libcName)
    }, { epoll_wait: { args: ["i32", "buffer", "i32", "i32"], returns: "i32" } });
const epollWait = symbols.epoll_wait;
const post = (message) => postMessage(message);`;
    const { Bun, Worker: WorkerClass } = globalThis as unknown as BunGlobals;
    const source = threadSource(bind, { epollFd, stopFd, arch, isMainThread: Bun.isMainThread });
    const url = URL.createObjectURL(new Blob([source], { type: "text/javascript" }));
    let worker: BunWorker;
    try {
      worker = new WorkerClass(url);
    } catch (error) {
      URL.revokeObjectURL(url);
      throw error;
    }
    const thread = attachWorker(worker, onReady, onDeath, () => {
      URL.revokeObjectURL(url);
      // A worker that has run to its end keeps the process alive until it is terminated.
      worker.terminate();
    });
    worker.onmessage = ({ data }) => thread.onMessage(data);
    worker.onerror = (event) =>
      thread.onEnd(new Error(`the waiting thread ended: ${event.message ?? "no reason given"}`));
    worker.addEventListener("close", () => thread.onEnd(new Error("the waiting thread ended")));
    return thread;
  };
}
