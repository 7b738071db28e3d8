import type { Machine } from "../../ffi/libc.ts";
import { DecodeError } from "../errors/decode_error.ts";
import { ERRNO } from "../errors/errno.ts";
import { SyscallError } from "../errors/syscall_error.ts";
import { TimeoutError } from "../errors/timeout_error.ts";
import { KERNEL_PORT } from "../netlink/address.ts";
import { decodeNlmsghdr, NLMSGHDR } from "../netlink/message.ts";
import { affordableBuffer } from "../netlink/receive_buffer.ts";
import { Receiver } from "../netlink/receiver.ts";
import { ReceiveRing, UNKNOWN_PORT } from "../netlink/ring.ts";
import { NetlinkSocket } from "../netlink/socket.ts";
import { Announcer } from "./announcer.ts";
import { holdConversation, type Outcome } from "./asking.ts";
import { believes } from "./belief.ts";
import { type Callback, CallbackRegistry, type RegisteredCallback, type Reply } from "./callbacks.ts";
import { ClosedError } from "./closed_error.ts";
import { Conversations } from "./conversations.ts";
import { checkGroup, Groups } from "./groups.ts";
import { checkId, checkU16, checkU32, idText, sameId } from "./identifier.ts";
import { Inbox } from "./inbox.ts";
import {
  type CbId,
  CN_MSG,
  type CnMsg,
  type CnMsgHeader,
  decodeCnMsg,
  MAX_DATAGRAM_BYTES,
} from "./message.ts";
import type {
  ConnectorOptions,
  MessagesOptions,
  RequestManyOptions,
  RequestOptions,
  SendOptions,
  SentNumbers,
} from "./options.ts";
import { type ConnectorStats, Counters } from "./stats.ts";
import { CONNECTOR_ID, NOTIFY_GROUP } from "./notification.ts";
import { type LostMessages, type ReceivedMessage, type Sender, senderOf } from "./received.ts";
import { type Target, Transmission } from "./transmission.ts";

const ACTION = "use the connector";

/** Each can hold the largest datagram, and takes memory only as far as it was ever filled. */
const SLOTS = 32;

const DEFAULT_RECEIVE_BUFFER_BYTES = 4 << 20;
const DEFAULT_TIMEOUT_MS = 1000;
const DEFAULT_INBOX_MESSAGES = 1024;

/**
 * An agent on the connector's bus: it has callbacks for identifiers, sends, holds conversations, and reads what comes.
 * One socket carries it all. It is open until it is closed, and keeps the program alive from the first time on that it
 * has to wait for a message.
 */
export class Connector implements AsyncDisposable {
  readonly #machine: Machine;
  readonly #options: ConnectorOptions;
  readonly #socket: NetlinkSocket;
  readonly #ring: ReceiveRing;
  readonly #receiver: Receiver;
  readonly #groups: Groups;
  readonly #transmission: Transmission;
  readonly #conversations: Conversations;
  readonly #callbacks: CallbackRegistry = new CallbackRegistry();
  readonly #inboxes = new Set<Inbox<ReceivedMessage | LostMessages>>();
  readonly #announcer: Announcer;
  readonly #bufferBytes: { readonly asked: number; readonly granted: number };
  readonly #onAbort = (): void => this.#end(this.#options.signal!.reason);
  #forgetLeaving: (() => void) | undefined;
  readonly #count: Counters = new Counters();
  #drops: number;
  #announcing = false;
  #pumping = false;
  #lookDue = false;
  #closed = false;
  #endedWith: { readonly error: unknown } | undefined;
  readonly #atEnd: ((error: unknown) => void)[] = [];

