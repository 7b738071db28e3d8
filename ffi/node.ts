import { bindTables, LIBC_NAME, libcPaths, type Runtime } from "./bind.ts";
import { attachWorker, type ReferencedWorker, type StartWaiting, threadSource } from "./epoll_thread.ts";
import { FfiError } from "./ffi_error.ts";
import type { Libc } from "./libc.ts";

/** The slice of `node:ffi` that is used. */
interface NodeFfi {
  dlopen(path: string, table: unknown): { functions: unknown };
}

/** The slice of `process` that is used. */
interface NodeProcess {
  readonly version: string;
  /** There under `--permission` only. */
  readonly permission?: { has(scope: string): boolean };
  /** Missing in old versions, which have no FFI either. */
  getBuiltinModule?(name: "node:ffi"): NodeFfi | undefined;
  getBuiltinModule?(name: "node:worker_threads"): { Worker: NodeWorkerClass; isMainThread: boolean };
}

/** Opens libc in Node 26 or newer. */
export function openInNode(arch: Libc["arch"]): Runtime {
  const { process } = globalThis as unknown as { process: NodeProcess };
  // By call: bundlers leave it alone, and nobody has to wait for it.
  const ffi = process.getBuiltinModule?.("node:ffi");
  if (ffi === undefined) throw new FfiError({ reason: "node-without-ffi", version: process.version });
  const tables = bindTables([LIBC_NAME, ...libcPaths(arch)], (library, table) => {
    const rows = Object.entries(table).map((
      [name, row],
    ) => [name, { arguments: row.parameters, return: row.result }]);
    try {
      return ffi.dlopen(library, Object.fromEntries(rows)).functions;
    } catch (cause) {
      if ((cause as { code?: string }).code !== "ERR_ACCESS_DENIED") throw cause;
      throw new FfiError({ reason: "node-ffi-denied" }, { cause });
    }
  });
  if (process.permission?.has("worker") === false) throw new FfiError({ reason: "node-worker-denied" });
  return { tables, startWaiting: waitInWorker(process, tables.library, arch) };
}

/** The slice of `node:worker_threads` that is used. */
interface NodeWorker extends ReferencedWorker {
  on(event: "message", listener: (data: number | string) => void): void;
  on(event: "error", listener: (error: Error) => void): void;
  on(event: "exit", listener: () => void): void;
}
type NodeWorkerClass = new (source: string, options: { eval: true; execArgv: string[] }) => NodeWorker;

function waitInWorker(process: NodeProcess, libcName: string, arch: Libc["arch"]): StartWaiting {
  return (epollFd, stopFd, onReady, onDeath) => {
    const bind = `const { dlopen } = require("node:ffi");
const { parentPort } = require("node:worker_threads");
const { functions } = dlopen(${JSON.stringify(libcName)}, {
  epoll_wait: { arguments: ["i32", "buffer", "i32", "i32"], return: "i32" },
});
const epollWait = functions.epoll_wait;
const post = (message) => parentPort.postMessage(message);`;
    // Not loaded before the first thread: this saves a subscription two milliseconds.
    const { Worker: WorkerClass, isMainThread } = process.getBuiltinModule!("node:worker_threads");
    // The experimental warning was printed once already, by the main thread.
    const worker = new WorkerClass(threadSource(bind, { epollFd, stopFd, arch, isMainThread }), {
      eval: true,
      execArgv: ["--disable-warning=ExperimentalWarning"],
    });
    const thread = attachWorker(worker, onReady, onDeath);
    worker.on("message", thread.onMessage);
    worker.on("error", thread.onEnd);
    worker.on("exit", () => thread.onEnd(new Error("the waiting thread ended")));
    return thread;
  };
}
