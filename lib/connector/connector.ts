import type { System } from "../../ffi/libc.ts";
import { openSystem } from "../system.ts";
import { checkBytes, checkFunction, checkOptions, checkString } from "../errors/arguments.ts";
import { ClosedError } from "../errors/closed_error.ts";
import { clampReceiveBuffer, NetlinkSocket } from "../netlink/socket.ts";
import { type AsyncStream, Closing } from "../stream.ts";
import { type Callback, CallbackRegistry, type RegisteredCallback, replyTo } from "./callbacks.ts";
import { Dispatcher, ErrorReporter } from "./dispatcher.ts";
import { CallerGroups, Groups } from "./groups.ts";
import { type CbId, checkId, CN_NETLINK_USERS, type CnMsgHeader, idText } from "./message.ts";
import { CN_REGISTERED, CN_UNREGISTERED, Notifier } from "./notification.ts";
import {
  CONNECTOR_OPTIONS,
  type ConnectorOptions,
  MESSAGES_OPTIONS,
  type MessagesOptions,
  type RequestManyOptions,
  type RequestOptions,
  SEND_OPTIONS,
  type SendOptions,
} from "./options.ts";
import { showInConsole } from "../wire/inspect.ts";
import { Reader } from "./reader.ts";
import { PendingRequests, request, requestMany, type RequestParts } from "./requests.ts";
import type { LostEvent } from "../lost_event.ts";
import type { ReceivedMessage } from "./sender.ts";
import { type ConnectorStats, Counters } from "./stats.ts";
import { Streams } from "./streams.ts";
import { UntrustedSenders } from "./untrusted_senders.ts";
import { givenTarget, Writer } from "./writer.ts";

const ACTION = "use the connector";

const DEFAULT_RECEIVE_BUFFER_BYTES = 4 << 20;

let create: (system: System, options: ConnectorOptions) => Connector;
let getClosing: (connector: Connector) => Closing;

/**
 * A socket on the connector's bus: it has callbacks for identifiers, sends messages and requests, and streams what it
 * receives. It is open until it is closed. From the first time that it waits for a message it keeps the program alive,
 * unless {@linkcode Connector.unref} was called.
 */
export class Connector implements AsyncDisposable {
  readonly #options: ConnectorOptions;
  readonly #receiveBufferBytes: ConnectorStats["receiveBufferBytes"];
  readonly #socket: NetlinkSocket;
  readonly #counters: Counters = new Counters();
  readonly #errors: ErrorReporter;
  readonly #untrusted: UntrustedSenders;
  readonly #groups: Groups;
  readonly #callerGroups: CallerGroups;
  readonly #reader: Reader;
  readonly #writer: Writer;
  readonly #pending: PendingRequests;
  readonly #requestParts: RequestParts;
  readonly #callbacks: CallbackRegistry;
  readonly #streams: Streams;
  readonly #notifier: Notifier | undefined;
  readonly #closing: Closing = new Closing();
  readonly #onAbort = (): void => this.#end(this.#options.signal!.reason);
  #isDraining = false;

  static {
    create = (system, options) => new Connector(system, options);
    getClosing = (connector) => connector.#closing;
    showInConsole(Connector.prototype, "Connector", (connector) => ({
      port: connector.port,
      ...connector.stats(),
    }));
  }