  /** Use {@linkcode openConnector}. */
  constructor(machine: Machine, options: ConnectorOptions = {}) {
    options.signal?.throwIfAborted();
    const { latencyMs = 0, firstSeq } = options;
    if (!(latencyMs >= 0 && latencyMs <= 1000)) {
      throw new RangeError(`Cannot ${ACTION}: latencyMs must be 0 to 1000, and is ${latencyMs}`);
    }
    if (firstSeq !== undefined) checkU32(firstSeq, "firstSeq", ACTION);
    const { receiveBufferBytes = DEFAULT_RECEIVE_BUFFER_BYTES } = options;
    const asked = affordableBuffer(machine.libc, receiveBufferBytes, ACTION);
    this.#machine = machine;
    this.#options = options;
    this.#ring = new ReceiveRing(machine.libc, SLOTS, MAX_DATAGRAM_BYTES, options.credentials ?? false);
    const socket = NetlinkSocket.open(machine.libc, ACTION);
    try {
      socket.disableOverrunErrors();
      if (options.credentials) socket.passCredentials();
      this.#bufferBytes = { asked, granted: socket.setReceiveBuffer(asked) };
      this.#drops = socket.drops();
    } catch (error) {
      socket.close();
      throw error;
    }
    this.#socket = socket;
    this.#groups = new Groups(socket);
    this.#transmission = new Transmission(machine.libc, socket);
    this.#conversations = new Conversations(firstSeq);
    this.#announcer = new Announcer((id, numbers, to) => {
      const action = `announce ${idText(id)}`;
      this.#transmission.send(this.#message(id, new Uint8Array(), numbers, action), to, action);
    }, () => this.#callbacks.list());
    this.#receiver = new Receiver(machine, socket, this.#ring, ACTION, () => latencyMs);
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
   */
  addCallback(id: CbId, name: string, callback: Callback): void {
    const action = `add a callback for ${idText(id)}`;
    this.#wantOpen(action);
    const group = id.idx >= 1 && id.idx <= 32 ? id.idx : 0;
    this.#callbacks.add({ id: { idx: id.idx, val: id.val }, name, callback, group });
    try {
      if (group !== 0) this.#groups.join(group);
    } catch (error) {
      this.#callbacks.delete(id);
      throw error;
    }
    this.#startAnnouncing();
    this.#announcer.registered(id);
    this.#pump();
  }

