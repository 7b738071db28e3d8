import type { System } from "../../ffi/libc.ts";
import { openSystem } from "../system.ts";
import {
  arrayOf,
  checkBoolean,
  checkNumber,
  checkObject,
  checkOptions,
  checkSignal,
  checkU32,
  type OptionChecks,
} from "../errors/arguments.ts";
import { OTHER_NETWORK_NAMESPACE, unsupported } from "../errors/advice.ts";
import { SyscallError } from "../errors/syscall_error.ts";
import { UnsupportedError } from "../errors/unsupported_error.ts";
import { groupMask, KERNEL_PORT } from "../netlink/address.ts";
import { Connector } from "./connector.ts";
import { type CbId, idText } from "./message.ts";
import {
  CN_REGISTERED,
  CN_UNREGISTERED,
  CONNECTOR_ID,
  encodeNotifyRequest,
  matches,
  NOTIFY_GROUP,
  type NotifyRange,
} from "./notification.ts";
import { readBusSockets, readKernelIdentifiers } from "./proc_net.ts";
import type { LostMessages, ReceivedMessage } from "./sender.ts";
import type { AsyncStream } from "../stream.ts";

const ACTION = "watch identifiers";
const DEFAULT_POLL_MS = 1000;
const EVERYTHING: readonly NotifyRange[] = [{ first: 0, range: 0xffff_ffff }];

const OPTIONS: OptionChecks<IdentifierWatchOptions> = {
  idx: arrayOf(checkNotifyRange),
  val: arrayOf(checkNotifyRange),
  pollMs: checkNumber,
  agents: checkBoolean,
  signal: checkSignal,
};

function checkNotifyRange(value: unknown, name: string, action: string): void {
  checkObject(value, name, action);
  const { first, range } = value as NotifyRange;
  checkU32(first, `${name}.first`, action);
  checkU32(range, `${name}.range`, action);
}

/** An identifier that came or went. */
export interface IdentifierEvent {
  /** Which of the two. */
  readonly type: "registered" | "unregistered";
  /** The identifier. */
  readonly id: CbId;
  /** Who has it: a driver in the kernel, or a program. */
  readonly where: "kernel" | "agent";
  /** The port of the program that has it; 0 is the kernel. */
  readonly port: number;
  /** The name of the kernel's callback; what programs call theirs is not told. */
  readonly name: string | undefined;
  /** Whether it was there already when the watch, or the program that has it, was first seen. */
  readonly existing: boolean;
}

/** Which identifiers are watched, and how. */
export interface IdentifierWatchOptions {
  /** First halves of the identifiers that are meant. Default: all. */
  readonly idx?: readonly NotifyRange[] | undefined;
  /** Second halves of the identifiers that are meant. Default: all. */
  readonly val?: readonly NotifyRange[] | undefined;
  /**
   * How often the lists of /proc/net are read, in milliseconds, while somebody waits for an event. Default 1000. The
   * kernel's identifiers, programs that are new, and programs that ended without a word, are seen so late.
   */
  readonly pollMs?: number | undefined;
  /** Whether programs are watched, which wants CAP_NET_ADMIN. Default: where that is allowed. */
  readonly agents?: boolean | undefined;
  /** Ends the watch; the signal's reason is thrown. */
  readonly signal?: AbortSignal | undefined;
}

/**
 * Identifiers as they come and go, first those that are there. In the kernel nothing tells of them since 2.6.33, so
 * /proc/net/connector is read again and again. Programs with callbacks, as {@linkcode openConnector} makes them, are
 * asked by the documents' own protocol and tell at once.
 */
export class IdentifierWatch implements AsyncStream<IdentifierEvent> {
  /** Why programs are not watched, where they are not. */
  readonly agentsUnseen: Error | undefined;
  readonly #system: System;
  readonly #idx: readonly NotifyRange[];
  readonly #val: readonly NotifyRange[];
  readonly #pollMs: number;
  readonly #signal: AbortSignal | undefined;
  readonly #bus: Connector | undefined;
  readonly #messages: AsyncIterator<ReceivedMessage | LostMessages, undefined> | undefined;
  readonly #onAbort = (): void => this.#fail(this.#signal!.reason);
  readonly #known = new Map<string, IdentifierEvent>();
  readonly #asked = new Set<number>();
  /** What programs had before messages were lost, and have not said again since. */
  readonly #unconfirmed = new Set<string>();
  #listening = false;
  #events: IdentifierEvent[] = [];
  #nextPollAt = 0;
  #polls = 0;
  #askedAnewAt: number | undefined;
  #closed = false;
  #failure: { readonly error: unknown } | undefined;
  /** The `next` before: as with an async generator each waits for it, so that events go out in order. */
  #before: Promise<unknown> = Promise.resolve();
  /** Ends the pause of the one `next` that waits. */
  #wake: (() => void) | undefined;

