import type { Connector } from "../../connector/connector.ts";
import type { Reply } from "../../connector/callbacks.ts";
import { reportError } from "../../connector/dispatcher.ts";
import type { CbId } from "../../connector/message.ts";
import type { ReceivedMessage } from "../../connector/sender.ts";
import { openServer, ProtocolServer, SERVER_OPTIONS, type ServerOptions } from "../../connector/server.ts";
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
  /** The key, up to 511 bytes; the driver hands on the first 254 UTF-16 units. */
  readonly key: string;
  /** The value, up to 2047 bytes; the driver hands on the first 1022 UTF-16 units. */
  readonly value: string;
}

/**
 * What a guest tells its host, and is told by it. A method that is missing is answered with HV_ERROR_NOT_SUPPORTED, one
 * that throws with the number of a {@linkcode HypervError}, else HV_E_FAIL; `pool` is KVP_POOL_EXTERNAL and the like.
 */
export interface KvpImplementation {
  /** The value of a key, or undefined where there is no such key. */
  get?(pool: number, key: string): string | undefined | Promise<string | undefined>;
  /** Keeps a value. */
  set?(pool: number, key: string, value: string): void | Promise<void>;
  /** Forgets a key. */
  delete?(pool: number, key: string): void | Promise<void>;
  /** The pair at an index, or undefined behind the last. */
  enumerate?(pool: number, index: number): KvpPair | undefined | Promise<KvpPair | undefined>;
  /** The addresses of an adapter. */
  getIpInfo?(adapter: KvpIpInfo): KvpIpInfo | Promise<KvpIpInfo>;
  /** Gives an adapter other addresses. */
  setIpInfo?(info: KvpIpInfo): void | Promise<void>;
}

/** What a guest does for a snapshot. What throws is answered with HV_E_FAIL, and the host gives the snapshot up. */
export interface VssImplementation {
  /** Freezes the file systems. The host waits for 10 s or, with newer kernels, 15 minutes. */
  freeze(): void | Promise<void>;
  /** Thaws them. It may come without a freeze before it. */
  thaw(): void | Promise<void>;
  /** A backup begins of which the guest need not be frozen. Default: nothing. */
  hotBackup?(): void | Promise<void>;
}

/** A status that the host is to get. */
export class HypervError extends Error {
  /** Always `"HypervError"`. */
  override readonly name = "HypervError";
  /** As `HV_E_FAIL`. */
  readonly status: number;

  /** `action` completes "Cannot …". */
  constructor(action: string, status: number, explanation: string) {
    super(`Cannot ${action}: ${explanation}`);
    this.status = status;
  }
}

/** How a daemon is served. */
export interface ServeHypervOptions extends ServerOptions {
  /** Is told what the implementation threw, after the kernel was answered. Default: written to the standard error. */
  readonly onError?: ((error: unknown) => void) | undefined;
  /** How long the kernel may take to answer the registration, in milliseconds. Default 1000. */
  readonly timeoutMs?: number | undefined;
  /** The port to register with. Default 0, the kernel. Another is a program that plays its part. */
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

/** A daemon that is registered with the kernel. */
export interface HypervServer extends AsyncDisposable {
  /** What the kernel answered to the registration: its driver's version for KVP, the operation's number for VSS. */
  readonly version: string;
  /** Requests that were answered so far, those answered with an error among them. */
  readonly answered: number;
  /**
   * Resolves when the server has ended: by {@linkcode close}, by its signal, or with a connector that was closed.
   * Rejects with what the connector failed with, or the reason of the connector's signal.
   */
  readonly closed: Promise<void>;
  /** Ends it. The kernel does not know, and the host's requests fail after its time-out. */
  close(): Promise<void>;
}

/**
 * Serves key-value pairs and addresses to Hyper-V. Resolves once the kernel has answered the registration. **This was
 * not run on Hyper-V**: it was tried against a program that plays the kernel.
 *
 * @throws {TimeoutError} When the kernel did not answer: it is no guest of Hyper-V, or another daemon has the device.
 * @throws {SyscallError} ENODEV when the kernel does not serve it, EPERM where group 9 may not be joined.
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
    read: (data) => {
      const request = decodeKvpRequest(data);
      return request.type === "register" ? { registered: request.version } : {
        type: request.type,
        carryOut: async () => encodeKvpReply(await carryOutKvp(implementation, request)),
      };
    },
    unsupported: (error, type) => encodeKvpReply({ type: type as KvpReply["type"], error }),
  }, options);
}

/**
 * Serves snapshots to Hyper-V. Resolves once the kernel has answered the registration. **This was not run on Hyper-V**:
 * it was tried against a program that plays the kernel.
 *
 * @throws As {@linkcode serveKvp}, of group 10.
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
    read: (data) => {
      const request = decodeVssRequest(data);
      return request.type === "register" ? { registered: String(request.operation) } : {
        type: request.type,
        carryOut: async () => encodeVssReply(await carryOutVss(implementation, request)),
      };
    },
    unsupported: (error) => encodeVssReply(error),
  }, options);
}

/** What the two daemons differ in. */
interface Service {
  readonly id: CbId;
  readonly name: string;
  readonly registration: Uint8Array;
  /** The answer to the registration, or a request. */
  read(data: Uint8Array): { readonly registered: string } | Request;
  /** The answer to a request that failed. */
  unsupported(error: number, type: string): Uint8Array;
}

interface Request {
  readonly type: string;
  /** Its answer. */
  carryOut(): Promise<Uint8Array>;
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
  /** The end of the queue: the host asks one thing at a time, and so it is answered. */
  #queue: Promise<void> = Promise.resolve();
  version = "";
  answered = 0;

  constructor(connector: Connector, service: Service, options: ServeHypervOptions) {
    super(connector, service.id, service.name, options);
    this.#service = service;
    this.#options = options;
  }

  /** The kernel answers to the group, and not with the registration's numbers: the next message of that kind it is. */
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

  protected override async release(error: unknown): Promise<void> {
    this.#registered.promise.catch(() => {}); // nobody may wait for it
    this.#registered.reject(error ?? this.#options.signal?.reason ?? new Error("The daemon was closed"));
    await this.#queue;
  }

  protected override async take(message: ReceivedMessage, reply: Reply): Promise<void> {
    const request = this.#service.read(message.data); // a message that is none is reported by the connector
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
      data = await request.carryOut();
    } catch (error) {
      this.#report(error);
      data = this.#service.unsupported(error instanceof HypervError ? error.status : HV_E_FAIL, request.type);
    }
    this.answered++;
    if (this.connector.closed) return;
    try {
      reply(data, { seq, ack });
    } catch (error) {
      this.#report(error);
    }
  }

  #report(error: unknown): void {
    const { onError } = this.#options;
    reportError(error, `the ${this.#service.name} daemon`, onError && (() => onError(error)));
  }
}

async function carryOutKvp(
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

async function carryOutVss(
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