  /** Takes a callback back, as `cn_del_callback`. False where there was none. */
  delCallback(id: CbId): boolean {
    const registration = this.#callbacks.get(id);
    if (registration === undefined || this.#closed) return false;
    this.#callbacks.delete(id);
    if (registration.group !== 0) this.#groups.leave(registration.group);
    this.#announcer.unregistered(id);
    if (this.#announcing && this.#callbacks.size === 0) {
      this.#announcing = false;
      this.#forgetLeaving?.();
      this.#groups.leave(NOTIFY_GROUP);
    }
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
    const action = `send to ${idText(id)}`;
    this.#wantOpen(action);
    const target = this.#target(id, options, action);
    const message = this.#message(id, data, options, action);
    this.#transmission.send(message, target, action);
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
    const { promise, resolve, reject } = Promise.withResolvers<ReceivedMessage>();
    const timeoutMs = options.timeoutMs ?? DEFAULT_TIMEOUT_MS;
    const stop = this.#converse(id, data, options, {
      onReply: (message) => {
        stop(true);
        resolve(message);
      },
      onTimeout: () => reject(new TimeoutError(`get an answer from ${idText(id)}`, timeoutMs)),
      onEnd: reject,
    });
    return await promise;
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
  ): AsyncIterableIterator<ReceivedMessage, undefined> & AsyncDisposable {
    const { count = Infinity, until } = options;
    let stop = (_answered: boolean): void => {};
    let got = 0;
    const onClose = (): void => stop(got > 0);
    const inbox = new Inbox<ReceivedMessage>(
      Infinity,
      () => true,
      { onDemand: () => {}, onClose },
      undefined,
    );
    stop = this.#converse(id, data, options, {
      onReply: (message) => {
        got++;
        inbox.offer(message);
        if (got >= count || this.#guard("until", () => until?.(message)) === true) inbox.close();
      },
      onTimeout: () => inbox.close(),
      onEnd: (error) => inbox.fail(error),
    });
    return inbox;
  }

  /**
   * The new messages, which are no replies, whether a callback has them too or not; and `lost` events where some are
   * missing. It is open from the call on: nothing that arrives before the first `next` is missed.
   *
   * A reader that does not come back for more lets the kernel's buffer fill up. Where callbacks or conversations need
   * the socket to be read all the same, what this reader has no room for is lost to it.
   *
   * @throws {SyscallError} EPERM when a group may not be joined.
   */
  messages(
    options: MessagesOptions = {},
  ): AsyncIterableIterator<ReceivedMessage | LostMessages, undefined> & AsyncDisposable {
    this.#wantOpen("read messages");
    const { groups, signal, limit = DEFAULT_INBOX_MESSAGES } = options;
    if (!(limit >= 1)) throw new RangeError(`Cannot read messages: limit must be 1 or more, and is ${limit}`);
    const joined: number[] = [];
    const leave = (): void => {
      for (const group of joined) if (!this.#closed) this.#groups.leave(group);
    };
    const wanted = groups === undefined ? undefined : new Set(groups);
    const inbox = new Inbox<ReceivedMessage | LostMessages>(
      limit,
      (message) => wanted === undefined || wanted.has(message.from.group),
      {
        onDemand: () => this.#pump(),
        onClose: () => {
          this.#inboxes.delete(inbox);
          leave();
        },
      },
      signal,
    );
    try {
      for (const group of wanted ?? []) {
        this.#groups.join(group);
        joined.push(group);
      }
    } catch (error) {
      inbox.close();
      throw error;
    }
    this.#inboxes.add(inbox);
    return inbox;
  }

  /**
   * Joins a group by its number, 1 to 32. Each join wants its own leave.
   *
   * @throws {SyscallError} EPERM when it may not be joined: without CAP_NET_ADMIN kernels from 6.6 on allow the odd
   * groups, older ones none.
   */
  join(group: number): void {
    this.#wantOpen(`join group ${group}`);
    this.#groups.join(group);
  }

  /** Takes one join back. False where there is none. */
  leave(group: number): boolean {
    this.#wantOpen(`leave group ${group}`);
    return this.#groups.leave(group);
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
      sent: this.#transmission.sent,
      inFlight: this.#conversations.size,
      wakeUps: this.#receiver.wakeUps,
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
      this.#atEnd.push((error) => error === undefined ? resolve() : reject(error));
    });
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

  #startAnnouncing(): void {
    if (this.#announcing || this.#options.announce === false) return;
    try {
      this.#groups.join(NOTIFY_GROUP);
      this.#announcing = true;
      this.#forgetLeaving = this.#machine.atLeaving({
        leave: () => this.#callbacks.list().forEach(({ id }) => this.#announcer.unregistered(id)),
        stay: () => this.#callbacks.list().forEach(({ id }) => this.#announcer.registered(id)),
      });
    } catch (error) {
      // Who may not join may have callbacks all the same.
      if (!(error instanceof SyscallError)) throw error;
    }
  }

  // --- sending

  #wantOpen(action: string): void {
    if (this.#closed) throw new ClosedError(action);
  }

  #target(id: CbId, options: SendOptions, action: string): Target {
    const { port, group = 0 } = options;
    if (port !== undefined) {
      if (group !== 0) throw new TypeError(`Cannot ${action}: it goes to a port or to a group, not to both`);
      checkU32(port, "port", action);
      return { port };
    }
    if (group !== 0) {
      checkGroup(group, "send to");
      return { group };
    }
    const registration = this.#callbacks.get(id);
    if (registration === undefined || registration.group === 0) {
      const advice =
        "the identifier has no callback here, so it has no group: say whom it is for, { port: 0 } being " +
        "the kernel and { group } everybody in a group";
      throw new SyscallError(action, "cn_netlink_send", ERRNO.ENODEV!, advice);
    }
    return { group: registration.group };
  }

  #message(id: CbId, data: Uint8Array, options: SendOptions, action: string): CnMsg {
    checkId(id, action);
    const { seq, ack, flags = 0 } = options;
    if (seq !== undefined) checkU32(seq, "seq", action);
    if (ack !== undefined) checkU32(ack, "ack", action);
    checkU16(flags, "flags", action);
    return {
      id,
      seq: seq ?? this.#conversations.takeSeq(),
      ack: ack ?? this.#conversations.drawAck(),
      flags,
      data,
    };
  }

  #replyTo(message: ReceivedMessage): Reply {
    return (data, options = {}) => {
      const action = `answer ${idText(message.id)}`;
      this.#wantOpen(action);
      const { seq = message.seq, ack = (message.ack + 1) >>> 0, flags } = options;
      const answer = this.#message(message.id, data, { seq, ack, flags }, action);
      this.#transmission.send(answer, { port: message.from.port }, action);
    };
  }

  // --- conversations

  /** Sends a question and waits for what comes of it. Answers what ends the waiting. */
  #converse(
    id: CbId,
    data: Uint8Array,
    options: RequestOptions,
    handlers: Outcome,
  ): (answered: boolean) => void {
    const action = `ask ${idText(id)}`;
    this.#wantOpen(action);
    const { timeoutMs = DEFAULT_TIMEOUT_MS, retries = 0, signal } = options;
    const isReply = options.isReply &&
      ((header: CnMsgHeader): boolean => this.#guard("isReply", () => options.isReply!(header)) === true);
    signal?.throwIfAborted();
    const target = this.#questionTarget(id, options, action);
    const message = this.#message(id, data, options, action);
    const port = "port" in target ? target.port : undefined;
    const stop = holdConversation(this.#conversations, {
      message,
      port,
      action,
      isReply,
      timeoutMs,
      retries,
      signal,
      trySend: (message) => this.#transmission.trySend(message, target, action),
      drain: () => this.#drain(),
      onRepeat: () => this.#count.repeats++,
      ...handlers,
    });
    // The kernel answers inside of the send: no need to be woken for that.
    if (port === KERNEL_PORT) this.#lookSoon();
    else this.#pump();
    return stop;
  }

  #questionTarget(id: CbId, options: SendOptions, action: string): Target {
    if (options.port !== undefined || (options.group ?? 0) !== 0) return this.#target(id, options, action);
    if (this.#transmission.kernelServesNow(id)) return { port: KERNEL_PORT };
    if (id.idx >= 1 && id.idx <= 32) return { group: id.idx };
    const advice =
      "the kernel does not serve the identifier, and it has no group: say whom to ask, { port } or { group }";
    throw new SyscallError(action, "cn_netlink_send", ERRNO.ENODEV!, advice);
  }

  // --- receiving

  /** Whether somebody needs the socket to be read now. */
  #needed(): boolean {
    if (this.#closed) return false;
    if (this.#callbacks.size > 0 || this.#conversations.size > 0) return true;
    for (const inbox of this.#inboxes) if (!inbox.full) return true;
    return false;
  }

  /** Looks once, after what runs now; then waits as long as it takes. */
  #lookSoon(): void {
    if (this.#lookDue) return;
    this.#lookDue = true;
    const look = (): void => {
      this.#lookDue = false;
      this.#drain();
      this.#pump();
    };
    // Questions to the kernel are answered at once: who asks on and on would leave the event loop no turn.
    if (this.#receiver.owesTurn) void this.#receiver.turn().then(look);
    else queueMicrotask(look);
  }

  #pump(): void {
    if (this.#pumping || !this.#needed()) return;
    this.#pumping = true;
    // Not within the call that asks for it: nobody's callback runs inside of an `addCallback` or a `request`.
    Promise.resolve().then(() => this.#receiveWhileNeeded()).then(
      () => {
        this.#pumping = false;
        this.#pump();
      },
      (error) => {
        this.#pumping = false;
        this.#end(error);
      },
    );
  }

  async #receiveWhileNeeded(): Promise<void> {
    while (this.#needed()) {
      const count = this.#take();
      if (this.#receiver.owesTurn) await this.#receiver.turn();
      if (count === 0) await this.#receiver.wait();
    }
  }

  /** Takes what is queued, without waiting. */
  #drain(): void {
    try {
      for (let looks = 0; looks < 100 && this.#needed(); looks++) if (this.#take() === 0) return;
    } catch (error) {
      this.#end(error);
    }
  }

  /** One look into the socket. Answers how many datagrams there were. */
  #take(): number {
    const count = this.#receiver.receive();
    this.#count.received += count;
    for (let i = 0; i < count && !this.#closed; i++) this.#decode(i);
    // Behind the last queued datagram stand those that found no room.
    if (count < SLOTS && !this.#closed) this.#settle(this.#socket.drops());
    return count;
  }

  #settle(drops: number): void {
    if (drops === this.#drops) return;
    const lost = (drops - this.#drops) >>> 0;
    this.#drops = drops;
    this.#count.lost += lost;
    for (const inbox of this.#inboxes) inbox.lose(lost, "kernel");
  }

  /** Datagram `i`: one netlink message, as the kernel too looks at the first only, and in it one message or several. */
  #decode(i: number): void {
    const ring = this.#ring;
    const from = senderOf(ring, i);
    if (ring.truncated(i) || from.port === UNKNOWN_PORT) {
      this.#count.malformed++;
      return;
    }
    const { view } = ring;
    const start = ring.at(i);
    try {
      const end = start + decodeNlmsghdr(view, start, ring.end(i)).len;
      let at = start + NLMSGHDR.SIZE;
      do {
        const message = decodeCnMsg(view, at, end);
        at += CN_MSG.SIZE + message.data.length;
        this.#count.messages++;
        this.#dispatch(message, from);
        if (this.#closed) return;
      } while (end - at >= CN_MSG.SIZE);
    } catch (error) {
      if (!(error instanceof DecodeError)) throw error;
      this.#count.malformed++;
    }
  }

  /** `message` lies in the ring: whoever keeps it gets a copy. */
  #dispatch(message: CnMsg, from: Sender): void {
    if (isStray(message)) {
      this.#count.stray++;
      return;
    }
    if (!this.#believes(from, message.id)) {
      this.#count.disbelieved++;
      return;
    }
    let copy: ReceivedMessage | undefined;
    const read = (): ReceivedMessage =>
      copy ??= { type: "message", ...message, data: message.data.slice(), from };
    switch (this.#conversations.take(message, from, read)) {
      case "reply":
        this.#count.replies++;
        return;
      case "late":
        this.#count.late++;
        return;
      case "duplicate":
        this.#count.duplicates++;
        return;
      case "forged":
        this.#count.forged++;
        return;
      case "new":
        this.#handOut(message.id, from, read);
    }
  }

  #handOut(id: CbId, from: Sender, read: () => ReceivedMessage): void {
    const registration = this.#callbacks.get(id);
    if (this.#announcing) {
      if (registration === undefined && sameId(id, CONNECTOR_ID) && this.#announcer.take(read())) return;
      // In this group for the sake of requests only, we overhear what others announce.
      if (from.group === NOTIFY_GROUP && this.#groups.wanted(NOTIFY_GROUP) === 1) return;
    }
    let takers = 0;
    // Each has bytes of its own.
    const copy = (): ReceivedMessage => takers === 0 ? read() : { ...read(), data: read().data.slice() };
    for (const inbox of this.#inboxes) if (inbox.offer(copy())) takers++;
    const message = registration === undefined ? undefined : copy();
    if (message === undefined && takers === 0) this.#count.unclaimed++;
    if (message === undefined || registration === undefined) return;
    const failed = `the callback ${JSON.stringify(registration.name)} for ${idText(id)}`;
    const result = this.#guard(failed, () => registration.callback(message, this.#replyTo(message)));
    if (isThenable(result)) result.then(undefined, (error) => this.#report(error, failed));
  }

  #believes(from: Sender, id: CbId): boolean {
    const { believe } = this.#options;
    return this.#guard(
      "believe",
      () => believes(believe, from, id, (kernelId) => this.#transmission.kernelServes(kernelId)),
    ) === true;
  }

  /** Runs what is not ours: what it throws is reported and gives undefined. */
  #guard<T>(failed: string, run: () => T): T | undefined {
    try {
      return run();
    } catch (error) {
      this.#report(error, failed);
      return undefined;
    }
  }

  #report(error: unknown, failed: string): void {
    this.#count.failures++;
    const { onError } = this.#options;
    try {
      if (onError !== undefined) return onError(error, failed);
    } catch (second) {
      console.error("kernel-connector: onError failed:", second);
    }
    console.error(`kernel-connector: ${failed} failed:`, error);
  }

  /** Closes; with an error where it is one, else in peace. */
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
    const waiting = this.#inboxes.size + this.#conversations.size + this.#atEnd.length;
    for (const inbox of [...this.#inboxes]) {
      if (error === undefined) inbox.close();
      else inbox.fail(error);
    }
    this.#conversations.endAll(error ?? new ClosedError("get an answer"));
    this.#receiver.close();
    this.#socket.close();
    for (const end of this.#atEnd.splice(0)) end(error);
    // Callbacks that are called no more would be all that one saw of it.
    const known = error === undefined || this.#options.signal?.aborted === true;
    if (!known && waiting === 0) this.#report(error, "the connector");
  }
}

/** Some drivers answer a command with an empty header, by mistake. */
function isStray({ id, seq, ack, flags, data }: CnMsg): boolean {
  return id.idx === 0 && id.val === 0 && seq === 0 && ack === 0 && flags === 0 && data.length === 0;
}

function isThenable(value: unknown): value is PromiseLike<unknown> {
  return typeof (value as PromiseLike<unknown> | null | undefined)?.then === "function";
}
