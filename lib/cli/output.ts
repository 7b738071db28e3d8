import { fstatSync, writeSync } from "node:fs";
import process from "node:process";
import { isatty } from "node:tty";
import { DENO } from "./runtime.ts";

/** Where the command writes its lines. */
export interface Output {
  /** Columns of the terminal, or undefined where it is none. */
  width(): number | undefined;
  /**
   * Writes text, and resolves once it is out: who waits for that goes at the pace of the reader.
   *
   * @returns Whether somebody still reads: false once the pipe is closed.
   */
  write(text: string): Promise<boolean>;
}

const STDOUT = 1;
const STDERR = 2;
const DEFAULT_WIDTH = 80;

const encoder = new TextEncoder();

/** The standard output of the process. */
export function standardOutput(): Output {
  const put = isFile() ? putInFile : DENO === undefined ? putInStream() : putInDeno(DENO);
  const terminal = isatty(STDOUT);
  return {
    width: () => terminal ? process.stdout.columns || DEFAULT_WIDTH : undefined,
    async write(text) {
      try {
        await put(text);
        return true;
      } catch (error) {
        if (isClosedPipe(error)) return false;
        throw new Error(`Cannot write the output: ${(error as Error).message}`, { cause: error });
      }
    },
  };
}

/** Writes to standard output at once: for what is said before the end. A closed one is nobody's concern. */
export function writeOut(text: string): void {
  try {
    writeFully(STDOUT, text);
  } catch {
    // Whoever has closed it does not want it.
  }
}

/** Writes to standard error at once; a closed one is nobody's concern. */
export function writeError(text: string): void {
  try {
    writeFully(STDERR, text);
  } catch {
    // There is nowhere left to say so.
  }
}

function isFile(): boolean {
  try {
    return fstatSync(STDOUT).isFile();
  } catch {
    return false;
  }
}

/** A file takes all at once, and a synchronous call costs least. */
function putInFile(text: string): Promise<void> {
  try {
    writeFully(STDOUT, text);
    return Promise.resolve();
  } catch (error) {
    return Promise.reject(error);
  }
}

/** A pipe or a terminal may be full for long: signals and events must go on meanwhile. */
function putInStream(): (text: string) => Promise<void> {
  process.stdout.on("error", () => {}); // told by the callback, too
  return (text) =>
    new Promise((resolve, reject) => {
      process.stdout.write(text, (error) => error ? reject(error) : resolve());
    });
}

/** As above; Deno's `process.stdout` would block. */
function putInDeno(deno: NonNullable<typeof DENO>): (text: string) => Promise<void> {
  return async (text) => {
    const bytes = encoder.encode(text);
    for (let at = 0; at < bytes.length;) at += await deno.stdout.write(bytes.subarray(at));
  };
}

function writeFully(fd: number, text: string): void {
  const bytes = encoder.encode(text);
  for (let at = 0; at < bytes.length;) {
    try {
      at += writeSync(fd, bytes, at);
    } catch (error) {
      // Another process may have made a shared pipe non-blocking. What is written so is short, and soon gone.
      if ((error as { code?: string }).code !== "EAGAIN") throw error;
      Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0, 5);
    }
  }
}

function isClosedPipe(error: unknown): boolean {
  const { code, name } = error as { code?: string; name?: string };
  return code === "EPIPE" || name === "BrokenPipe" || code === "ERR_STREAM_DESTROYED";
}
