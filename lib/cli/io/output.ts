import process from "node:process";
import { isatty } from "node:tty";
import { ERRNO } from "../../errors/errno.ts";
import { SyscallError } from "../../errors/syscall_error.ts";
import { fixedBytes } from "../../wire/bytes.ts";
import { type TryWrite, tryWriteTo } from "./descriptor.ts";
import { systemLibc } from "../runtime.ts";

/** Where a command writes lines. */
export interface Output {
  /** Columns of the terminal; undefined if it is not a terminal. */
  width(): number | undefined;
  /**
   * Writes lines, and resolves once they are written or given up.
   *
   * @param lines Their number, if it is known.
   * @returns Whether the output is still open: false once the reader has closed the pipe.
   */
  write(text: string, lines?: number): Promise<boolean>;
}

/** An output of a command that runs until it is asked to stop. */
export interface LineOutput extends Output {
  /** How many whole lines have been written. */
  readonly linesWritten: number;
  /** Stop waiting for a slow reader: what cannot be written soon, and everything after it, is given up. */
  hurry(): void;
}

const STDOUT = 1;
const STDERR = 2;
const DEFAULT_WIDTH = 80;
const NEWLINE = 10;
/** After `hurry()`, how long to wait for a reader that reads nothing, and for one that reads slowly. */
const STALLED_MS = 200;
const SLOW_MS = 1000;
/** How long to wait before retrying a full pipe; doubled each time up to the longest pause. */
const FIRST_PAUSE_MS = 1;
const LONGEST_PAUSE_MS = 64;

const encoder = new TextEncoder();

/** How standard error is written to while a command runs. Until then a signal still ends the process by default. */
let errors: TryWrite | undefined;
/** Whether the last write to standard error timed out. */
let errorsStalled = false;

/** The standard output of the process. From now on writes to standard error have a time limit as well. */
export function standardOutput(): LineOutput {
  errors ??= tryWriteTo(systemLibc(), STDERR);
  return new DescriptorOutput(tryWriteTo(systemLibc(), STDOUT), isatty(STDOUT));
}

/**
 * Writes to standard output synchronously, right before the exit. A closed output is ignored.
 *
 * @throws {SyscallError} If it cannot be written for another reason, as on a full disk.
 */
export function writeOut(text: string): void {
  const errno = writeNow(tryWriteTo(undefined, STDOUT), text, Infinity);
  if (errno !== 0 && errno !== ERRNO.EPIPE!) throw new SyscallError("write the output", "write", errno);
}

/** Writes to standard error synchronously. One that is closed or not read is ignored. */
export function writeError(text: string): void {
  const tryWrite = errors ?? tryWriteTo(undefined, STDERR);
  errorsStalled = writeNow(tryWrite, text, errorsStalled ? 0 : STALLED_MS) === ERRNO.EAGAIN!;
}

/** Writes lines to a descriptor without blocking in the kernel. */
export class DescriptorOutput implements LineOutput {
  readonly #tryWrite: TryWrite;
  readonly #terminal: boolean;
  #before: Promise<unknown> = Promise.resolve();
  #closed = false;
  #givenUp = false;
  #wake: (() => void) | undefined;
  #stalledSince = 0;
  #hurriedAt: number | undefined;
  /** Kept from one write for the next. */
  #bytes: Uint8Array<ArrayBuffer> = fixedBytes(0);
  linesWritten = 0;

  /** Writes with `tryWrite`. */
  constructor(tryWrite: TryWrite, terminal: boolean) {
    this.#tryWrite = tryWrite;
    this.#terminal = terminal;
  }

  width(): number | undefined {
    return this.#terminal ? process.stdout.columns || DEFAULT_WIDTH : undefined;
  }

  write(text: string, lines?: number): Promise<boolean> {
    const written = this.#before.then(() => this.#write(text, lines));
    this.#before = written.catch(() => {}); // `written` rejects for the caller
    return written;
  }

  hurry(): void {
    this.#hurriedAt ??= this.#stalledSince = performance.now();
    this.#wake?.();
  }

