import process from "node:process";
import { isatty } from "node:tty";
import { ProcFs } from "../../procfs/process.ts";
import { fixedBytes, LITTLE, viewOf } from "../../wire/bytes.ts";
import { type TryWrite, tryWriteTo } from "../io/descriptor.ts";
import { DescriptorOutput, writeNow } from "../io/output.ts";
import { environment, systemLibc } from "../runtime.ts";
import { parseKeys } from "./keys.ts";

/** What is shown on a screen. */
export interface View {
  /** The lines, from the top: at most `rows`, each at most `columns` wide and safe for a terminal. */
  draw(columns: number, rows: number): readonly string[];
  /** Handles a key; returns whether to go on. */
  onKey(key: string): boolean;
}

const STDIN = 0;
const STDOUT = 1;
const TIOCGWINSZ = 0x5413;
/** The alternate screen, without cursor and without wrapping of what is too long after all. */
const ENTER = "\x1b[?1049h\x1b[?7l\x1b[?25l\x1b[2J";
const LEAVE = "\x1b[0m\x1b[?25h\x1b[?7h\x1b[?1049l";
/** How long to wait at the end for a terminal that takes nothing. */
const LEAVE_MS = 200;
/** How long a stop by SIGTSTP may take. */
const STOP_MS = 100;

/** Why there can be no screen here, or undefined. */
export function whyNoScreen(): string | undefined {
  if (!isatty(STDOUT)) return "standard output is not a terminal";
  if (!isatty(STDIN)) return "standard input is not a terminal, so it could read no keys";
  if (environment("TERM") === "dumb") return "this terminal cannot move the cursor (TERM=dumb)";
  return undefined;
}

/**
 * The whole terminal, drawn by a view: in the alternate screen, in raw mode, and only the lines that have changed. The
 * terminal is as before at the end, however that comes, but for SIGKILL.
 */
