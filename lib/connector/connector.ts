import type { System } from "../../ffi/libc.ts";
import { openSystem } from "../system.ts";
import { checkBytes, checkFunction, checkOptions, checkString } from "../errors/arguments.ts";
import { ClosedError } from "../errors/closed_error.ts";
import { clampReceiveBuffer } from "../netlink/receive_buffer.ts";
import { NetlinkSocket } from "../netlink/socket.ts";
import type { AsyncStream } from "../stream.ts";
import { messageOf, targetOf } from "./addressing.ts";
import { type Callback, CallbackRegistry, type RegisteredCallback, type Reply } from "./callbacks.ts";
import { Dispatcher, ErrorReporter } from "./dispatcher.ts";
import { type CbId, checkId, CN_NETLINK_USERS, idText } from "./message.ts";
import { Notifier } from "./notification.ts";
import {
  CONNECTOR_OPTIONS,
  type ConnectorOptions,
  MESSAGES_OPTIONS,
  type MessagesOptions,
  REPLY_OPTIONS,
  type RequestManyOptions,
  type RequestOptions,
  SEND_OPTIONS,
  type SendOptions,
  type SentNumbers,
} from "./options.ts";
import { Reader } from "./reader.ts";
import { PendingRequests, Requests } from "./requests.ts";
import type { LostMessages, ReceivedMessage } from "./sender.ts";
import { type ConnectorStats, Counters } from "./stats.ts";
import { Streams } from "./streams.ts";
import { UntrustedSenders } from "./untrusted_senders.ts";
import { CallerGroups, Groups, Writer } from "./writer.ts";

const ACTION = "use the connector";

const DEFAULT_RECEIVE_BUFFER_BYTES = 4 << 20;

/**
 * An agent on the connector's bus: it has callbacks for identifiers, sends, holds conversations, and reads what comes.
 * One socket carries it all. It is open until it is closed, and keeps the program alive from the first time on that it
 * has to wait for a message, unless {@linkcode Connector.unref} says that it does not.
 */
export class Connector implements AsyncDisposable {
  readonly #options: ConnectorOptions;
  readonly #socket: NetlinkSocket;
  readonly #reader: Reader;
  readonly #groups: Groups;
  readonly #callerGroups: CallerGroups;
  readonly #writer: Writer;
  readonly #pendingRequests: PendingRequests;
  readonly #callbacks: CallbackRegistry = new CallbackRegistry();
  readonly #requests: Requests;
  readonly #streams: Streams;
  readonly #notifier: Notifier;
  readonly #count: Counters = new Counters();
  readonly #untrusted: UntrustedSenders;
  readonly #failures: ErrorReporter;
  readonly #bufferBytes: { readonly asked: number; readonly granted: number };
  readonly #onAbort = (): void => this.#end(this.#options.signal!.reason);
  #closed = false;
  #endedWith: { readonly error: unknown } | undefined;
  readonly #onEnd = new Set<(error: unknown) => boolean>();

