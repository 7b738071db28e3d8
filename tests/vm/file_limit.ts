// Ends a test file that takes too long: the guest writes which one it runs, the host says when it shall stop.

import { existsSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";

export class FileLimit {
  readonly #folder: string;
  readonly #limitSeconds: number;
  #name = "";
  #since = 0;

  constructor(folder: string, limitSeconds: number) {
    this.#folder = folder;
    this.#limitSeconds = limitSeconds;
  }

  /** `seconds` counts from the start of the machine. */
  check(seconds: number): void {
    const current = join(this.#folder, "current");
    const name = existsSync(current) ? readFileSync(current, "utf8").trim() : "";
    if (name !== this.#name) {
      this.#name = name;
      this.#since = seconds;
    }
    if (name === "" || seconds - this.#since < this.#limitSeconds) return;
    const stop = join(this.#folder, `${name}.stop`);
    if (!existsSync(stop)) writeFileSync(stop, "");
  }
}
