import { closeSync, openSync, writeSync } from "node:fs";
import process from "node:process";
import { safeText } from "../../../wire/escape.ts";
import { writeError } from "../../io/output.ts";
import { reasonOf } from "./report.ts";

/** A recording that is being written. If it cannot be any more, as on a full disk, the command goes on without. */
export class RecordingFile implements Disposable {
  readonly #path: string;
  readonly #fd: number;
  readonly #onFileSize = (): void => {}; // the write fails with EFBIG as well
  #failed = false;

  /** Opens the file. A new one can be read by its owner alone, as command lines hold secrets; an old one keeps its mode. */
  constructor(path: string) {
    this.#path = path;
    try {
      this.#fd = openSync(path, "w", 0o600);
    } catch (error) {
      throw new Error(`Cannot write ${path}: ${reasonOf(error)}`, { cause: error });
    }
    process.on("SIGXFSZ", this.#onFileSize);
  }

  /** Adds lines. */
  write(lines: string): void {
    if (this.#failed) return;
    try {
      const bytes = encoder.encode(lines);
      for (let at = 0; at < bytes.length;) at += writeSync(this.#fd, bytes, at);
    } catch (error) {
      this.#failed = true;
      const why = reasonOf(error);
      writeError(`cnctl: Cannot write ${safeText(this.#path)} any more: ${why}; the command goes on\n`);
    }
  }

  [Symbol.dispose](): void {
    process.off("SIGXFSZ", this.#onFileSize);
    closeSync(this.#fd);
  }
}

const encoder = new TextEncoder();
