import type { Connector } from "../../connector/connector.ts";
import type { Reply } from "../../connector/callbacks.ts";
import { reportError } from "../../connector/dispatcher.ts";
import type { CnMsg } from "../../connector/message.ts";
import type { ReceivedMessage } from "../../connector/sender.ts";
import type { ErrorContext } from "../../connector/options.ts";
import {
  openServer,
  ProtocolServer,
  type Server,
  SERVER_OPTIONS,
  type ServerOptions,
} from "../../connector/server.ts";
import {
  type Check,
  checkFunction,
  checkObject,
  checkOptions,
  objectWith,
  type OptionChecks,
} from "../../errors/arguments.ts";
import { ERRNO } from "../../errors/errno.ts";
import { DirtyLogDispatcher, type DirtyLogStats } from "./dispatcher.ts";
import { CN_IDX_DM, CN_VAL_DM_USERSPACE_LOG } from "./constants.ts";
import { DirtyLogError, type DirtyLogs } from "./log.ts";
import type { DmLogRequest } from "./message.ts";

const ID = { idx: CN_IDX_DM, val: CN_VAL_DM_USERSPACE_LOG } as const;

/** What failed, for `onError`. */
export interface DirtyLogErrorContext extends ErrorContext {
  /** The request that was being handled; undefined if it could not be decoded or answered. */
  readonly request: DmLogRequest | undefined;
}

/** Options of {@linkcode serveDirtyLog}. */
export interface ServeDirtyLogOptions extends ServerOptions {
  /**
   * Called with what the implementation threw, and for messages that cannot be decoded, after the kernel got its error.
   * Default: writes to standard error.
   */
  readonly onError?: ((error: unknown, context: DirtyLogErrorContext) => void) | undefined;
}

const OPTIONS: OptionChecks<ServeDirtyLogOptions> = { ...SERVER_OPTIONS, onError: checkFunction };
const checkLogs: Check = objectWith(["create"]);

/**
 * An open server of dirty logs. When it closes, it answers the pending requests and releases all logs; writes to mirrors
 * that still exist then wait for another server.
 */
export interface DirtyLogServer extends Server {
  /** The counters as they are now. */
  stats(): DirtyLogStats;
}

class LogServer extends ProtocolServer implements DirtyLogServer {
  readonly #dispatcher: DirtyLogDispatcher;
  readonly #onError: (error: unknown, request: DmLogRequest | undefined) => void;

  constructor(connector: Connector, implementation: DirtyLogs, options: ServeDirtyLogOptions) {
    super(connector, ID, "dirty-log", options);
    this.#onError = (error, request) => {
      const operation = `the dirty log's ${request?.type ?? "reply"}`;
      reportError(error, { operation, request }, options.onError);
    };
    this.#dispatcher = new DirtyLogDispatcher(implementation, this.#onError);
  }

  stats(): DirtyLogStats {
    return this.#dispatcher.stats();
  }

  protected override handleMessage(message: ReceivedMessage, reply: Reply): void | Promise<void> {
    const answer = this.#dispatcher.answer(message);
    if (answer instanceof Promise) return answer.then((answer) => this.#send(answer, reply));
    this.#send(answer, reply);
  }

  protected override async releaseResources(): Promise<void> {
    await this.#dispatcher.close();
  }

  /** Replies to the sender only, with the numbers of its request. */
  #send({ seq, ack, data }: CnMsg, reply: Reply): void {
    try {
      reply(data, { seq, ack });
    } catch (error) {
      this.#onError(error, undefined);
    }
  }
}

/**
 * Serves the dirty logs of device-mapper mirrors. Resolves once it listens: from then on mirrors can be created. The
 * kernel accepts replies only from a program with CAP_SYS_ADMIN.
 *
 * Each request gets exactly one reply; requests for the same log are answered in order. A server that starts while
 * mirrors exist takes them over: the kernel creates their logs again within about 2 s, or within 17 s if the previous
 * server left a request unanswered.
 *
 * @throws {SyscallError} EPERM when group 7 may not be joined: before kernel 6.6 that requires CAP_NET_ADMIN.
 * @throws {UnsupportedError} When the kernel has no connector, or libc cannot be called.
 * @example
 * ```ts ignore
 * import { coreLogs, serveDirtyLog } from "kernel-connector/dm-log";
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
  const action = "serve dirty logs";
  checkLogs(implementation, "implementation", action);
  checkOptions(options, OPTIONS, action);
  return await openServer(
    options,
    (connector) => new LogServer(connector, implementation, options),
  );
}

/**
 * Several kinds of logs, chosen by the name in the table line: `logsByName({ core: coreLogs(), disk: await openDiskLogs(…) })`.
 */
export function logsByName(kinds: Readonly<Record<string, DirtyLogs>>): DirtyLogs {
  const action = "choose dirty logs by name";
  checkObject(kinds, "kinds", action);
  for (const [name, logs] of Object.entries(kinds)) checkLogs(logs, `kinds.${name}`, action);
  return {
    create: (request) => {
      const name = request.args[1] ?? "";
      const logs = Object.hasOwn(kinds, name) ? kinds[name] : undefined;
      if (logs !== undefined) return logs.create(request);
      const known = Object.keys(kinds).join(", ");
      throw new DirtyLogError(
        "make a dirty log",
        ERRNO.EINVAL!,
        `${JSON.stringify(name)} is not one of ${known}`,
      );
    },
  };
}