  private constructor(system: System, options: ConnectorOptions) {
    checkOptions(options, CONNECTOR_OPTIONS, ACTION);
    options.signal?.throwIfAborted();
    const { latencyMs = 0, receiveBufferBytes = DEFAULT_RECEIVE_BUFFER_BYTES, credentials = false } = options;
    const asked = clampReceiveBuffer(system.libc, receiveBufferBytes, ACTION);
    this.#options = options;
    const counters = this.#counters;
    const errors = this.#errors = new ErrorReporter(counters, options.onError);
    const untrusted = this.#untrusted = new UntrustedSenders(system.libc);
    const socket = this.#socket = NetlinkSocket.open(system.libc, ACTION);
    try {
      socket.disableOverrunErrors();
      if (credentials) socket.passCredentials();
      this.#receiveBufferBytes = { asked, granted: socket.setReceiveBuffer(asked) };
      this.#reader = new Reader(system, socket, { action: ACTION, credentials, latencyMs }, counters);
    } catch (error) {
      socket.close();
      throw error;
    }
    const reader = this.#reader;
    const writer = this.#writer = new Writer(system.libc, socket);
    const groups = this.#groups = new Groups(socket);
    this.#callerGroups = new CallerGroups(groups);
    const callbacks = this.#callbacks = new CallbackRegistry(groups);
    const pending = this.#pending = new PendingRequests(options.firstSeq);
    const checkOpen = (action: string): void => this.#checkOpen(action);
    const requestParts = this.#requestParts = { checkOpen, pending, writer, reader, counters, errors };
    const streams = this.#streams = new Streams(groups, () => reader.pump());
    const notifier = this.#notifier = options.announce === true
      ? new Notifier({ callbacks, groups, pending, writer, system })
      : undefined;
    const dispatcher = new Dispatcher({
      ...{ pending, callbacks, streams, notifier, counters, untrusted, errors },
      trust: options.trust,
      kernelServes: (id) => writer.kernelServes(id),
      replyTo: (message) => replyTo(message, requestParts),
    });
    reader.receiveFor({
      isWaiting: () => this.#isWaiting(),
      onBatch: () => streams.beginBatch(),
      onMessage: (message, from) => dispatcher.dispatch(message, from),
      onLost: (count) => streams.pushLoss(count),
      onDrained: () => this.#end(undefined),
      onFailure: (error) => this.#end(error),
    });
    options.signal?.addEventListener("abort", this.#onAbort, { once: true });
  }

  /** Our own port, which others see as the sender of our messages. */
  get port(): number {
    return this.#socket.port;
  }

  /**
   * Resolves when it is closed. Rejects with the reason of its signal, or the error that keeps it from receiving.
   */
  get closed(): Promise<void> {
    return this.#closing.promise;
  }

  /**
   * Calls `callback` with every message for an identifier, as the kernel's `cn_add_callback`. The connector joins the
   * group whose number is `id.idx`. There is no such group above 32: then only messages to our own port arrive.
   *
   * Messages are handed over in order, and asynchronous callbacks are not waited for. What a callback throws or rejects
   * with goes to `onError`.
   *
   * @param name for people.
   * @throws {SyscallError} EINVAL if the identifier has a callback already, EPERM if the group may not be joined.
   * @throws {UnsupportedError} For the kernel's identifiers in a network namespace without the kernel's side.
   */
  addCallback(id: CbId, name: string, callback: Callback): void {
    checkId(id, "id", "add a callback");
    const action = `add a callback for ${idText(id)}`;
    checkString(name, "name", action);
    checkFunction(callback, "callback", action);
    this.#checkOpen(action);
    this.#checkHasSender(id.idx, action);
    this.#callbacks.add(id, name, callback);
    this.#notifier?.start();
    this.#notifier?.announce(id, CN_REGISTERED);
    this.#reader.pump();
  }

  /** Removes a callback, as `cn_del_callback`. Returns false if there is none. */
  delCallback(id: CbId): boolean {
    checkId(id, "id", "remove a callback");
    if (this.#closing.isOver || !this.#callbacks.delete(id)) return false;
    this.#notifier?.announce(id, CN_UNREGISTERED);
    if (this.#callbacks.size === 0) this.#notifier?.stop();
    return true;
  }

  /** The callbacks that are registered. */
  callbacks(): readonly RegisteredCallback[] {
    return this.#callbacks.list();
  }

  /**
   * Sends one message, as the kernel's `cn_netlink_send`: to a port, to a group, or, if neither is given, to the group
   * of the identifier's callback. We receive no copy of what we send to a group.
   *
   * @returns The numbers that it was sent with.
   * @throws {SyscallError} ENODEV if neither is given and the identifier has no callback here, or if it is for the
   * kernel, which does not serve the identifier; ESRCH if the group has no members; ECONNREFUSED if nobody has the port;
   * EPERM if sending to programs is not permitted; EAGAIN if the receiver has no room.
   * @throws {RangeError} If the payload is longer than the kernel (16,364 bytes) or a message (65,535 bytes) takes.
   */
  send(id: CbId, data: Uint8Array, options: SendOptions = {}): Pick<CnMsgHeader, "seq" | "ack"> {
    checkId(id, "id", "send");
    const action = `send to ${idText(id)}`;
    checkBytes(data, "data", action);
    checkOptions(options, SEND_OPTIONS, action);
    this.#checkOpen(action);
    const target = givenTarget(options, action) ?? this.#callbacks.targetOf(id, action);
    const message = this.#pending.message(id, data, options);
    this.#writer.send(message, target, action);
    return { seq: message.seq, ack: message.ack };
  }

  /**
   * Sends a request and waits for its reply: a message of the same identifier and sequence number with the acknowledge
   * number plus one, from the port that the request went to. If neither port nor group is given, it goes to the kernel
   * if that serves the identifier, and otherwise to the group whose number is `id.idx`, where the first reply of any
   * trusted sender counts.
   *
   * @throws {TimeoutError} If there is no reply in time.
   * @throws As {@linkcode send}, and the reason of the signal.
   */
  async request(id: CbId, data: Uint8Array, options: RequestOptions = {}): Promise<ReceivedMessage> {
    return await request(this.#requestParts, id, data, options);
  }

  /**
   * Sends a request and yields all replies, until `timeoutMs` is over, or `count` replies have come, or `until` returns
   * true for one. The end of the time is no error.
   *
   * @throws As {@linkcode send}, at once; the iteration throws the reason of the signal.
   */
  requestMany(id: CbId, data: Uint8Array, options: RequestManyOptions = {}): AsyncStream<ReceivedMessage> {
    return requestMany(this.#requestParts, id, data, options);
  }

  /**
   * The new messages, which are no replies, whether they have a callback or not; and `lost` events where some are
   * missing. It has what arrives from the call on, before the first `next` as well.
   *
   * If the stream is not read, the kernel's receive buffer fills up. Where callbacks or requests need the socket to be
   * read all the same, messages for which this stream has no room are lost to it.
   *
   * @throws {SyscallError} EPERM if a group may not be joined.
   * @throws {UnsupportedError} For the kernel's groups in a network namespace without the kernel's side.
   */
  messages(options: MessagesOptions = {}): AsyncStream<ReceivedMessage | LostEvent> {
    checkOptions(options, MESSAGES_OPTIONS, "read messages");
    this.#checkOpen("read messages");
    for (const group of options.groups ?? []) this.#checkHasSender(group, `read messages of group ${group}`);
    return this.#streams.open(options);
  }

  /**
   * Joins a group by its number, 1 to 32. Each join needs a leave of its own.
   *
   * @throws {SyscallError} EPERM if it may not be joined: without CAP_NET_ADMIN kernels from 6.6 on allow the odd
   * groups, older ones none.
   */
  join(group: number): void {
    this.#checkOpen("join a group");
    this.#callerGroups.join(group);
  }

  /** Takes one {@linkcode join} back. Returns false if there is none: callbacks and streams leave their groups themselves. */
  leave(group: number): boolean {
    this.#checkOpen("leave a group");
    return this.#callerGroups.leave(group);
  }

  /** The numbers of the groups that the connector is in, by the kernel's account: also those of callbacks and streams. */
  groups(): number[] {
    this.#checkOpen("list the groups");
    return this.#groups.list();
  }

  /** The counters as they are now. */
  stats(): ConnectorStats {
    return {
      ...this.#counters,
      untrustedSenders: this.#untrusted.list(),
      sent: this.#writer.sent,
      inFlight: this.#pending.size,
      wakeUps: this.#reader.wakeUps,
      receiveBufferBytes: this.#receiveBufferBytes,
    };
  }

  /**
   * Lets the program end while the connector waits for messages. They are received as before while something else keeps
   * the program alive, as a request does until its reply.
   */
  unref(): this {
    this.#reader.keepAlive(false);
    return this;
  }

  /** Keeps the program alive again while the connector waits for messages, as it does at first. */
  ref(): this {
    this.#reader.keepAlive(true);
    return this;
  }

  /**
   * Lets nothing more into the receive queue, hands out what is in it, and then closes the connector. Streams end when
   * they have been read; {@linkcode close} discards the queue.
   *
   * @returns As {@linkcode closed}.
   */
  drain(): Promise<void> {
    if (!this.#closing.isOver && !this.#isDraining) {
      this.#isDraining = true;
      try {
        this.#reader.drain();
      } catch (error) {
        this.#end(error);
      }
    }
    return this.closed;
  }

  /**
   * Removes all callbacks and releases everything. Streams end when what they hold has been read, and requests reject
   * with a ClosedError.
   */
  close(): Promise<void> {
    this.#end(undefined);
    return Promise.resolve();
  }

  /** As {@linkcode close}. */
  [Symbol.asyncDispose](): Promise<void> {
    return this.close();
  }

  #checkOpen(action: string): void {
    if (this.#closing.isOver) throw new ClosedError(action);
  }

  /** If only the kernel is trusted, it must be there, or nothing could ever be received. */
  #checkHasSender(idx: number, action: string): void {
    const { trust } = this.#options;
    if (trust === "kernel" || (trust === undefined && idx < CN_NETLINK_USERS)) {
      this.#writer.checkHasKernel(action);
    }
  }

  #isWaiting(): boolean {
    return this.#callbacks.size > 0 || this.#pending.size > 0 || this.#streams.haveRoom ||
      (this.#isDraining && this.#streams.size === 0);
  }

  #end(error: unknown): void {
    if (this.#closing.isOver) return;
    for (const { id } of this.#callbacks.list()) {
      try {
        this.delCallback(id);
      } catch {
        // The socket may be broken: it is closed below.
      }
    }
    const waiting = this.#streams.size + this.#pending.size;
    this.#options.signal?.removeEventListener("abort", this.#onAbort);
    const isKnown = this.#closing.end(error);
    this.#streams.end(error);
    this.#pending.endAll(error ?? new ClosedError("get an answer"));
    this.#reader.close();
    this.#socket.close();
    // Otherwise all that one would notice is that callbacks are no longer called.
    if (error === undefined || this.#options.signal?.aborted === true || waiting > 0 || isKnown) return;
    this.#errors.report(error, { operation: "the connector" });
  }
}

/** The end of a connector. */
export function closingOf(connector: Connector): Closing {
  return getClosing(connector);
}

/** Opens a connector on a given system. */
export function openConnectorOn(system: System, options: ConnectorOptions = {}): Connector {
  return create(system, options);
}

/**
 * Opens a socket on the connector's bus: for callbacks, messages, requests and streams of any identifier.
 *
 * @throws {UnsupportedError} If the kernel has no connector, or libc cannot be called.
 * @example A service and its client, which would be two programs
 * ```ts
 * import assert from "node:assert/strict";
 * import { openConnector } from "kernel-connector";
 *
 * const thermostat = { idx: 24, val: 1 };
 * await using service = await openConnector();
 * service.addCallback(thermostat, "thermostat", (message, reply) => reply(message.data.toReversed()));
 *
 * await using client = await openConnector();
 * const answer = await client.request(thermostat, new Uint8Array([1, 2, 3]), { timeoutMs: 500 });
 * assert.deepEqual([...answer.data], [3, 2, 1]);
 * assert.equal(answer.from.port, service.port);
 * ```
 */
export async function openConnector(options: ConnectorOptions = {}): Promise<Connector> {
  return create(await openSystem("open the connector"), options);
}