  /** Use {@linkcode watchIdentifiers}. */
  constructor(system: System, options: IdentifierWatchOptions = {}) {
    checkOptions(options, OPTIONS, ACTION);
    const { pollMs = DEFAULT_POLL_MS, agents, signal } = options;
    signal?.throwIfAborted();
    if (!(pollMs >= 1 && pollMs < 2 ** 31)) {
      throw new RangeError(`Cannot ${ACTION}: pollMs must be 1 to 2^31 - 1, and is ${pollMs}`);
    }
    this.#system = system;
    this.#idx = options.idx ?? EVERYTHING;
    this.#val = options.val ?? EVERYTHING;
    this.#pollMs = pollMs;
    this.#signal = signal;
    if (agents !== false) {
      try {
        this.#bus = openBus(system);
        this.#messages = this.#bus.messages();
      } catch (error) {
        if (agents === true || !(error instanceof SyscallError || error instanceof UnsupportedError)) {
          throw error;
        }
        this.agentsUnseen = error;
      }
    }
    signal?.addEventListener("abort", this.#onAbort, { once: true });
  }

  /** Why the kernel's identifiers are not seen, where they are not: in other network namespaces than its first. */
  get kernelUnseen(): Error | undefined {
    const { libc } = this.#system;
    const elsewhere = readKernelIdentifiers(libc) === undefined && readBusSockets(libc) !== undefined;
    return elsewhere ? unsupported(ACTION, OTHER_NETWORK_NAMESPACE) : undefined;
  }

  /** The next event. */
  next(): Promise<IteratorResult<IdentifierEvent, undefined>> {
    const result = this.#before.then(() => this.#next());
    this.#before = result.catch(() => {});
    return result;
  }

  async #next(): Promise<IteratorResult<IdentifierEvent, undefined>> {
    while (true) {
      const failure = this.#failure;
      this.#failure = undefined;
      if (failure !== undefined) throw failure.error;
      if (this.#closed) return { value: undefined, done: true };
      const event = this.#events.shift();
      if (event !== undefined) return { value: event, done: false };
      try {
        await this.#look();
      } catch (error) {
        this.close();
        throw error;
      }
    }
  }

  /** Closes the watch: `for await` calls it when it is left early. */
  return(): Promise<IteratorResult<IdentifierEvent, undefined>> {
    this.close();
    return Promise.resolve({ value: undefined, done: true });
  }

  /** The watch itself. */
  [Symbol.asyncIterator](): this {
    return this;
  }

  /** Takes the requests back and releases everything. An iteration that waits ends. */
  close(): void {
    if (this.#closed) return;
    this.#closed = true;
    this.#signal?.removeEventListener("abort", this.#onAbort);
    for (const port of this.#asked) this.#ask(port, 0);
    this.#bus?.close();
    this.#wake?.();
  }

  /** As {@linkcode close}. */
  [Symbol.asyncDispose](): Promise<void> {
    this.close();
    return Promise.resolve();
  }

  #fail(error: unknown): void {
    if (this.#closed) return;
    this.#failure = { error };
    this.close();
  }

  /** Waits until something was heard, or until it is time to read the lists, and reads them. */
  async #look(): Promise<void> {
    const pause = this.#nextPollAt - performance.now();
    if (pause <= 0) {
      this.#nextPollAt = performance.now() + this.#pollMs;
      this.#poll();
      return;
    }
    this.#listen();
    await new Promise<void>((resolve) => {
      const timer = setTimeout(resolve, pause);
      this.#wake = () => {
        clearTimeout(timer);
        resolve();
      };
    });
    this.#wake = undefined;
  }

  /**
   * Takes the next message when it comes, whether somebody waits then or not. No pause waits for its promise: for a
   * quiet bus that lives on and on, and would keep something of each of them.
   */
  #listen(): void {
    if (this.#listening || this.#messages === undefined) return;
    this.#listening = true;
    this.#messages.next().then(({ value }) => {
      if (value === undefined) return; // closed
      this.#listening = false;
      if (value.type === "message") this.#heard(value);
      else this.#askAnew();
      this.#wake?.();
    }).catch((error) => this.#fail(error));
  }

