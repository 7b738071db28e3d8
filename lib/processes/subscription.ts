import type { System } from "../../ffi/libc.ts";
import { visitCnMsgs } from "../connector/datagram.ts";
import { CN_IDX_PROC, CN_MSG, CN_VAL_PROC, encodeDatagram } from "../connector/message.ts";
import { DecodeError } from "../errors/decode_error.ts";
import {
  formatExplanation,
  JOINING_WANTS_NET_ADMIN,
  LISTENING_WANTS_NET_ADMIN,
  NOT_ACKNOWLEDGED,
  unsupported,
} from "../errors/advice.ts";
import { ERRNO } from "../errors/errno.ts";
import { check, SyscallError } from "../errors/syscall_error.ts";
import { KERNEL_PORT } from "../netlink/message.ts";
import { assemble, type BpfStep } from "../netlink/bpf.ts";
import type { DatagramBatch } from "../netlink/datagram_batch.ts";
import { noteOwner } from "../netlink/owner.ts";
import { receiveQueued } from "../netlink/receive.ts";
import { NetlinkSocket } from "../netlink/socket.ts";
import { PROC_CN_MCAST_IGNORE, PROC_CN_MCAST_LISTEN, PROC_EVENT_ALL } from "./constants.ts";
import { acceptAck, acceptComm, ackOnly } from "./bpf_filter.ts";
import { emitCommEvent } from "./own_name.ts";
import { LITTLE } from "../wire/bytes.ts";
import { decodeProcEvent, encodeProcInput } from "./codec.ts";
import { isProcMessage } from "./decoder.ts";
import { LivenessProbe } from "./liveness.ts";
import { explainRefusal, otherNetworkNamespace } from "./explain_refusal.ts";

/** How often LISTEN is repeated: before 6.6, IGNOREs of other programs can leave the kernel's count below zero. */
const LISTEN_TRIES = 64;

/** What a subscription wants of the kernel. */
export interface SubscriptionOptions {
  /** The mask for the kernel's own filter, or undefined for none. */
  readonly mask: number | undefined;
  /** The filter to run before the queue, or undefined for none. */
  readonly program: readonly BpfStep[] | undefined;
  readonly receiveBufferBytes: number;
  /**
   * Called when an error announced the end of the program, the subscription was taken back, and the program lives on:
   * with a failure where it could not be made anew.
   */
  readonly onInterruption: (failure?: Error) => void;
}

/**
 * An acknowledged subscription to process events: a socket in group 1 whose LISTEN the kernel has acknowledged, and as
 * many IGNOREs at the end as there were LISTENs.
 */
export class ProcSubscription {
  readonly socket: NetlinkSocket;
  /** What the kernel granted of the receive buffer, in its own count. */
  readonly receiveBufferBytes: number;
  /** Whether the kernel filters by kind itself (6.6 and newer): shown by its answer, not by its version. */
  readonly kernelFilters: boolean;
  /** The socket's drop counter when it was about to receive events, after the last interruption if there was one. */
  dropsBefore: number;
  readonly #removeExitHook: () => void;
  readonly #system: System;
  readonly #action: string;
  readonly #options: SubscriptionOptions;
  readonly #ack: number;
  /** LISTENs of the short form, each of which the kernel has counted. */
  #short: number;
  /** Whether the kernel counts us among its listeners. */
  #listens = true;
  #open = true;

  private constructor(
    system: System,
    action: string,
    options: SubscriptionOptions,
    socket: NetlinkSocket,
    standing: { granted: number; filters: boolean; ack: number; short: number; drops: number },
  ) {
    this.#system = system;
    this.#action = action;
    this.#options = options;
    this.socket = socket;
    this.receiveBufferBytes = standing.granted;
    this.kernelFilters = standing.filters;
    this.dropsBefore = standing.drops;
    this.#ack = standing.ack;
    this.#short = standing.short;
    noteOwner(system.libc, socket.fd, SUBSCRIBED + standing.short);
    this.#removeExitHook = system.onExit({ leave: () => this.#ignore(), stay: () => this.#listenAgain() });
  }

