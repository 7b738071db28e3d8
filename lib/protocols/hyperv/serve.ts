import type { Connector } from "../../connector/connector.ts";
import type { Reply } from "../../connector/callbacks.ts";
import { reportError } from "../../connector/dispatcher.ts";
import type { CbId } from "../../connector/message.ts";
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
  checkOptions,
  checkTimeoutMs,
  checkU32,
  objectWith,
  type OptionChecks,
} from "../../errors/arguments.ts";
import { TimeoutError } from "../../errors/timeout_error.ts";
import {
  CN_KVP_IDX,
  CN_KVP_VAL,
  CN_VSS_IDX,
  CN_VSS_VAL,
  HV_E_FAIL,
  HV_ERROR_NOT_SUPPORTED,
  HV_S_CONT,
  HV_S_OK,
} from "./constants.ts";
import {
  decodeKvpRequest,
  decodeVssRequest,
  encodeKvpRegister,
  encodeKvpReply,
  encodeVssRegister,
  encodeVssReply,
  type KvpIpInfo,
  type KvpReply,
  type KvpRequest,
  type VssRequest,
} from "./message.ts";

const KVP_ID: CbId = { idx: CN_KVP_IDX, val: CN_KVP_VAL };
const VSS_ID: CbId = { idx: CN_VSS_IDX, val: CN_VSS_VAL };

/** A key and its value. */
export interface KvpPair {
  /** The key, up to 511 bytes; the driver passes on the first 254 UTF-16 units. */
  readonly key: string;
  /** The value, up to 2047 bytes; the driver passes on the first 1022 UTF-16 units. */
  readonly value: string;
}

/**
 * The key-value pairs that a guest shares with its host. For a missing method the host gets HV_ERROR_NOT_SUPPORTED; for
 * one that throws the status of the {@linkcode HypervError}, else HV_E_FAIL. `pool` is 0 external, 1 guest, 2 auto,
 * 3 auto external or 4 auto internal.
 */
export interface KvpImplementation {
  /** The value of a key, or undefined if there is no such key. */
  get?(pool: number, key: string): string | undefined | Promise<string | undefined>;
  /** Stores a value. */
  set?(pool: number, key: string, value: string): void | Promise<void>;
  /** Deletes a key. */
  delete?(pool: number, key: string): void | Promise<void>;
  /** The pair at an index, or undefined after the last one. */
  enumerate?(pool: number, index: number): KvpPair | undefined | Promise<KvpPair | undefined>;
  /** The addresses of an adapter. */
  getIpInfo?(adapter: KvpIpInfo): KvpIpInfo | Promise<KvpIpInfo>;
  /** Sets the addresses of an adapter. */
  setIpInfo?(info: KvpIpInfo): void | Promise<void>;
}

/** What a guest does for a snapshot. If a method throws, the host gets HV_E_FAIL and cancels the snapshot. */
export interface VssImplementation {
  /** Freezes the file systems. The host waits for 10 s or, with newer kernels, 15 minutes. */
  freeze(): void | Promise<void>;
  /** Thaws them; possibly without a freeze before. */
  thaw(): void | Promise<void>;
  /** A backup begins that does not require a freeze. Default: nothing. */
  hotBackup?(): void | Promise<void>;
}

/** An error whose status is sent to the host. */
export class HypervError extends Error {
  /** Always `"HypervError"`. */
  override readonly name = "HypervError";
  /** A status such as 0x80004005 (HV_E_FAIL). */
  readonly status: number;

  /** `action` completes "Cannot …". */
  constructor(action: string, status: number, explanation: string) {
    super(`Cannot ${action}: ${explanation}`);
    this.status = status;
  }
}

/** Options of {@linkcode serveKvp} and {@linkcode serveVss}. */
export interface ServeHypervOptions extends ServerOptions {
  /** Called with what the implementation threw, after the kernel got its reply. Default: writes to standard error. */
  readonly onError?: ((error: unknown, context: ErrorContext) => void) | undefined;
  /** Time limit in milliseconds for the reply to the registration. Default 1000. */
  readonly timeoutMs?: number | undefined;
  /** The port to register with. Default 0, the kernel; another port is a program that simulates it. */
  readonly port?: number | undefined;
}