  /** An announcement is empty; it says nothing of others than its sender. */
  #heard({ id, ack, data, from }: ReceivedMessage): void {
    if (data.length !== 0 || from.port === KERNEL_PORT || !matches({ idx: this.#idx, val: this.#val }, id)) {
      return;
    }
    if (ack === CN_REGISTERED) this.#registered(id, from.port, undefined, from.group === 0);
    else if (ack === CN_UNREGISTERED) this.#unregistered(`${from.port} ${idText(id)}`);
  }

  #poll(): void {
    this.#polls++;
    this.#readKernel();
    if (this.#bus !== undefined) this.#readBus(this.#bus.port);
  }

  #readKernel(): void {
    const there = new Set<string>();
    for (const { id, name } of readKernelIdentifiers(this.#system.libc) ?? []) {
      if (!matches({ idx: this.#idx, val: this.#val }, id)) continue;
      there.add(`${KERNEL_PORT} ${idText(id)}`);
      this.#registered(id, KERNEL_PORT, name, this.#polls === 1);
    }
    for (const [key, { where }] of this.#known) {
      if (where === "kernel" && !there.has(key)) this.#unregistered(key);
    }
  }

  #readBus(ownPort: number): void {
    const sockets = readBusSockets(this.#system.libc);
    if (sockets === undefined) return;
    const ports = new Set(sockets.map(({ port }) => port));
    for (const [key, { where, port }] of this.#known) {
      if (where === "agent" && !ports.has(port)) this.#unregistered(key);
    }
    for (const port of this.#asked) if (!ports.has(port)) this.#asked.delete(port);
    if (this.#askedAnewAt !== undefined && this.#polls > this.#askedAnewAt) {
      for (const key of this.#unconfirmed) this.#unregistered(key);
      this.#unconfirmed.clear();
      this.#askedAnewAt = undefined;
    }
    for (const { port, groups } of sockets) {
      if ((groups & groupMask(NOTIFY_GROUP)) === 0 || port === ownPort || this.#asked.has(port)) continue;
      this.#asked.add(port);
      this.#ask(port, NOTIFY_GROUP);
    }
  }

  /** After a loss nothing is certain: at the next look every program is asked anew, and tells what it has. */
  #askAnew(): void {
    for (const [key, { where }] of this.#known) if (where === "agent") this.#unconfirmed.add(key);
    this.#asked.clear();
    this.#askedAnewAt = this.#polls + 1;
    this.#nextPollAt = 0;
  }

  #ask(port: number, group: number): void {
    if (this.#bus === undefined || this.#bus.closed) return;
    try {
      this.#bus.send(CONNECTOR_ID, encodeNotifyRequest({ idx: this.#idx, val: this.#val, group }), { port });
    } catch (error) {
      // It may be gone, or have no room: the next look finds out.
      if (!(error instanceof SyscallError)) throw error;
      this.#asked.delete(port);
    }
  }

  #registered(id: CbId, port: number, name: string | undefined, existing: boolean): void {
    const key = `${port} ${idText(id)}`;
    this.#unconfirmed.delete(key);
    if (this.#known.has(key)) return;
    const where = port === KERNEL_PORT ? "kernel" : "agent";
    const event: IdentifierEvent = { type: "registered", id, where, port, name, existing };
    this.#known.set(key, event);
    this.#events.push(event);
  }

  #unregistered(key: string): void {
    const known = this.#known.get(key);
    if (known === undefined) return;
    this.#known.delete(key);
    this.#events.push({ ...known, type: "unregistered", existing: false });
  }
}

function openBus(system: System): Connector {
  const bus = new Connector(system, { announce: false });
  try {
    bus.join(NOTIFY_GROUP);
    // A question to ourselves shows whether programs may be written to.
    bus.send(CONNECTOR_ID, encodeNotifyRequest({ idx: [], val: [], group: 0 }), { port: bus.port });
    return bus;
  } catch (error) {
    bus.close();
    throw error;
  }
}

/**
 * Watches identifiers coming and going, in the kernel and among the programs on the bus.
 *
 * @throws {UnsupportedError} Where libc cannot be called.
 * @throws {SyscallError} When programs shall be watched (`agents: true`) and may not be: EPERM.
 * @example
 * ```ts
 * import assert from "node:assert/strict";
 * import { openConnector, watchIdentifiers } from "kernel-connector";
 *
 * const id = { idx: 24, val: 2 };
 * await using agent = await openConnector();
 * agent.addCallback(id, "mine", () => {});
 * for await (const event of await watchIdentifiers({ agents: true })) {
 *   if (event.port !== agent.port) continue;
 *   assert.deepEqual(event.id, id);
 *   if (event.type === "unregistered") break;
 *   assert.equal(event.existing, true);
 *   agent.delCallback(id);
 * }
 * ```
 */
export async function watchIdentifiers(options: IdentifierWatchOptions = {}): Promise<IdentifierWatch> {
  return new IdentifierWatch(await openSystem(ACTION), options);
}