  /**
   * Subscribes. When it returns, the kernel has acknowledged: what happens from now on is in the stream.
   *
   * Nothing here waits: an acknowledgement is queued before the LISTEN's send returns, or it never comes. Until then
   * a filter keeps everything else out of the queue, so that no storm can hide it.
   */
  static open(
    system: System,
    datagrams: DatagramBatch,
    action: string,
    options: SubscriptionOptions,
  ): ProcSubscription {
    const socket = NetlinkSocket.open(system.libc, action);
    const ack = Math.floor(Math.random() * 2 ** 32);
    let short = 0;
    try {
      socket.disableOverrunErrors();
      const granted = socket.setReceiveBuffer(options.receiveBufferBytes);
      socket.attachFilter(assemble(ackOnly(after(ack))));
      socket.join(
        CN_IDX_PROC,
        (errno) => errno === ERRNO.EPERM ? formatExplanation(JOINING_WANTS_NET_ADMIN) : undefined,
      );
      // With every kind asked for, a kernel that filters does acknowledge the long form; an older one ignores it.
      send(socket, action, PROC_CN_MCAST_LISTEN, ack, PROC_EVENT_ALL);
      const filters = acknowledged(socket, datagrams, action, ack);
      for (let done = filters; !done; done = acknowledged(socket, datagrams, action, ack)) {
        if (short === 1) throwIfKnown(explainRefusal(system.libc, action));
        if (short === LISTEN_TRIES) {
          throw unsupported(action, NOT_ACKNOWLEDGED);
        }
        send(socket, action, PROC_CN_MCAST_LISTEN, ack);
        short++;
      }
      if (filters && options.mask !== undefined) {
        // A second LISTEN of the same socket is not counted twice; with a narrower mask it is not acknowledged.
        send(socket, action, PROC_CN_MCAST_LISTEN, ack, options.mask);
      }
      // From here on events arrive, and drops are counted.
      const drops = socket.drops();
      if (options.program === undefined) socket.detachFilter();
      else socket.attachFilter(assemble(options.program));
      return new ProcSubscription(system, action, options, socket, { granted, filters, ack, short, drops });
    } catch (error) {
      ignore(socket, ack, short);
      socket.close();
      throw error;
    }
  }