  async #write(text: string, lines: number | undefined): Promise<boolean> {
    const size = text.length * 3;
    if (this.#bytes.length < size) this.#bytes = fixedBytes(size);
    const bytes = this.#bytes;
    const end = encoder.encodeInto(text, bytes).written;
    this.#stalledSince = performance.now();
    let pauseMs = FIRST_PAUSE_MS;
    for (let at = 0; at < end && !this.#closed && !this.#givenUp;) {
      const result = this.#tryWrite(bytes.subarray(at, end));
      if (result > 0) {
        const isWhole = result === end && lines !== undefined;
        this.linesWritten += isWhole ? lines : countLines(bytes, at, at + result);
        at += result;
        this.#stalledSince = performance.now();
        pauseMs = FIRST_PAUSE_MS;
      } else if (result === -ERRNO.EAGAIN!) {
        if (this.#isLate()) this.#givenUp = true;
        else await this.#pause(pauseMs);
        pauseMs = Math.min(pauseMs * 2, LONGEST_PAUSE_MS);
      } else if (this.#isClosed(result)) {
        this.#closed = true;
      } else if (result !== -ERRNO.EINTR!) {
        throw new SyscallError("write the output", "write", -result);
      }
    }
    return !this.#closed;
  }

  #isLate(): boolean {
    if (this.#hurriedAt === undefined) return false;
    const now = performance.now();
    return now - this.#stalledSince >= STALLED_MS || now - this.#hurriedAt >= SLOW_MS;
  }

  /** Whether the reader has closed the pipe or the terminal is gone. */
  #isClosed(result: number): boolean {
    return result === -ERRNO.EPIPE! || result === -ERRNO.ECONNRESET! ||
      (this.#terminal && result === -ERRNO.EIO!);
  }

  #pause(ms: number): Promise<void> {
    return new Promise((resolve) => {
      const timer = setTimeout(resolve, ms);
      this.#wake = () => {
        clearTimeout(timer);
        resolve();
      };
    });
  }
}

function countLines(bytes: Uint8Array, from: number, to: number): number {
  let lines = 0;
  for (let at = bytes.indexOf(NEWLINE, from); at >= 0 && at < to; at = bytes.indexOf(NEWLINE, at + 1)) {
    lines++;
  }
  return lines;
}

/** Writes everything, waiting up to `limitMs` for room. Returns 0, or the errno that ended it: EAGAIN without room. */
export function writeNow(tryWrite: TryWrite, text: string, limitMs: number): number {
  const bytes = fixedBytes(text.length * 3);
  const end = encoder.encodeInto(text, bytes).written;
  const startedAt = performance.now();
  for (let at = 0; at < end;) {
    const result = tryWrite(bytes.subarray(at, end));
    if (result > 0) at += result;
    else if (result === -ERRNO.EAGAIN!) {
      if (performance.now() - startedAt >= limitMs) return ERRNO.EAGAIN!;
      Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0, 5);
    } else if (result !== -ERRNO.EINTR!) return -result;
  }
  return 0;
}

/** How long a line may wait for others: too short to notice, and under load one write takes many lines. */
const WAIT_MS = 10;
/** As soon as this many characters are waiting, they are written. */
const MOST = 4096;

/** Combines lines that come within a moment into one write. */
export class BufferedOutput {
  readonly #output: Output;
  #text = "";
  #lines = 0;
  #timer: ReturnType<typeof setTimeout> | undefined;
  #writing: Promise<boolean> = Promise.resolve(true);
  /** A write has failed or the output is closed: `#writing` rejects or resolves to false. */
  #ended = false;
  readonly #onEnd: () => void;

  /** `onEnd` is called once nothing more can be written. */
  constructor(output: Output, onEnd: () => void) {
    this.#output = output;
    this.#onEnd = onEnd;
  }

  /**
   * Adds lines. Resolves immediately while little is waiting to be written.
   *
   * @returns Whether the output is still open, as far as is known.
   */
  write(text: string, lines: number): Promise<boolean> {
    this.#text += text;
    this.#lines += lines;
    if (this.#text.length >= MOST || this.#ended) return this.flush();
    this.#timer ??= setTimeout(() => this.flush().catch(() => {}), WAIT_MS); // the next call rejects with it again
    return Promise.resolve(true);
  }

  /** Resolves once everything has been written. */
  flush(): Promise<boolean> {
    clearTimeout(this.#timer);
    this.#timer = undefined;
    this.#writing = this.#writing.then(async (open) => {
      const text = this.#text;
      const lines = this.#lines;
      this.#text = "";
      this.#lines = 0;
      if (!open || text === "") return open;
      return await this.#output.write(text, lines);
    });
    this.#writing.then((open) => open || this.#end(), () => this.#end());
    return this.#writing;
  }

  #end(): void {
    if (this.#ended) return;
    this.#ended = true;
    this.#onEnd();
  }
}
