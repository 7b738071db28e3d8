import { spawnSync } from "node:child_process";
import process from "node:process";
import { LIMIT_MS } from "./cnctl.ts";
import { sleep } from "./kernel.ts";
import { findProgram } from "./programs.ts";

/** Why tests cannot run in tmux here, or false. */
export function whyNoTmux(): string | false {
  return findProgram("tmux") === undefined ? "tmux is not installed" : false;
}

let count = 0;

/** A terminal of its own, in a tmux server of its own. */
export class Tmux implements Disposable {
  readonly #server = `cnctl-test-${process.pid}-${count++}`;

  /** Runs a shell script in a terminal of this size. It stays open when the script has ended. */
  constructor(script: string, columns: number, rows: number) {
    const size = ["-x", String(columns), "-y", String(rows)];
    const { status, stderr } = this.#tmux(
      "new-session",
      "-d",
      ...size,
      `${script}; exec sleep 1000`,
    );
    if (status !== 0) throw new Error(`tmux: ${stderr}`);
  }

  /** The lines of the screen; `colours`: with the escape sequences for colours. */
  lines(colours: boolean = false): string[] {
    return this.#tmux("capture-pane", "-p", ...(colours ? ["-e"] : [])).stdout.split("\n").slice(0, -1);
  }

  /** Types keys, as tmux names them. */
  type(...keys: readonly string[]): void {
    this.#tmux("send-keys", ...keys);
  }

  resize(columns: number, rows: number): void {
    this.#tmux("resize-window", "-x", String(columns), "-y", String(rows));
  }

  /** Waits until the screen has something. */
  async shows(pattern: RegExp): Promise<void> {
    const end = performance.now() + LIMIT_MS;
    while (!pattern.test(this.lines().join("\n"))) {
      if (performance.now() > end) throw new Error(`no ${pattern} in:\n${this.lines().join("\n")}`);
      await sleep(50);
    }
  }

  /** The process that the terminal was opened for. */
  get pid(): number {
    return Number(this.#tmux("list-panes", "-F", "#{pane_pid}").stdout);
  }

  /** The process of the server. */
  get serverPid(): number {
    return Number(this.#tmux("display-message", "-p", "#{pid}").stdout);
  }

  [Symbol.dispose](): void {
    this.#tmux("kill-server");
  }

  #tmux(...args: readonly string[]): { status: number | null; stdout: string; stderr: string } {
    return spawnSync("tmux", ["-L", this.#server, "-f", "/dev/null", ...args], { encoding: "utf8" });
  }
}
