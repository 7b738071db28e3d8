import { keepTimerAlive } from "../../ffi/timers.ts";
import type { KernelProcessEvent } from "./event.ts";
import type { ProcessEventSource } from "./source.ts";

/** What proves that a subscription is alive when it is received: an acknowledgement, or our own change of name. */
export type Proof = { readonly ack: number } | { readonly commPid: number };

/** Looks for a proof among what is received. */
export class LivenessProbe {
  readonly #proof: Proof;
  /** Whether the proof was received. */
  seen = false;

  constructor(proof: Proof) {
    this.#proof = proof;
  }

  /** Looks at the `ack` of an acknowledgement. */
  observeAck(ack: number): void {
    if ("ack" in this.#proof && this.#proof.ack === ack) this.seen = true;
  }

  /** Looks at an event. */
  observeEvent(event: KernelProcessEvent): void {
    if ("commPid" in this.#proof && event.type === "comm" && event.pid === this.#proof.commPid) {
      this.seen = true;
    }
  }
}

/**
 * Notices that a subscription has died. Other programs can end it without a word, and a dead one is as quiet as a quiet
 * machine. So after a silence the kernel is asked for something that must be received; without it the source is renewed,
 * which shows as a `lost` event of unknown count.
 */
export class Liveness {
  readonly #source: ProcessEventSource;
  readonly #intervalMs: number;
  readonly #onFailure: (error: unknown) => void;
  #timer: ReturnType<typeof setInterval> | undefined;
  #alive = true;
  #receivedBefore = 0;
  /** How often the kernel was asked. */
  heartbeats = 0;

  /** `intervalMs` is how long a silence may be; 0 for ever. */
  constructor(source: ProcessEventSource, intervalMs: number, onFailure: (error: unknown) => void) {
    this.#source = source;
    this.#intervalMs = intervalMs;
    this.#onFailure = onFailure;
  }

  /** Begins to look for silences; further calls do nothing. */
  start(): void {
    if (this.#timer !== undefined || this.#intervalMs === 0) return;
    this.#timer = setInterval(() => this.#beat(), this.#intervalMs);
    if (!this.#alive) keepTimerAlive(this.#timer, false);
  }

  /** Whether looking keeps the program alive, as it does at first. */
  keepAlive(alive: boolean): void {
    this.#alive = alive;
    keepTimerAlive(this.#timer, alive);
  }

  /** Ends looking. */
  close(): void {
    clearInterval(this.#timer);
  }

  #beat(): void {
    const source = this.#source;
    const silent = source.isWaiting && source.received === this.#receivedBefore;
    this.#receivedBefore = source.received;
    if (!silent) return;
    try {
      this.heartbeats++;
      const isAlive = source.probe();
      this.#receivedBefore = source.received;
      if (!isAlive) source.renew();
    } catch (error) {
      this.#onFailure(error);
    }
  }
}
