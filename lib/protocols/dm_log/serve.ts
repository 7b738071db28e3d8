import type { Connector } from "../../connector/agent.ts";
import { openConnector } from "../../connector/open.ts";
import { ERRNO } from "../../errors/errno.ts";
import { DirtyLogAnswerer, type DirtyLogStats } from "./answer.ts";
import { CN_IDX_DM, CN_VAL_DM_USERSPACE_LOG } from "./constants.ts";
import { DirtyLogError, type DirtyLogs } from "./log.ts";
import type { DmLogRequest } from "./message.ts";

const ID = { idx: CN_IDX_DM, val: CN_VAL_DM_USERSPACE_LOG } as const;

/** How dirty logs are served. */
export interface ServeDirtyLogOptions {
  /** The connector to serve on. It is not closed with the server. Default: one of its own. */
  readonly connector?: Connector | undefined;
  /** Ends the server, without an error. */
  readonly signal?: AbortSignal | undefined;
  /**
   * Is told what the implementation threw, and of messages that are none, after the kernel got its error. The request is
   * undefined where it could not be read. Default: it is written to the standard error.
   */
  readonly onError?: ((error: unknown, request: DmLogRequest | undefined) => void) | undefined;
}

/** A server of dirty logs. */
export class DirtyLogServer implements AsyncDisposable {
  readonly #connector: Connector;
  readonly #options: ServeDirtyLogOptions;
  readonly #answerer: DirtyLogAnswerer;
  readonly #closed: PromiseWithResolvers<void> = Promise.withResolvers<void>();
  readonly #onAbort = (): void => void this.close();
  #open = true;

  /** Use {@linkcode serveDirtyLog}. */
  constructor(connector: Connector, implementation: DirtyLogs, options: ServeDirtyLogOptions) {
    options.signal?.throwIfAborted();
    const onError = options.onError ?? reportError;
    this.#connector = connector;
    this.#options = options;
    this.#answerer = new DirtyLogAnswerer(implementation, onError);
    connector.addCallback(ID, "dirty-log", (message, reply) => {
      const answer = this.#answerer.answer(message);
      const send = ({ seq, ack, data }: Awaited<typeof answer>): void => {
        try {
          // Only who asked may be answered, and the numbers are the kernel's own.
          reply(data, { seq, ack });
        } catch (error) {
          onError(error, undefined);
        }
      };
      if (answer instanceof Promise) void answer.then(send);
      else send(answer);
    });
    options.signal?.addEventListener("abort", this.#onAbort, { once: true });
  }

  /** Resolves when the server has ended. */
  get closed(): Promise<void> {
    return this.#closed.promise;
  }

  /** What it has done so far. */
  stats(): DirtyLogStats {
    return this.#answerer.stats();
  }

  /**
   * Ends it: answers what was asked, then lets go of all logs. Mirrors that live on wait for another server before they
   * are written again.
   */
  async close(): Promise<void> {
    if (!this.#open) return await this.closed;
    this.#open = false;
    this.#options.signal?.removeEventListener("abort", this.#onAbort);
    // First of all: from now on the kernel is told that nobody listens, which makes it look for another server.
    if (!this.#connector.closed) this.#connector.delCallback(ID);
    await this.#answerer.close();
    if (this.#options.connector === undefined) await this.#connector.close();
    this.#closed.resolve();
  }

  /** As {@linkcode close}. */
  async [Symbol.asyncDispose](): Promise<void> {
    await this.close();
  }
}

/**
 * Serves the dirty logs of device-mapper mirrors. Resolves once it listens: from then on mirrors can be made. The
 * kernel takes answers only from a program with CAP_SYS_ADMIN.
 *
 * Each request is answered once, also with an error; requests about one log are answered in order. A server that starts
 * while mirrors live takes them over: the kernel makes their logs again within about two seconds, or, where the server
 * before it went with a question unanswered, within 17.
 *
 * @throws {SyscallError} EPERM where group 7 may not be joined: before kernel 6.6 that wants CAP_NET_ADMIN.
 * @throws {UnsupportedError} Where the kernel has no connector, and where libc cannot be called.
 * @example
 * ```ts ignore
 * import { coreLogs, serveDirtyLog } from "kernel-connector";
 *
 * await using server = await serveDirtyLog(coreLogs());
 * // dmsetup create m --table "0 32768 mirror userspace 3 UUID core 1024 2 /dev/a 0 /dev/b 0"
 * await server.closed;
 * ```
 */
export async function serveDirtyLog(
  implementation: DirtyLogs,
  options: ServeDirtyLogOptions = {},
): Promise<DirtyLogServer> {
  const connector = options.connector ?? await openConnector();
  try {
    return new DirtyLogServer(connector, implementation, options);
  } catch (error) {
    if (options.connector === undefined) await connector.close();
    throw error;
  }
}

/**
 * Several kinds of logs, chosen by the name in the table line: `logsByName({ core: coreLogs(), disk: await openDiskLogs(…) })`.
 */
export function logsByName(kinds: Readonly<Record<string, DirtyLogs>>): DirtyLogs {
  return {
    create: (request) => {
      const name = request.args[1] ?? "";
      const logs = Object.hasOwn(kinds, name) ? kinds[name] : undefined;
      if (logs !== undefined) return logs.create(request);
      const known = Object.keys(kinds).join(", ");
      throw new DirtyLogError(
        "make a dirty log",
        ERRNO.EINVAL!,
        `${JSON.stringify(name)} is none of ${known}`,
      );
    },
  };
}

function reportError(error: unknown, request: DmLogRequest | undefined): void {
  console.error(`kernel-connector: the dirty log's ${request?.type ?? "answer"} failed:`, error);
}
