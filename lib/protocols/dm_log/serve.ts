import type { Connector } from "../../connector/connector.ts";
import type { Reply } from "../../connector/callbacks.ts";
import { reportError } from "../../connector/dispatcher.ts";
import type { CnMsg } from "../../connector/message.ts";
import type { ReceivedMessage } from "../../connector/sender.ts";
import { openServer, ProtocolServer, SERVER_OPTIONS, type ServerOptions } from "../../connector/server.ts";
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

/** How dirty logs are served. */
export interface ServeDirtyLogOptions extends ServerOptions {
  /**
   * Is told what the implementation threw, and of messages that are none, after the kernel got its error. The request is
   * undefined where it could not be read. Default: it is written to the standard error.
   */
  readonly onError?: ((error: unknown, request: DmLogRequest | undefined) => void) | undefined;
}

const OPTIONS: OptionChecks<ServeDirtyLogOptions> = { ...SERVER_OPTIONS, onError: checkFunction };
const checkLogs: Check = objectWith(["create"]);

/**
 * A server of dirty logs. When it ends it answers what was asked and lets go of all logs; mirrors that live on wait for
 * another server before they are written again.
 */
export class DirtyLogServer extends ProtocolServer {
  readonly #answerer: DirtyLogDispatcher;
  readonly #onError: (error: unknown, request: DmLogRequest | undefined) => void;

  /** Use {@linkcode serveDirtyLog}. */
  constructor(connector: Connector, implementation: DirtyLogs, options: ServeDirtyLogOptions) {
    super(connector, ID, "dirty-log", options);
    const { onError } = options;
    this.#onError = (error, request) =>
      reportError(
        error,
        `the dirty log's ${request?.type ?? "answer"}`,
        onError && (() => onError(error, request)),
      );
    this.#answerer = new DirtyLogDispatcher(implementation, this.#onError);
  }

  /** What it has done so far. */
  stats(): DirtyLogStats {
    return this.#answerer.stats();
  }

  /** Answers a request. */
  protected override take(message: ReceivedMessage, reply: Reply): void {
    const answer = this.#answerer.answer(message);
    if (answer instanceof Promise) void answer.then((answer) => this.#send(answer, reply));
    else this.#send(answer, reply);
  }

  /** Answers what was asked, then lets go of all logs. */
  protected override async release(): Promise<void> {
    await this.#answerer.close();
  }

  /** Only who asked may be answered, and the numbers are the kernel's own. */
  #send({ seq, ack, data }: CnMsg, reply: Reply): void {
    try {
      reply(data, { seq, ack });
    } catch (error) {
      this.#onError(error, undefined);
    }
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
    (connector) => new DirtyLogServer(connector, implementation, options),
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
        `${JSON.stringify(name)} is none of ${known}`,
      );
    },
  };
}
