import { type Check, checkSignal, type OptionChecks, wrongType } from "../errors/arguments.ts";
import { Closing } from "../stream.ts";
import type { Reply } from "./callbacks.ts";
import { closingOf, Connector, openConnector } from "./connector.ts";
import type { CbId } from "./message.ts";
import type { ReceivedMessage } from "./sender.ts";

/** Options of all servers. */
export interface ServerOptions {
  /** The connector to serve on, which is not closed with the server. Default: one of its own. */
  readonly connector?: Connector | undefined;
  /** Closes the server. */
  readonly signal?: AbortSignal | undefined;
}

/** Checks that a value is a connector. */
export const checkConnector: Check = (value, name, action) => {
  if (!(value instanceof Connector)) throw wrongType(value, name, "a Connector", action);
};

/** Checks of {@linkcode ServerOptions}. */
export const SERVER_OPTIONS: OptionChecks<ServerOptions> = { connector: checkConnector, signal: checkSignal };

/** A server that is open. */
export interface Server extends AsyncDisposable {
  /**
   * Resolves when the server is closed and everything is released. Rejects with what closed it otherwise: the reason of
   * its signal or of its connector's, or the error that keeps the connector from receiving.
   */
  readonly closed: Promise<void>;
  /**
   * Takes no more requests, and resolves when everything is released; while requests are being handled it resolves at
   * once, because one of them may be waiting for it. They are answered, and then {@linkcode closed} resolves.
   */
  close(): Promise<void>;
  /** Closes the server, and waits until everything is released. */
  [Symbol.asyncDispose](): Promise<void>;
}

/**
 * A server of one identifier, on a connector of its own or a borrowed one. A protocol's server adds
 * {@linkcode ProtocolServer.handleMessage} and {@linkcode ProtocolServer.releaseResources}.
 */
export abstract class ProtocolServer implements Server {
  /** The connector that it serves on. */
  protected readonly connector: Connector;
  readonly #id: CbId;
  readonly #options: ServerOptions;
  readonly #closing: Closing = new Closing();
  readonly #removeListener: () => void;
  readonly #onAbort = (): void => void this.#release(this.#options.signal!.reason);
  #released: Promise<void> | undefined;
  #isObserved = false;
  #handling = 0;

  /** Serves from now on; `name` is for people. */
  constructor(connector: Connector, id: CbId, name: string, options: ServerOptions) {
    options.signal?.throwIfAborted();
    this.connector = connector;
    this.#id = id;
    this.#options = options;
    connector.addCallback(id, name, (message, reply) => this.#handle(message, reply));
    this.#removeListener = closingOf(connector).onEnd((error) => {
      void this.#release(error);
      return this.#isObserved;
    });
    options.signal?.addEventListener("abort", this.#onAbort, { once: true });
  }

  /** Handles one message. What it throws or rejects with is reported by the connector. */
  protected abstract handleMessage(message: ReceivedMessage, reply: Reply): void | Promise<void>;

  /** Finishes what was begun; `error` is what closed the server, if there is one. */
  protected abstract releaseResources(error: unknown): void | Promise<void>;

  /** Whether replies can still be sent. */
  protected get isConnected(): boolean {
    return !closingOf(this.connector).isOver;
  }

  get closed(): Promise<void> {
    this.#isObserved = true;
    return this.#closing.promise;
  }

  close(): Promise<void> {
    const released = this.#release(undefined);
    return this.#handling > 0 ? Promise.resolve() : released;
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.#release(undefined);
  }

  #handle(message: ReceivedMessage, reply: Reply): void | Promise<void> {
    this.#handling++; // before the call, which may close the server
    const done = (): void => void this.#handling--;
    try {
      const result = this.handleMessage(message, reply);
      if (result instanceof Promise) return result.finally(done);
    } catch (error) {
      done();
      throw error;
    }
    done();
  }

  #release(error: unknown): Promise<void> {
    return this.#released ??= this.#releaseOnce(error);
  }

  async #releaseOnce(error: unknown): Promise<void> {
    this.#options.signal?.removeEventListener("abort", this.#onAbort);
    this.#removeListener();
    let failure = error;
    try {
      // First of all: the kernel finds that nobody is in the group, and looks for another server.
      this.connector.delCallback(this.#id);
      await this.releaseResources(error);
    } catch (failed) {
      failure ??= failed;
    }
    if (this.#options.connector === undefined) await this.connector.close();
    this.#closing.end(failure);
  }
}

/** Starts a server on the connector that was given, or on one of its own, which is closed if it cannot start. */
export async function openServer<T>(
  options: ServerOptions,
  start: (connector: Connector) => T | Promise<T>,
): Promise<T> {
  options.signal?.throwIfAborted();
  const connector = options.connector ?? await openConnector();
  try {
    return await start(connector);
  } catch (error) {
    if (options.connector === undefined) await connector.close();
    throw error;
  }
}
