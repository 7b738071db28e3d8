import { type Check, checkSignal, objectWith, type OptionChecks } from "../errors/arguments.ts";
import { type Connector, openConnector } from "./connector.ts";
import type { Reply } from "./callbacks.ts";
import type { CbId } from "./message.ts";
import type { ReceivedMessage } from "./sender.ts";

/** What the servers of all protocols can be given. */
export interface ServerOptions {
  /** The connector to serve on. It is not closed with the server. Default: one of its own. */
  readonly connector?: Connector | undefined;
  /** Ends the server, without an error. */
  readonly signal?: AbortSignal | undefined;
}

/** What a connector of a caller's must have. */
export const checkConnector: Check = objectWith(["addCallback", "requestMany", "messages", "onEnd"]);

/** Checks of {@linkcode ServerOptions}. */
export const SERVER_OPTIONS: OptionChecks<ServerOptions> = { connector: checkConnector, signal: checkSignal };

/**
 * A server of one identifier: its connector, its own or a borrowed one, and its end. What a protocol's server adds is
 * {@linkcode handleMessage} and {@linkcode releaseResources}.
 */
export abstract class ProtocolServer implements AsyncDisposable {
  /** The connector that it serves on. */
  protected readonly connector: Connector;
  readonly #id: CbId;
  readonly #options: ServerOptions;
  readonly #closed: PromiseWithResolvers<void> = Promise.withResolvers<void>();
  readonly #forgetEnd: () => void;
  readonly #onAbort = (): void => void this.close();
  #ending: Promise<void> | undefined;
  #watched = false;

  /** Serves from now on; `name` is for people. The options say whether the connector is closed with the server. */
  constructor(connector: Connector, id: CbId, name: string, options: ServerOptions) {
    options.signal?.throwIfAborted();
    this.connector = connector;
    this.#id = id;
    this.#options = options;
    this.#closed.promise.catch(() => {}); // who does not wait for it is told by the connector
    connector.addCallback(id, name, (message, reply) => this.handleMessage(message, reply));
    this.#forgetEnd = connector.onEnd((error) => {
      void this.#end(error);
      return this.#watched;
    });
    options.signal?.addEventListener("abort", this.#onAbort, { once: true });
  }

  /** Handles one message. The connector reports what it throws or rejects with. */
  protected abstract handleMessage(message: ReceivedMessage, reply: Reply): unknown;

  /** Ends what was begun; `error` is what ended the connector, if anything did. */
  protected abstract releaseResources(error: unknown): void | Promise<void>;

  /**
   * Resolves when the server has ended: by {@linkcode close}, by its signal, or with a connector that was closed.
   * Rejects with what the connector failed with, or the reason of the connector's signal.
   */
  get closed(): Promise<void> {
    this.#watched = true;
    return this.#closed.promise;
  }

  /** Ends it, and resolves when everything is released. Do not wait for it where it waits for you: in a request. */
  close(): Promise<void> {
    return this.#end(undefined);
  }

  /** As {@linkcode close}. */
  [Symbol.asyncDispose](): Promise<void> {
    return this.close();
  }

  #end(error: unknown): Promise<void> {
    return this.#ending ??= this.#finish(error);
  }

  async #finish(error: unknown): Promise<void> {
    this.#options.signal?.removeEventListener("abort", this.#onAbort);
    this.#forgetEnd();
    let failure = error;
    try {
      // First of all: from now on the kernel is told that nobody listens, which makes it look for another server.
      this.connector.delCallback(this.#id);
      await this.releaseResources(error);
    } catch (failed) {
      failure ??= failed;
    }
    if (this.#options.connector === undefined) this.connector.close();
    if (failure === undefined) this.#closed.resolve();
    else this.#closed.reject(failure);
  }
}

/** Starts a server on the connector that was given, or on one of its own, which is closed where it cannot start. */
export async function openServer<T>(
  options: ServerOptions,
  start: (connector: Connector) => T | Promise<T>,
): Promise<T> {
  options.signal?.throwIfAborted();
  const connector = options.connector ?? await openConnector();
  try {
    return await start(connector);
  } catch (error) {
    if (options.connector === undefined) connector.close();
    throw error;
  }
}
