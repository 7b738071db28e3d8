import type { Libc, System } from "../../ffi/libc.ts";
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
import { ClosedError } from "../errors/closed_error.ts";
import { SyscallError } from "../errors/syscall_error.ts";
import { UnsupportedError } from "../errors/unsupported_error.ts";
import { groupMask, KERNEL_PORT } from "../netlink/message.ts";
import { type Connector, openConnectorOn } from "./connector.ts";
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
import type { LostEvent } from "../lost_event.ts";
import type { ReceivedMessage } from "./sender.ts";
import { type AsyncStream, BufferedStream } from "../stream.ts";

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

/** An identifier was registered or unregistered. */
export interface IdentifierEvent {
  /** Which of the two. */
  readonly type: "registered" | "unregistered";
  /** The identifier. */
  readonly id: CbId;
  /** Whose it is: a kernel driver's, or a program's. */
  readonly where: "kernel" | "agent";
  /** The port of the program; 0 is the kernel. */
  readonly port: number;
  /** The name of the kernel's callback. Programs do not announce the names of theirs. */
  readonly name: string | undefined;
  /** Whether it was registered already when the watch, or its program, was first seen. */
  readonly existing: boolean;
}

/** Which identifiers are watched, and how. */
export interface IdentifierWatchOptions {
  /** The `idx` of the identifiers. Default: all. */
  readonly idx?: readonly NotifyRange[] | undefined;
  /** Their `val`. Default: all. */
  readonly val?: readonly NotifyRange[] | undefined;
  /**
   * How often the lists of /proc/net are read while somebody waits for an event, in milliseconds. Default 1000. It takes
   * that long to see the kernel's identifiers, new programs, and programs that ended without an announcement.
   */
  readonly pollMs?: number | undefined;
  /** Whether programs are watched, which requires CAP_NET_ADMIN. Default: if that is permitted. */
  readonly agents?: boolean | undefined;
  /** Closes the watch. The signal's reason is thrown. */
  readonly signal?: AbortSignal | undefined;
}

/**
 * Identifiers as they are registered and unregistered, first those that exist. The kernel has not announced its own
 * since 2.6.33: /proc/net/connector is read again and again. Programs that were opened with `announce: true` are asked
 * by the documented protocol, and announce theirs at once.
 */
export interface IdentifierWatch extends AsyncStream<IdentifierEvent> {
  /** Why programs are not watched, if they are not. */
  readonly agentsUnseen: Error | undefined;
  /** Why the kernel's identifiers are not seen, if they are not: in other network namespaces than its first. */
  readonly kernelUnseen: Error | undefined;
  /** Resolves when it is closed; rejects with what it failed with, or the signal's reason. */
  readonly closed: Promise<void>;
  /** Withdraws the requests to programs and releases everything. An iteration that waits ends. */
  close(): Promise<void>;
}

class PollingWatch extends BufferedStream<IdentifierEvent> implements IdentifierWatch {
  readonly agentsUnseen: Error | undefined;
  readonly #libc: Libc;
  readonly #idx: readonly NotifyRange[];
  readonly #val: readonly NotifyRange[];
  readonly #pollMs: number;
  readonly #bus: Connector | undefined;
  readonly #messages: AsyncStream<ReceivedMessage | LostEvent> | undefined;
  readonly #known = new Map<string, IdentifierEvent>();
  readonly #asked = new Set<number>();
  /** What programs had before messages were lost, and have not announced again since. */
  readonly #unconfirmed = new Set<string>();
  #isReceiving = false;
  #nextPollAt = 0;
  #polls = 0;
  #askedAgainAt: number | undefined;
  #timer: ReturnType<typeof setTimeout> | undefined;