  /** Use {@linkcode openConnector}. */
  constructor(system: System, options: ConnectorOptions = {}) {
    checkOptions(options, CONNECTOR_OPTIONS, ACTION);
    options.signal?.throwIfAborted();
    const { latencyMs = 0, firstSeq, receiveBufferBytes = DEFAULT_RECEIVE_BUFFER_BYTES } = options;
    if (!(latencyMs >= 0 && latencyMs <= 1000)) {
      throw new RangeError(`Cannot ${ACTION}: latencyMs must be 0 to 1000, and is ${latencyMs}`);
    }
    const asked = clampReceiveBuffer(system.libc, receiveBufferBytes, ACTION);
    this.#options = options;
    this.#untrusted = new UntrustedSenders(system.libc);
    this.#failures = new ErrorReporter(this.#count, options.onError);
    this.#pendingRequests = new PendingRequests(firstSeq);
    const socket = NetlinkSocket.open(system.libc, ACTION);
    this.#socket = socket;
    this.#groups = new Groups(socket);
    this.#callerGroups = new CallerGroups(this.#groups);
    this.#writer = new Writer(system.libc, socket);
    this.#requests = new Requests({
      wantOpen: (action) => this.#wantOpen(action),
      pendingRequests: this.#pendingRequests,
      writer: this.#writer,
      reader: () => this.#reader,
      count: this.#count,
      failures: this.#failures,
    });
    this.#streams = new Streams(this.#groups, () => this.#reader.pump());
    this.#notifier = new Notifier(
      (id, numbers, to) => {
        const action = `announce ${idText(id)}`;
        const message = messageOf(id, new Uint8Array(), numbers, this.#pendingRequests);
        this.#writer.send(message, to, action);
      },
      this.#callbacks,
      this.#groups,
      (hook) => system.onExit(hook),
    );
    const delivery = this.#delivery();
    try {
      socket.disableOverrunErrors();
      if (options.credentials) socket.passCredentials();
      this.#bufferBytes = { asked, granted: socket.setReceiveBuffer(asked) };
      const receiving = { action: ACTION, credentials: options.credentials ?? false, latencyMs };
      this.#reader = new Reader(system, socket, receiving, this.#count, {
        needed: () => this.#callbacks.size > 0 || this.#pendingRequests.size > 0 || this.#streams.haveRoom,
        onMessage: (message, from) => delivery.take(message, from),
        onLost: (count) => this.#streams.lose(count),
        onFailure: (error) => this.#end(error),
      });
    } catch (error) {
      socket.close();
      throw error;
    }
    options.signal?.addEventListener("abort", this.#onAbort, { once: true });
  }

  /** Our own port, which others see as the sender of what we send. */
  get port(): number {
    return this.#socket.port;
  }

  /** Whether it was closed, or could receive no more. */
  get closed(): boolean {
    return this.#closed;
  }

  /**
   * Calls `callback` with every message for an identifier, as the kernel's `cn_add_callback`: the connector joins the
   * group whose number is `id.idx`. Where there is no such group, above 32, only messages to our own port arrive.
   *
   * Messages are handed over in order; a callback that is asynchronous is not waited for. What it throws, or rejects
   * with, goes to `onError` and harms nobody else.
   *
   * @param name for people.
   * @throws {SyscallError} EINVAL when the identifier has a callback already, EPERM when the group may not be joined.
   * @throws {UnsupportedError} For the kernel's identifiers in a network namespace where the kernel's side is not.
   */
  addCallback(id: CbId, name: string, callback: Callback): void {
    checkId(id, "id", "add a callback");
    const action = `add a callback for ${idText(id)}`;
    checkString(name, "name", action);
    checkFunction(callback, "callback", action);
    this.#wantOpen(action);
    this.#wantSender(id.idx, action);
    const group = id.idx >= 1 && id.idx <= 32 ? id.idx : 0;
    this.#callbacks.add({ id: { idx: id.idx, val: id.val }, name, callback, group });
    try {
      if (group !== 0) this.#groups.join(group);
    } catch (error) {
      this.#callbacks.delete(id);
      throw error;
    }
    if (this.#options.announce !== false) this.#notifier.start();
    this.#notifier.registered(id);
    this.#reader.pump();
  }

  /** Takes a callback back, as `cn_del_callback`. False where there was none. */
  delCallback(id: CbId): boolean {
    checkId(id, "id", "take a callback back");
    const registration = this.#callbacks.get(id);
    if (registration === undefined || this.#closed) return false;
    this.#callbacks.delete(id);
    if (registration.group !== 0) this.#groups.leave(registration.group);
    this.#notifier.unregistered(id);
    if (this.#callbacks.size === 0) this.#notifier.stop();
    return true;
  }

  /** The callbacks that are registered. */
  callbacks(): readonly RegisteredCallback[] {
    return this.#callbacks.list();
  }

  /**
   * Sends one message, as the kernel's `cn_netlink_send`: to a port, to a group, or, where neither is given, to the
   * group of the identifier's callback. We ourselves get no copy of what we send to a group.
   *
   * @returns The numbers that it was sent with.
   * @throws {SyscallError} ENODEV when neither is given and the identifier has no callback here, or when the kernel is
   * meant and does not serve it; ESRCH when nobody listens to the group; ECONNREFUSED when nobody has the port; EPERM
   * when programs may not be written to; EAGAIN when the receiver has no room.
   * @throws {RangeError} When the payload is longer than the kernel (16,364 bytes) or a message (65,535 bytes) takes.
   */
  send(id: CbId, data: Uint8Array, options: SendOptions = {}): SentNumbers {
    checkId(id, "id", "send");
    const action = `send to ${idText(id)}`;
    checkBytes(data, "data", action);
    checkOptions(options, SEND_OPTIONS, action);
    this.#wantOpen(action);
    const target = targetOf(id, options, this.#callbacks, action);
    const message = messageOf(id, data, options, this.#pendingRequests);
    this.#writer.send(message, target, action);
    return { seq: message.seq, ack: message.ack };
  }

  /**
   * Asks, and waits for the answer: a message of the same identifier and sequence number with the acknowledge number
   * plus one, from the port that was asked. Where neither port nor group is given, the kernel is asked if it serves the
   * identifier, and else the group whose number is `id.idx`: then the first answer of anyone who is believed counts.
   *
   * @throws {TimeoutError} When no answer came in time.
   * @throws As {@linkcode send}, and what the signal gives as its reason.
   */
  async request(id: CbId, data: Uint8Array, options: RequestOptions = {}): Promise<ReceivedMessage> {
    return await this.#requests.one(id, data, options);
  }

  /**
   * Asks, and yields every reply, for as long as `timeoutMs` says, or until `count` replies have come, or `until` says
   * that one was the last. That the time is up is no error.
   *
   * @throws As {@linkcode send}, at once; the iteration throws what the signal gives as its reason.
   */
  requestMany(
    id: CbId,
    data: Uint8Array,
    options: RequestManyOptions = {},
  ): AsyncStream<ReceivedMessage> {
    return this.#requests.many(id, data, options);
  }

  /**
   * The new messages, which are no replies, whether a callback has them too or not; and `lost` events where some are
   * missing. It is open from the call on: nothing that arrives before the first `next` is missed.
   *
   * A reader that does not come back for more lets the kernel's buffer fill up. Where callbacks or conversations need
   * the socket to be read all the same, what this reader has no room for is lost to it.
   *
   * @throws {SyscallError} EPERM when a group may not be joined.
   * @throws {UnsupportedError} For the kernel's groups in a network namespace where the kernel's side is not.
   */
  messages(
    options: MessagesOptions = {},
  ): AsyncStream<ReceivedMessage | LostMessages> {
    checkOptions(options, MESSAGES_OPTIONS, "read messages");
    this.#wantOpen("read messages");
    for (const group of options.groups ?? []) this.#wantSender(group, `read messages of group ${group}`);
    return this.#streams.open(options);
  }

  /**
   * Joins a group by its number, 1 to 32. Each join wants its own leave.
   *
   * @throws {SyscallError} EPERM when it may not be joined: without CAP_NET_ADMIN kernels from 6.6 on allow the odd
   * groups, older ones none.
   */
  join(group: number): void {
    this.#wantOpen("join a group");
    this.#callerGroups.join(group);
  }

  /** Takes one {@linkcode join} back. False where there is none: those of callbacks and streams are their own. */
  leave(group: number): boolean {
    this.#wantOpen("leave a group");
    return this.#callerGroups.leave(group);
  }

  /** The numbers of the groups that the connector is in, as the kernel says: also those of callbacks and streams. */
  groups(): number[] {
    this.#wantOpen("list the groups");
    return this.#groups.list();
  }

  /** Counters of this connector, as they are now. */
  stats(): ConnectorStats {
    return {
      ...this.#count,
      untrustedSenders: this.#untrusted.list(),
      sent: this.#writer.sent,
      inFlight: this.#pendingRequests.size,
      wakeUps: this.#reader.wakeUps,
      receiveBufferBytes: this.#bufferBytes,
    };
  }

  /**
   * Resolves when the connector is closed: what a program waits for that has nothing but callbacks. Rejects with what
   * ended it: the reason of its signal, or what kept it from receiving any more.
   */
  ended(): Promise<void> {
    if (this.#endedWith !== undefined) {
      const { error } = this.#endedWith;
      return error === undefined ? Promise.resolve() : Promise.reject(error);
    }
    return new Promise((resolve, reject) => {
      this.onEnd((error) => {
        if (error === undefined) resolve();
        else reject(error);
        return true;
      });
    });
  }

  /**
   * Calls `listener` at the end, with what {@linkcode ended} rejects with, or undefined. It answers whether somebody
   * learns of it: where nobody does, a failure goes to `onError`.
   *
   * @returns Takes the listener back.
   */
  onEnd(listener: (error: unknown) => boolean): () => void {
    this.#onEnd.add(listener);
    return () => void this.#onEnd.delete(listener);
  }

  /**
   * Lets the program end although the connector waits for messages; they are received as before while something else
   * keeps the program alive, as a request does until it is answered.
   */
  unref(): this {
    this.#reader.keepAlive(false);
    return this;
  }

  /** Keeps the program alive again while the connector waits for messages, as from the start. */
  ref(): this {
    this.#reader.keepAlive(true);
    return this;
  }

  /** Takes all callbacks back and releases everything. What waits ends: streams, and requests by a ClosedError. */
  close(): void {
    this.#end(undefined);
  }

  /** As {@linkcode close}. */
  [Symbol.asyncDispose](): Promise<void> {
    this.close();
    return Promise.resolve();
  }

  #wantOpen(action: string): void {
    if (this.#closed) throw new ClosedError(action);
  }

  /** Where only the kernel is believed, it must be there, or nothing could ever come. */
  #wantSender(idx: number, action: string): void {
    const { trust } = this.#options;
    if (trust === "kernel" || (trust === undefined && idx < CN_NETLINK_USERS)) {
      this.#writer.wantKernel(action);
    }
  }

  #replyTo(message: ReceivedMessage): Reply {
    return (data, options = {}) => {
      const action = `answer ${idText(message.id)}`;
      checkBytes(data, "data", action);
      checkOptions(options, REPLY_OPTIONS, action);
      this.#wantOpen(action);
      const { seq = message.seq, ack = (message.ack + 1) >>> 0, flags } = options;
      const answer = messageOf(message.id, data, { seq, ack, flags }, this.#pendingRequests);
      this.#writer.send(answer, { port: message.from.port }, action);
    };
  }

  #delivery(): Dispatcher {
    return new Dispatcher({
      pendingRequests: this.#pendingRequests,
      callbacks: this.#callbacks,
      streams: this.#streams,
      notifier: this.#notifier,
      count: this.#count,
      untrusted: this.#untrusted,
      failures: this.#failures,
      trust: this.#options.trust,
      kernelServes: (id) => this.#writer.kernelServes(id),
      replyTo: (message) => this.#replyTo(message),
    });
  }

  #end(error: unknown): void {
    if (this.#closed) return;
    for (const { id } of this.#callbacks.list()) {
      try {
        this.delCallback(id);
      } catch {
        // A socket that is broken is left all the same.
      }
    }
    this.#closed = true;
    this.#endedWith = { error };
    this.#options.signal?.removeEventListener("abort", this.#onAbort);
    let waiting = this.#streams.size + this.#pendingRequests.size;
    this.#streams.end(error);
    this.#pendingRequests.endAll(error ?? new ClosedError("get an answer"));
    this.#reader.close();
    this.#socket.close();
    for (const listener of this.#onEnd) if (listener(error)) waiting++;
    this.#onEnd.clear();
    // Callbacks that are called no more would be all that one saw of it.
    const known = error === undefined || this.#options.signal?.aborted === true;
    if (!known && waiting === 0) this.#failures.report(error, "the connector");
  }
}

/**
 * Opens an agent on the connector's bus: for callbacks, messages, conversations and streams of any identifier.
 *
 * @throws {UnsupportedError} Where the kernel has no connector, and where libc cannot be called.
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
  return new Connector(await openSystem("open the connector"), options);
}
