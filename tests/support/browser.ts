import { type ChildProcess, spawn } from "node:child_process";
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import process from "node:process";
import type { Readable, Writable } from "node:stream";
import { findProgram } from "./programs.ts";

/** Why there is no browser to test with, or undefined. */
export function whyNoBrowser(): string | undefined {
  return findProgram("chromium") === undefined ? "there is no chromium (Debian: chromium)" : undefined;
}

/** Enough for a slow and loaded machine. */
const LIMIT_MS = 60_000;

/** What a browser acts on besides `key`. */
const KEY_CODES: Readonly<Record<string, number>> = {
  Tab: 9,
  Enter: 13,
  Escape: 27,
  ArrowLeft: 37,
  ArrowRight: 39,
};

type Json = Readonly<Record<string, unknown>>;

/** Chromium without a window, and one page in it. */
export interface Page extends AsyncDisposable {
  /** The addresses of all requests of the page, and what it wrote to its console. */
  readonly requests: readonly string[];
  readonly messages: readonly string[];
  /** Opens an address, and waits until it is loaded. */
  open(url: string): Promise<void>;
  /** The value of an expression, which may be a promise. */
  evaluate<T>(expression: string): Promise<T>;
  /** Waits until an expression is true. */
  until(expression: string): Promise<void>;
  /** Sends a command of the DevTools protocol. */
  send(method: string, parameters?: Json): Promise<Json>;
  click(x: number, y: number): Promise<void>;
  /** Presses a key by its name in `KeyboardEvent.key`. */
  press(key: string): Promise<void>;
  /** Turns the wheel at a point. */
  wheel(x: number, y: number, deltaY: number): Promise<unknown>;
  /** Moves from a point to another with the button pressed. */
  drag(from: readonly [x: number, y: number], to: readonly [x: number, y: number]): Promise<void>;
  /** A PNG of what is visible. */
  screenshot(): Promise<Uint8Array>;
  /** Sets the size of the page, and whether its user prefers dark. */
  resize(width: number, height: number, dark?: boolean): Promise<void>;
}

/** Starts Chromium. Its profile is in a folder of its own and is removed with it. */
export async function openPage(): Promise<Page> {
  const profile = mkdtempSync(join(tmpdir(), "kernel-connector-chromium-"));
  const child = spawn(findProgram("chromium")!, [
    "--headless=new",
    "--remote-debugging-pipe",
    "--no-sandbox", // which needs namespaces that a container may refuse; the page is ours
    "--no-first-run",
    "--disable-gpu",
    "--disable-dev-shm-usage",
    "--disable-background-networking",
    "--disable-component-update",
    "--hide-scrollbars",
    `--user-data-dir=${profile}`,
    "about:blank",
  ], { stdio: ["ignore", "ignore", "ignore", "pipe", "pipe"], detached: true });
  const close = async (): Promise<void> => {
    await ended(child);
    rmSync(profile, { recursive: true, force: true, maxRetries: 20, retryDelay: 100 });
  };
  try {
    const browser = new Connection(child);
    const { targetInfos } = await browser.send("Target.getTargets") as {
      readonly targetInfos: readonly { readonly type: string; readonly targetId: string }[];
    };
    const targetId = targetInfos.find(({ type }) => type === "page")?.targetId ??
      (await browser.send("Target.createTarget", { url: "about:blank" })).targetId;
    const { sessionId } = await browser.send("Target.attachToTarget", { targetId, flatten: true });
    return await makePage(browser, sessionId as string, close);
  } catch (error) {
    await close();
    throw error;
  }
}