  constructor(system: System, options: IdentifierWatchOptions) {
    checkOptions(options, OPTIONS, ACTION);
    const { pollMs = DEFAULT_POLL_MS, agents, signal } = options;
    if (!(pollMs >= 1 && pollMs < 2 ** 31)) {
      throw new RangeError(`Cannot ${ACTION}: pollMs must be 1 to 2^31 - 1, and is ${pollMs}`);
    }
    super({ signal, onDemand: () => this.#schedule(), onClose: () => this.#release() });
    this.#libc = system.libc;
    this.#idx = options.idx ?? EVERYTHING;
    this.#val = options.val ?? EVERYTHING;
    this.#pollMs = pollMs;
    if (agents === false) return;
    try {
      this.#bus = openBus(system);
      this.#messages = this.#bus.messages();
    } catch (error) {
      if (agents === true || !(error instanceof SyscallError || error instanceof UnsupportedError)) {
        void this.close();
        throw error;
      }
      this.agentsUnseen = error;
    }
  }

  get kernelUnseen(): Error | undefined {
    const isElsewhere = readKernelIdentifiers(this.#libc) === undefined &&
      readBusSockets(this.#libc) !== undefined;
    return isElsewhere ? unsupported(ACTION, OTHER_NETWORK_NAMESPACE) : undefined;
  }

  /** Polls when it is time, and receives announcements until then, while a reader waits. */
  #schedule(): void {
    if (this.#timer !== undefined || !this.isAwaited) return;
    const pauseMs = this.#nextPollAt - performance.now();
    this.#timer = setTimeout(() => this.#onTimer(), Math.max(pauseMs, 0));
    if (pauseMs > 0) this.#receive();
  }

  #onTimer(): void {
    this.#timer = undefined;
    if (!this.isAwaited) return;
    this.#nextPollAt = performance.now() + this.#pollMs;
    try {
      this.#poll();
    } catch (error) {
      this.fail(error);
    }
    this.#schedule();
  }

  #release(): void {
    this.#stopTimer();
    if (this.#bus === undefined) return;
    for (const port of this.#asked) this.#ask(port, 0);
    void this.#bus.close();
  }

  /** Takes the next announcement when it comes, even if no reader waits by then. */
  #receive(): void {
    if (this.#isReceiving || this.#messages === undefined) return;
    this.#isReceiving = true;
    this.#messages.next().then(({ value }) => {
      if (value === undefined) return; // closed
      this.#isReceiving = false;
      if (value.type === "message") this.#onAnnouncement(value);
      else this.#askAgain();
      if (this.isAwaited) this.#receive();
    }).catch((error) => this.fail(error));
  }

  /** An announcement is empty, and only concerns its sender. */
  #onAnnouncement({ id, ack, data, from }: ReceivedMessage): void {
    if (data.length !== 0 || from.port === KERNEL_PORT || !this.#isWatched(id)) return;
    if (ack === CN_REGISTERED) this.#registered(id, from.port, undefined, from.group === 0);
    else if (ack === CN_UNREGISTERED) this.#unregistered(`${from.port} ${idText(id)}`);
  }

  #isWatched(id: CbId): boolean {
    return matches({ idx: this.#idx, val: this.#val }, id);
  }

  #poll(): void {
    this.#polls++;
    this.#readKernel();
    if (this.#bus !== undefined) this.#readBus(this.#bus.port);
  }

  #readKernel(): void {
    const current = new Set<string>();
    for (const { id, name } of readKernelIdentifiers(this.#libc) ?? []) {
      if (!this.#isWatched(id)) continue;
      current.add(`${KERNEL_PORT} ${idText(id)}`);
      this.#registered(id, KERNEL_PORT, name, this.#polls === 1);
    }
    for (const [key, { where }] of this.#known) {
      if (where === "kernel" && !current.has(key)) this.#unregistered(key);
    }
  }

  #readBus(ownPort: number): void {
    const sockets = readBusSockets(this.#libc);
    if (sockets === undefined) return;
    const ports = new Set(sockets.map(({ port }) => port));
    for (const [key, { where, port }] of this.#known) {
      if (where === "agent" && !ports.has(port)) this.#unregistered(key);
    }
    for (const port of this.#asked) if (!ports.has(port)) this.#asked.delete(port);
    if (this.#askedAgainAt !== undefined && this.#polls > this.#askedAgainAt) {
      for (const key of this.#unconfirmed) this.#unregistered(key);
      this.#unconfirmed.clear();
      this.#askedAgainAt = undefined;
    }
    for (const { port, groups } of sockets) {
      if ((groups & groupMask(NOTIFY_GROUP)) === 0 || port === ownPort || this.#asked.has(port)) continue;
      this.#asked.add(port);
      this.#ask(port, NOTIFY_GROUP);
    }
  }

  /** After a loss every program is asked again, at once, and announces what it has. */
  #askAgain(): void {
    for (const [key, { where }] of this.#known) if (where === "agent") this.#unconfirmed.add(key);
    this.#asked.clear();
    this.#askedAgainAt = this.#polls + 1;
    this.#nextPollAt = 0;
    this.#stopTimer();
    this.#schedule();
  }

  #ask(port: number, group: number): void {
    try {
      this.#bus!.send(CONNECTOR_ID, encodeNotifyRequest({ idx: this.#idx, val: this.#val, group }), { port });
    } catch (error) {
      // It may be gone, or have no room: the next poll finds out. A broken connector fails by itself.
      if (!(error instanceof SyscallError || error instanceof ClosedError)) throw error;
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
    this.#emit(event);
  }

  #unregistered(key: string): void {
    const known = this.#known.get(key);
    if (known === undefined) return;
    this.#known.delete(key);
    this.#emit({ ...known, type: "unregistered", existing: false });
  }

  #emit(event: IdentifierEvent): void {
    this.push(event);
    if (!this.isAwaited) this.#stopTimer();
  }

  #stopTimer(): void {
    clearTimeout(this.#timer);
    this.#timer = undefined;
  }
}

function openBus(system: System): Connector {
  const bus = openConnectorOn(system);
  try {
    bus.join(NOTIFY_GROUP);
    // A request to ourselves shows whether programs may be written to.
    bus.send(CONNECTOR_ID, encodeNotifyRequest({ idx: [], val: [], group: 0 }), { port: bus.port });
    return bus;
  } catch (error) {
    void bus.close();
    throw error;
  }
}

/** As {@linkcode watchIdentifiers}, on a given system. */
export function watchIdentifiersOn(system: System, options: IdentifierWatchOptions = {}): IdentifierWatch {
  return new PollingWatch(system, options);
}

/**
 * Watches identifiers being registered and unregistered, by the kernel and by the programs on the bus.
 *
 * @throws {UnsupportedError} If libc cannot be called.
 * @throws {SyscallError} EPERM if programs are to be watched (`agents: true`) and may not be.
 * @example
 * ```ts
 * import assert from "node:assert/strict";
 * import { openConnector, watchIdentifiers } from "kernel-connector";
 *
 * const id = { idx: 24, val: 2 };
 * await using agent = await openConnector({ announce: true });
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
  return watchIdentifiersOn(await openSystem(ACTION), options);
}
