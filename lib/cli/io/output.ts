import process from "node:process";
import { isatty } from "node:tty";
import { ERRNO } from "../../errors/errno.ts";
import { SyscallError } from "../../errors/syscall_error.ts";
import { fixedBytes } from "../../wire/bytes.ts";
import { type TryWrite, tryWriteTo } from "./descriptor.ts";
import { systemLibc } from "../system.ts";

/** Where the command writes its lines. */
export interface Output {
  /** Columns of the terminal, or undefined where it is none. */
  width(): number | undefined;
  /**
   * Writes lines, and resolves once they are out or given up: who waits for that goes at the pace of the reader.
   *
   * @returns Whether somebody still reads: false once the pipe is closed.
   */
  write(text: string): Promise<boolean>;
}

/** An output that a command writes to until it is told to end. */
export interface LineOutput extends Output {
  /** How many lines are out, to their end. */
  readonly linesWritten: number;
  /** From now on a reader that does not read is not waited for: what it has not taken soon is given up, and all after. */
  hurry(): void;
}

const STDOUT = 1;
const STDERR = 2;
const DEFAULT_WIDTH = 80;
/** PIPE_BUF: so much a pipe takes whole or not at all. */
const CHUNK_BYTES = 4096;
const NEWLINE = 10;
/** How long a reader that does not read is waited for once the command was told to end, and one that reads slowly. */
const STALLED_MS = 200;
const SLOW_MS = 1000;
/** A full pipe is looked at again after so long, and then less and less often. */
const FIRST_PAUSE_MS = 1;
const LONGEST_PAUSE_MS = 64;

const encoder = new TextEncoder();

/** How standard error is written to, once a command runs. Before it, a signal still ends the program by itself. */
let errors: TryWrite | undefined;
/** Standard error was full for as long as is waited for it. */
let errorsStalled = false;

/** The standard output of the process. From now on standard error is not waited for without limit either. */
export function standardOutput(): LineOutput {
  errors ??= tryWriteTo(systemLibc(), STDERR);
  return new DescriptorOutput(tryWriteTo(systemLibc(), STDOUT), isatty(STDOUT));
}

/** Writes to standard output at once: for what is said before the end. A closed one is nobody's concern. */
export function writeOut(text: string): void {
  writeNow(tryWriteTo(undefined, STDOUT), text, Infinity);
}

/** Writes to standard error at once; one that is closed, or that nobody reads, is nobody's concern. */
export function writeError(text: string): void {
  const tryWrite = errors ?? tryWriteTo(undefined, STDERR);
  errorsStalled = !writeNow(tryWrite, text, errorsStalled ? 0 : STALLED_MS);
}

/** Lines on a descriptor that is written to without waiting in the kernel. */
export class DescriptorOutput implements LineOutput {
  readonly #tryWrite: TryWrite;
  readonly #terminal: boolean;
  #before: Promise<unknown> = Promise.resolve();
  #closed = false;
  #givenUp = false;
  #wake: (() => void) | undefined;
  #stalledSince = 0;
  #hurriedAt: number | undefined;
  linesWritten = 0;

  /** Writes with `tryWrite`. */
  constructor(tryWrite: TryWrite, terminal: boolean) {
    this.#tryWrite = tryWrite;
    this.#terminal = terminal;
  }

  width(): number | undefined {
    return this.#terminal ? process.stdout.columns || DEFAULT_WIDTH : undefined;
  }

  write(text: string): Promise<boolean> {
    const written = this.#before.then(() => this.#write(text));
    this.#before = written.catch(() => {}); // whoever has asked is told
    return written;
  }

  hurry(): void {
    this.#hurriedAt ??= this.#stalledSince = performance.now();
    this.#wake?.();
  }

  async #write(text: string): Promise<boolean> {
    const bytes = fixedBytes(text.length * 3);
    const end = encoder.encodeInto(text, bytes).written;
    this.#stalledSince = performance.now();
    let pauseMs = FIRST_PAUSE_MS;
    for (let at = 0; at < end && !this.#closed && !this.#givenUp;) {
      const result = this.#tryWrite(bytes.subarray(at, chunkEnd(bytes, at, end)));
      if (result > 0) {
        this.linesWritten += countLines(bytes, at, at + result);
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

  /** A reader of a pipe has gone; a terminal has been closed. */
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

/** The end of as many whole lines as a pipe takes in one piece, or of one line that is longer. */
function chunkEnd(bytes: Uint8Array, at: number, end: number): number {
  if (end - at <= CHUNK_BYTES) return end;
  const last = bytes.lastIndexOf(NEWLINE, at + CHUNK_BYTES - 1);
  if (last >= at) return last + 1;
  const next = bytes.indexOf(NEWLINE, at + CHUNK_BYTES);
  return next < 0 || next >= end ? end : next + 1;
}

function countLines(bytes: Uint8Array, from: number, to: number): number {
  let lines = 0;
  for (let at = bytes.indexOf(NEWLINE, from); at >= 0 && at < to; at = bytes.indexOf(NEWLINE, at + 1)) {
    lines++;
  }
  return lines;
}

/** Writes it all, unless there is no room for `limitMs`; answers whether there was. */
function writeNow(tryWrite: TryWrite, text: string, limitMs: number): boolean {
  const bytes = fixedBytes(text.length * 3);
  const end = encoder.encodeInto(text, bytes).written;
  const startedAt = performance.now();
  for (let at = 0; at < end;) {
    const result = tryWrite(bytes.subarray(at, end));
    if (result > 0) at += result;
    else if (result === -ERRNO.EAGAIN!) {
      if (performance.now() - startedAt >= limitMs) return false;
      Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0, 5);
    } else if (result !== -ERRNO.EINTR!) return true; // whoever has closed it does not want it
  }
  return true;
}