const OPTIONS: OptionChecks<ServeHypervOptions> = {
  ...SERVER_OPTIONS,
  onError: checkFunction,
  timeoutMs: checkTimeoutMs,
  port: checkU32,
};
const checkKvp: Check = objectWith([], ["get", "set", "delete", "enumerate", "getIpInfo", "setIpInfo"]);
const checkVss: Check = objectWith(["freeze", "thaw"], ["hotBackup"]);

/** Counters of a daemon. */
export interface HypervStats {
  /** Requests that were answered, including those answered with an error. */
  readonly answered: number;
}

/**
 * An open daemon that is registered with the kernel. The kernel does not notice when it closes, and the host's requests
 * time out.
 */
export interface HypervServer extends Server {
  /** The kernel's reply to the registration: the driver's version for KVP, the number of the operation for VSS. */
  readonly version: string;
  /** The counters as they are now. */
  stats(): HypervStats;
}

/**
 * Serves key-value pairs and addresses to Hyper-V. Resolves once the kernel has replied to the registration.
 * **Experimental**: tested against a program that simulates the kernel, never on Hyper-V.
 *
 * @throws {TimeoutError} When the kernel does not reply: this is not a Hyper-V guest, or another daemon has the device.
 * @throws {SyscallError} ENODEV when the kernel does not serve it, EPERM when group 9 may not be joined.
 */
export async function serveKvp(
  implementation: KvpImplementation,
  options: ServeHypervOptions = {},
): Promise<HypervServer> {
  checkKvp(implementation, "implementation", "serve key-value pairs");
  return await serve({
    id: KVP_ID,
    name: "kvp",
    registration: encodeKvpRegister(),
    decode: (data) => {
      const request = decodeKvpRequest(data);
      return request.type === "register" ? { registered: request.version } : {
        type: request.type,
        execute: async () => encodeKvpReply(await executeKvp(implementation, request)),
      };
    },
    encodeFailure: (error, type) => encodeKvpReply({ type: type as KvpReply["type"], error }),
  }, options);
}

/**
 * Serves snapshots to Hyper-V. Resolves once the kernel has replied to the registration. **Experimental**: tested against
 * a program that simulates the kernel, never on Hyper-V.
 *
 * @throws As {@linkcode serveKvp}, for group 10.
 */
export async function serveVss(
  implementation: VssImplementation,
  options: ServeHypervOptions = {},
): Promise<HypervServer> {
  checkVss(implementation, "implementation", "serve snapshots");
  return await serve({
    id: VSS_ID,
    name: "vss",
    registration: encodeVssRegister(),
    decode: (data) => {
      const request = decodeVssRequest(data);
      return request.type === "register" ? { registered: String(request.operation) } : {
        type: request.type,
        execute: async () => encodeVssReply(await executeVss(implementation, request)),
      };
    },
    encodeFailure: (error) => encodeVssReply(error),
  }, options);
}

/** The differences between the two daemons. */
interface Service {
  readonly id: CbId;
  readonly name: string;
  readonly registration: Uint8Array;
  /** Decodes the reply to the registration, or a request. */
  decode(data: Uint8Array): { readonly registered: string } | Request;
  /** Encodes the reply to a request that failed. */
  encodeFailure(error: number, type: string): Uint8Array;
}

interface Request {
  readonly type: string;
  /** Executes it and encodes the reply. */
  execute(): Promise<Uint8Array>;
}

async function serve(service: Service, options: ServeHypervOptions): Promise<HypervServer> {
  checkOptions(options, OPTIONS, `serve ${service.name}`);
  return await openServer(options, async (connector) => {
    const daemon = new Daemon(connector, service, options);
    await daemon.register();
    return daemon;
  });
}

class Daemon extends ProtocolServer implements HypervServer {
  readonly #service: Service;
  readonly #options: ServeHypervOptions;
  readonly #registered: PromiseWithResolvers<string> = Promise.withResolvers<string>();
  /** The last pending reply: requests are answered one at a time, as the host sends them. */
  #queue: Promise<void> = Promise.resolve();
  version = "";
  #answered = 0;