  /**
   * Makes the kernel send a proof that the subscription is alive: it is queued when this returns, or it never comes. No
   * event is lost by it: until {@linkcode endProbe} the filter lets the proof through in addition.
   */
  probe(): LivenessProbe {
    const { program } = this.#options;
    const { libc } = this.#system;
    if (this.kernelFilters) {
      if (program !== undefined) {
        this.socket.attachFilter(assemble([...acceptAck(after(this.#ack)), ...program]));
      }
      // The same socket is not counted twice, and a LISTEN for everything is acknowledged.
      send(this.socket, this.#action, PROC_CN_MCAST_LISTEN, this.#ack, PROC_EVENT_ALL);
      return new LivenessProbe({ ack: after(this.#ack) });
    }
    // An older kernel would count a second LISTEN. Giving ourselves the name that we have makes an event.
    const commPid = libc.getpid();
    if (program !== undefined) this.socket.attachFilter(assemble([...acceptComm(commPid), ...program]));
    emitCommEvent(libc);
    return new LivenessProbe({ commPid });
  }

  /** Puts the filters back as they were before {@linkcode probe}. */
  endProbe(): void {
    const { mask, program } = this.#options;
    if (this.kernelFilters && mask !== undefined) {
      send(this.socket, this.#action, PROC_CN_MCAST_LISTEN, this.#ack, mask);
    }
    if (program !== undefined) this.socket.attachFilter(assemble(program));
  }

  /**
   * Closes the socket of a subscription that has died. Whoever made it die has taken it out of the kernel's count: one
   * more IGNORE would take out somebody else.
   */
  abandon(): void {
    this.#listens = false;
    this.close();
  }

  /** Takes the subscription back, and lets nothing more into the socket. What is queued stays. */
  leave(): void {
    this.#removeExitHook();
    this.socket.leave(CN_IDX_PROC); // first: where IGNORE is acknowledged, that would be queued
    this.#ignore();
  }

  /** Takes the subscription back and closes the socket. */
  close(): void {
    if (!this.#open) return;
    this.#open = false;
    this.#removeExitHook();
    this.#ignore();
    this.socket.close();
  }

  #ignore(): void {
    if (!this.#listens) return;
    this.#listens = false;
    ignore(this.socket, this.#ack, this.#short);
  }

  #listenAgain(): void {
    if (this.#listens || !this.#open) return;
    const { mask = PROC_EVENT_ALL, onInterruption } = this.#options;
    try {
      this.dropsBefore = this.socket.drops();
      send(this.socket, this.#action, PROC_CN_MCAST_LISTEN, this.#ack, this.kernelFilters ? mask : undefined);
      this.#short = this.kernelFilters ? 0 : 1;
      this.#listens = true;
      onInterruption();
    } catch (error) {
      onInterruption(error as Error);
    }
  }
}

/**
 * Takes LISTENs back, each once: the long one, and those of the short form. The kernel never notices that a socket is
 * gone: without this its count of listeners stays too high for ever. An IGNORE of the long form does nothing in kernels
 * that did not count the long LISTEN. Its `ack` is the one after the LISTEN's, which distinguishes the two in a trace.
 */
function ignore(socket: NetlinkSocket, ack: number, short: number): void {
  socket.send(datagram(PROC_CN_MCAST_IGNORE, after(ack), 0));
  for (let i = 0; i < short; i++) socket.send(datagram(PROC_CN_MCAST_IGNORE, after(ack)));
}

/** The note on the socket of a worker's subscription: this, plus the number of its LISTENs of the short form. */
const SUBSCRIBED = 1;

/** Takes back the subscription of a worker that was terminated; `note` says whether its socket had one. */
export function takeBackOrphan(socket: NetlinkSocket, note: number): void {
  if (note >= SUBSCRIBED) ignore(socket, Math.floor(Math.random() * 2 ** 32), note - SUBSCRIBED);
}

/** What the kernel answers to a message with this `ack`. */
function after(ack: number): number {
  return (ack + 1) >>> 0;
}

function datagram(op: number, ack: number, mask?: number): Uint8Array {
  const id = { idx: CN_IDX_PROC, val: CN_VAL_PROC };
  return encodeDatagram({ id, seq: 0, ack, flags: 0, data: encodeProcInput(op, mask) });
}

function send(socket: NetlinkSocket, action: string, op: number, ack: number, mask?: number): void {
  const result = socket.send(datagram(op, ack, mask));
  if (result === -ERRNO.ECONNREFUSED!) throw otherNetworkNamespace(action);
  check(result, action, "sendto");
}

function throwIfKnown(reason: Error | undefined): void {
  if (reason !== undefined) throw reason;
}

/** Looks for our acknowledgement among what is queued. */
function acknowledged(socket: NetlinkSocket, datagrams: DatagramBatch, action: string, ack: number): boolean {
  for (let tries = 0; tries < 100; tries++) {
    const count = receiveQueued(socket, datagrams, action);
    if (count === 0) return false;
    for (let i = 0; i < count; i++) {
      if (datagrams.senderPort(i) !== KERNEL_PORT) continue;
      const errno = ackErrno(datagrams, i, after(ack));
      if (errno === 0) return true;
      if (errno !== undefined) {
        const advice = errno === ERRNO.EPERM ? formatExplanation(LISTENING_WANTS_NET_ADMIN) : undefined;
        throw new SyscallError(action, "PROC_CN_MCAST_LISTEN", errno, advice);
      }
    }
  }
  return false;
}

/** The error number in datagram `i` if it is the acknowledgement `ack`. */
function ackErrno(datagrams: DatagramBatch, i: number, ack: number): number | undefined {
  const { view } = datagrams;
  let errno: number | undefined;
  visitCnMsgs(datagrams, i, (at, end) => {
    if (isProcMessage(view, at) && view.getUint32(at + CN_MSG.ack, LITTLE) === ack) {
      errno ??= readAck(view, at + CN_MSG.SIZE, end);
    }
  });
  return errno;
}

function readAck(view: DataView, at: number, end: number): number | undefined {
  try {
    const event = decodeProcEvent(view, at, end, 0);
    return event.type === "ack" ? event.errno : undefined;
  } catch (error) {
    if (error instanceof DecodeError) return undefined;
    throw error;
  }
}