export class Screen implements Disposable {
  readonly #view: View;
  readonly #onEnd: () => void;
  readonly #libc = systemLibc();
  readonly #tryWrite: TryWrite = tryWriteTo(this.#libc, STDOUT);
  /** For frames: what is left of one when the terminal is given back is thrown away. */
  readonly #output = new DescriptorOutput(
    (bytes) => this.#entered ? this.#tryWrite(bytes) : bytes.length,
    true,
  );
  readonly #size: Uint8Array<ArrayBuffer> = fixedBytes(8);
  readonly #onExit = (): void => this.#leave();
  readonly #onResize = (): void => this.draw();
  readonly #onStop = (): void => this.#stop();
  readonly #onContinue = (): void => {
    // Whoever has continued it may have set the terminal to another mode.
    this.#leave();
    this.#enter();
  };
  readonly #onData = (data: string): void => this.#guard(() => this.#take(data));
  /** The lines as they are on the terminal. */
  #shown: string[] = [];
  #columns = 0;
  #rows = 0;
  #entered = false;
  #stopping: ReturnType<typeof setTimeout> | undefined;
  #writing = false;
  #drawAgain = false;
  #failure: { readonly error: unknown } | undefined;

  /** Takes the terminal. `onEnd` is called when the user, the terminal or an error has ended it. */
  constructor(view: View, onEnd: () => void) {
    this.#view = view;
    this.#onEnd = onEnd;
    process.on("exit", this.#onExit);
    process.on("SIGWINCH", this.#onResize);
    process.on("SIGTSTP", this.#onStop);
    process.on("SIGCONT", this.#onContinue);
    process.stdin.setEncoding("utf8").on("data", this.#onData).on("error", this.#onEnd).on(
      "end",
      this.#onEnd,
    );
    process.stdin.resume();
    this.#enter();
  }

  /**
   * Draws what has changed. While the terminal has not taken the last frame, the next one waits.
   *
   * @param prepare is done before. What it throws ends the screen, as an error of the view does.
   */
  draw(prepare?: () => void): void {
    if (!this.#entered) return;
    if (prepare !== undefined) this.#guard(prepare);
    if (this.#failure !== undefined) return;
    if (this.#writing) this.#drawAgain = true;
    else this.#guard(() => this.#write(this.#frame()));
  }

  /** Gives the terminal back. Throws what has ended it, if anything has. */
  [Symbol.dispose](): void {
    process.off("exit", this.#onExit);
    process.off("SIGWINCH", this.#onResize);
    clearTimeout(this.#stopping);
    process.off("SIGTSTP", this.#onStop);
    process.off("SIGCONT", this.#onContinue);
    process.stdin.off("data", this.#onData).off("error", this.#onEnd).off("end", this.#onEnd);
    process.stdin.pause();
    this.#output.hurry();
    this.#leave();
    if (this.#failure !== undefined) throw this.#failure.error;
  }

  #enter(): void {
    this.#entered = true;
    process.stdin.setRawMode(true);
    this.#shown = [];
    this.#columns = 0;
    writeNow(this.#tryWrite, ENTER, LEAVE_MS);
    this.draw();
  }

  #leave(): void {
    if (!this.#entered) return;
    this.#entered = false;
    writeNow(this.#tryWrite, LEAVE, LEAVE_MS);
    try {
      process.stdin.setRawMode(false);
    } catch {
      // The terminal is gone.
    }
  }

  /** Stops this process, and the others that the shell has started with it, as a terminal does on Ctrl-Z. */
  #stop(): void {
    if (this.#stopping !== undefined || !this.#hasShell()) return;
    this.#leave();
    process.off("SIGTSTP", this.#onStop);
    process.kill(0, "SIGTSTP");
    this.#stopping = setTimeout(() => {
      this.#stopping = undefined;
      process.on("SIGTSTP", this.#onStop);
      if (!this.#entered) this.#enter();
    }, STOP_MS);
  }

  /**
   * Whether a shell could continue this process group: a parent in another one of the same session. Where there is none,
   * the kernel discards SIGTSTP, but Deno stops.
   */
  #hasShell(): boolean {
    if (this.#libc === undefined) return true;
    const procFs = new ProcFs(this.#libc);
    const own = procFs.stat(process.pid);
    let at = own;
    while (at !== undefined && at.processGroup === own!.processGroup) at = procFs.stat(at.parentPid);
    return at !== undefined && at.session === own!.session;
  }

  #take(data: string): void {
    for (const key of parseKeys(data)) {
      if (key === "ctrl-z") return this.#stop();
      if (key === "ctrl-l") this.#columns = 0; // draws all anew
      else if (key === "ctrl-c" || !this.#view.onKey(key)) return this.#onEnd();
    }
    this.draw();
  }

  /** What has to be written so that the terminal shows what the view draws. */
  #frame(): string {
    const { columns, rows } = this.#currentSize();
    let text = "";
    if (columns !== this.#columns || rows !== this.#rows) {
      [this.#columns, this.#rows] = [columns, rows];
      this.#shown = [];
      text = "\x1b[0m\x1b[2J";
    }
    const lines = this.#view.draw(columns, rows);
    for (let row = 0; row < rows; row++) {
      const line = lines[row] ?? "";
      if (line === (this.#shown[row] ?? "")) continue;
      text += `\x1b[${row + 1};1H\x1b[2K${line}`;
      this.#shown[row] = line;
    }
    return text;
  }

  #write(text: string): void {
    if (text === "") return;
    this.#writing = true;
    this.#output.write(text).then((open) => {
      this.#writing = false;
      if (!open) return this.#onEnd();
      if (this.#drawAgain) this.draw();
      this.#drawAgain = false;
    }, (error) => this.#fail(error));
  }

  #currentSize(): { columns: number; rows: number } {
    const result = this.#libc?.ioctl(STDOUT, TIOCGWINSZ, this.#size) ?? -1;
    const view = viewOf(this.#size);
    const rows = result < 0 ? 0 : view.getUint16(0, LITTLE);
    const columns = result < 0 ? 0 : view.getUint16(2, LITTLE);
    return { columns: columns || 80, rows: rows || 24 };
  }

  /** An error must not end the process while it has the terminal: nobody would see it. */
  #guard(action: () => void): void {
    try {
      action();
    } catch (error) {
      this.#fail(error);
    }
  }

  #fail(error: unknown): void {
    this.#failure ??= { error };
    this.#onEnd();
  }
}