  constructor(connector: Connector, service: Service, options: ServeHypervOptions) {
    super(connector, service.id, service.name, options);
    this.#service = service;
    this.#options = options;
  }

  stats(): HypervStats {
    return { answered: this.#answered };
  }

  /** The kernel replies to the group, with other numbers than the registration's: the next such message is the reply. */
  async register(): Promise<void> {
    const { id, name, registration } = this.#service;
    const { port = 0, timeoutMs = 1000 } = this.#options;
    const timer = setTimeout(() => {
      this.#registered.reject(new TimeoutError(`register as ${name} daemon`, timeoutMs));
    }, timeoutMs);
    try {
      this.connector.send(id, registration, { port, seq: 0, ack: 0 });
      this.version = await this.#registered.promise;
    } catch (error) {
      await this.close();
      throw error;
    } finally {
      clearTimeout(timer);
    }
  }

  protected override async releaseResources(error: unknown): Promise<void> {
    this.#registered.promise.catch(() => {}); // nobody may be waiting for it
    this.#registered.reject(error ?? this.#options.signal?.reason ?? new Error("The daemon was closed"));
    await this.#queue;
  }

  protected override async handleMessage(message: ReceivedMessage, reply: Reply): Promise<void> {
    const request = this.#service.decode(message.data); // the connector reports a message that cannot be decoded
    if ("registered" in request) {
      this.#registered.resolve(request.registered);
      return;
    }
    this.#queue = this.#queue.then(() => this.#answer(request, message, reply));
    await this.#queue;
  }

  async #answer(request: Request, { seq, ack }: ReceivedMessage, reply: Reply): Promise<void> {
    let data: Uint8Array;
    try {
      data = await request.execute();
    } catch (error) {
      this.#report(error);
      data = this.#service.encodeFailure(
        error instanceof HypervError ? error.status : HV_E_FAIL,
        request.type,
      );
    }
    this.#answered++;
    if (!this.isConnected) return;
    try {
      reply(data, { seq, ack });
    } catch (error) {
      this.#report(error);
    }
  }

  #report(error: unknown): void {
    reportError(error, { operation: `the ${this.#service.name} daemon` }, this.#options.onError);
  }
}

async function executeKvp(
  implementation: KvpImplementation,
  request: Exclude<KvpRequest, { type: "register" }>,
): Promise<KvpReply> {
  const { type } = request;
  const missing = { type, error: HV_ERROR_NOT_SUPPORTED };
  switch (type) {
    case "get": {
      if (implementation.get === undefined) return missing;
      const value = await implementation.get(request.pool, request.key);
      return value === undefined ? { type, error: HV_S_CONT } : { type, error: HV_S_OK, value };
    }
    case "enumerate": {
      if (implementation.enumerate === undefined) return missing;
      const pair = await implementation.enumerate(request.pool, request.index);
      return pair === undefined ? { type, error: HV_S_CONT } : { type, error: HV_S_OK, ...pair };
    }
    case "set":
      if (implementation.set === undefined) return missing;
      await implementation.set(request.pool, request.key, request.value);
      return { type, error: HV_S_OK };
    case "delete":
      if (implementation.delete === undefined) return missing;
      await implementation.delete(request.pool, request.key);
      return { type, error: HV_S_OK };
    case "get_ip_info":
      if (implementation.getIpInfo === undefined) return missing;
      return { type, error: HV_S_OK, info: await implementation.getIpInfo(request.info) };
    case "set_ip_info":
      if (implementation.setIpInfo === undefined) return missing;
      await implementation.setIpInfo(request.info);
      return { type, error: HV_S_OK };
    case "unknown":
      return missing;
  }
}

async function executeVss(
  implementation: VssImplementation,
  request: Exclude<VssRequest, { type: "register" }>,
): Promise<number> {
  switch (request.type) {
    case "freeze":
      await implementation.freeze();
      return HV_S_OK;
    case "thaw":
      await implementation.thaw();
      return HV_S_OK;
    case "hot_backup":
      await implementation.hotBackup?.();
      return HV_S_OK;
    default:
      return HV_ERROR_NOT_SUPPORTED;
  }
}