async function makePage(browser: Connection, session: string, close: () => Promise<void>): Promise<Page> {
  const requests: string[] = [];
  const messages: string[] = [];
  let onLoad: (() => void) | undefined;
  browser.onEvent = (method, parameters) => {
    if (method === "Network.requestWillBeSent") requests.push((parameters.request as { url: string }).url);
    if (method === "Page.loadEventFired") onLoad?.();
    if (["Runtime.exceptionThrown", "Runtime.consoleAPICalled", "Log.entryAdded"].includes(method)) {
      messages.push(JSON.stringify(parameters));
    }
  };
  const send = (method: string, parameters: Json = {}): Promise<Json> =>
    browser.send(method, parameters, session);
  for (const domain of ["Page", "Network", "Runtime", "Log"]) await send(`${domain}.enable`);

  const evaluate = async <T>(expression: string): Promise<T> => {
    const { result, exceptionDetails } = await send("Runtime.evaluate", {
      expression,
      awaitPromise: true,
      returnByValue: true,
    }) as { readonly result: { readonly value?: T }; readonly exceptionDetails?: Json };
    if (exceptionDetails !== undefined) throw new Error(`${expression}: ${JSON.stringify(exceptionDetails)}`);
    return result.value as T;
  };
  const mouse = (type: string, x: number, y: number): Promise<Json> =>
    send("Input.dispatchMouseEvent", { type, x, y, button: "left", clickCount: 1 });
  return {
    requests,
    messages,
    send,
    evaluate,
    async open(url) {
      const loaded = new Promise<void>((resolve) => onLoad = resolve);
      await send("Page.navigate", { url });
      await within(loaded, `loading ${url}`);
    },
    async until(expression) {
      const end = Date.now() + LIMIT_MS;
      while (!await evaluate<boolean>(`Boolean(${expression})`)) {
        if (Date.now() > end) throw new Error(`It does not become true: ${expression}`);
        await new Promise((resolve) => setTimeout(resolve, 20));
      }
    },
    async click(x, y) {
      await mouse("mouseMoved", x, y);
      await mouse("mousePressed", x, y);
      await mouse("mouseReleased", x, y);
    },
    async press(key) {
      const text = key.length === 1 ? { text: key } : key === "Enter" ? { text: "\r" } : {};
      const code = { windowsVirtualKeyCode: KEY_CODES[key] ?? 0 };
      await send("Input.dispatchKeyEvent", {
        type: "text" in text ? "keyDown" : "rawKeyDown",
        key,
        ...text,
        ...code,
      });
      await send("Input.dispatchKeyEvent", { type: "keyUp", key, ...code });
    },
    wheel: (x, y, deltaY) =>
      send("Input.dispatchMouseEvent", { type: "mouseWheel", x, y, deltaX: 0, deltaY }),
    async drag([fromX, fromY], [toX, toY]) {
      await mouse("mouseMoved", fromX, fromY);
      await mouse("mousePressed", fromX, fromY);
      for (const part of [0.25, 0.5, 0.75, 1]) {
        await mouse("mouseMoved", fromX + (toX - fromX) * part, fromY + (toY - fromY) * part);
      }
      await mouse("mouseReleased", toX, toY);
    },
    async screenshot() {
      const { data } = await send("Page.captureScreenshot", { format: "png" });
      return Uint8Array.from(atob(data as string), (character) => character.charCodeAt(0));
    },
    async resize(width, height, dark = false) {
      await send("Emulation.setDeviceMetricsOverride", {
        width,
        height,
        deviceScaleFactor: 1,
        mobile: false,
      });
      const features = [{ name: "prefers-color-scheme", value: dark ? "dark" : "light" }];
      await send("Emulation.setEmulatedMedia", { features });
    },
    [Symbol.asyncDispose]: close,
  };
}

/** The DevTools protocol over two pipes: JSON, each message ended by a zero byte. */
class Connection {
  readonly #out: Writable;
  readonly #waiting = new Map<number, { resolve(result: Json): void; reject(error: Error): void }>();
  #next = 1;
  onEvent: (method: string, parameters: Json) => void = () => {};

  constructor(child: ChildProcess) {
    this.#out = child.stdio[3] as Writable;
    const input = child.stdio[4] as Readable;
    let rest = "";
    input.setEncoding("utf8").on("data", (text: string) => {
      const parts = (rest + text).split("\0");
      rest = parts.pop()!;
      for (const part of parts) this.#receive(JSON.parse(part));
    });
    for (const stream of [this.#out, input]) stream.on("error", () => {});
    child.on("error", (error) => this.#fail(error));
    child.on("exit", () => this.#fail(new Error("Chromium has ended")));
  }

  send(method: string, params: Json = {}, sessionId?: string): Promise<Json> {
    const id = this.#next++;
    const answer = new Promise<Json>((resolve, reject) => this.#waiting.set(id, { resolve, reject }));
    this.#out.write(`${JSON.stringify({ id, method, params, sessionId })}\0`);
    return within(answer, method);
  }

  #receive({ id, method, params, result, error }: Json): void {
    if (typeof id !== "number") return this.onEvent(method as string, params as Json);
    const waiting = this.#waiting.get(id);
    this.#waiting.delete(id);
    if (error === undefined) waiting?.resolve(result as Json);
    else waiting?.reject(new Error(JSON.stringify(error)));
  }

  #fail(error: Error): void {
    for (const { reject } of this.#waiting.values()) reject(error);
    this.#waiting.clear();
  }
}

async function within<T>(promise: Promise<T>, what: string): Promise<T> {
  let timer: ReturnType<typeof setTimeout> | undefined;
  const late = new Promise<never>((_, reject) => {
    timer = setTimeout(() => reject(new Error(`${what} takes longer than ${LIMIT_MS} ms`)), LIMIT_MS);
  });
  try {
    return await Promise.race([promise, late]);
  } finally {
    clearTimeout(timer);
  }
}

/** Ends Chromium with all of its processes, which are a group. */
function ended(child: ChildProcess): Promise<void> {
  if (child.pid === undefined || child.exitCode !== null || child.signalCode !== null) {
    return Promise.resolve();
  }
  const exit = new Promise<void>((resolve) => child.once("exit", () => resolve()));
  process.kill(-child.pid, "SIGKILL");
  return exit;
}
