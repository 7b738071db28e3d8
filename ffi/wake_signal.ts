/** The number of SIGURG, and its name. Its default is to be ignored: one that comes too late harms nobody. */
export const SIGURG = 23;
const NAME = "SIGURG";

/** The longest time that a timer knows, in milliseconds. */
const LONGEST_MS = 2 ** 31 - 1;

/** Receives SIGURG in the event loop: one implementation for Bun and Node, one for Deno. */
export interface WakeSignal {
  /** Whether listeners in workers are called as well. */
  readonly reachesWorkers: boolean;
  /** Whether the program itself listens to the signal, as far as the runtime says. */
  isTaken(): boolean;
  /** Calls `onSignal` after each signal; several signals may be one call. */
  listen(onSignal: () => void): void;
  /** Listens again if somebody took away every listener of the signal. */
  insist(): void;
  /** Ends listening. */
  ignore(): void;
  /** Whether the process stays alive: a listener alone does not keep it. */
  keepAlive(alive: boolean): void;
}

/** The slice of `process` that is used. */
interface SignalEmitter {
  on(name: typeof NAME, listener: () => void): void;
  off(name: typeof NAME, listener: () => void): void;
  listenerCount(name: typeof NAME): number;
}

/** For Bun and Node. */
export class ProcessSignal implements WakeSignal {
  readonly reachesWorkers = false;
  readonly #process = (globalThis as unknown as { process: SignalEmitter }).process;
  #onSignal: () => void = () => {};
  #timer: ReturnType<typeof setInterval> | undefined;

  isTaken(): boolean {
    return this.#process.listenerCount(NAME) > 0;
  }

  listen(onSignal: () => void): void {
    this.#onSignal = onSignal;
    this.#process.on(NAME, onSignal);
  }

  insist(): void {
    if (!this.isTaken()) this.#process.on(NAME, this.#onSignal);
  }

  ignore(): void {
    this.#process.off(NAME, this.#onSignal);
  }

  keepAlive(alive: boolean): void {
    if (alive === (this.#timer !== undefined)) return;
    if (!alive) clearInterval(this.#timer);
    this.#timer = alive ? setInterval(() => {}, LONGEST_MS) : undefined;
  }
}

/** The slice of Deno that is used. */
interface DenoSignals {
  addSignalListener(name: typeof NAME, listener: () => void): void;
  removeSignalListener(name: typeof NAME, listener: () => void): void;
}

/** For every thread of Deno, where each listener is its owner's alone and nobody can count those of others. */
export class DenoSignal implements WakeSignal {
  readonly reachesWorkers = true;
  readonly #deno = (globalThis as unknown as { Deno: DenoSignals }).Deno;
  #onSignal: () => void = () => {};
  #port: MessagePort | undefined;

  isTaken(): boolean {
    return false;
  }

  listen(onSignal: () => void): void {
    this.#onSignal = onSignal;
    this.#deno.addSignalListener(NAME, onSignal);
  }

  insist(): void {}

  ignore(): void {
    this.#deno.removeSignalListener(NAME, this.#onSignal);
  }

  /** By a port that waits for a message: the first timer takes Deno 10 ms and 3 MB. */
  keepAlive(alive: boolean): void {
    if (alive === (this.#port !== undefined)) return;
    if (alive) {
      this.#port = new MessageChannel().port1;
      this.#port.onmessage = () => {};
    } else {
      this.#port!.close();
      this.#port = undefined;
    }
  }
}
