import {
  checkFunction,
  checkObject,
  checkOptions,
  checkSignal,
  checkString,
  checkTimeoutMs,
  type OptionChecks,
} from "../errors/arguments.ts";
import { type OtlpOptions, type OtlpRequest, otlpRequests } from "./otlp.ts";
import type { Trace } from "./trace.ts";

const ACTION = "send spans";
const PATH = "/v1/traces";
/** The specification says which are worth another attempt. */
const RETRYABLE: ReadonlySet<number> = new Set([429, 502, 503, 504]);
const MOST_ATTEMPTS = 6;
/** Before the second attempt; it doubles each time, so that all of them take half a minute. */
const FIRST_PAUSE_MS = 1000;
/** Whoever wants us to wait longer is given up. */
const LONGEST_PAUSE_MS = 60_000;
const TIMEOUT_MS = 10_000;
/** How much of an answer is read, and of what is not understood is shown. */
const ANSWER_BYTES = 65_536;
const SHOWN_CHARACTERS = 200;

/** How spans are sent. */
export interface ExportOtlpOptions extends OtlpOptions {
  /** Headers of HTTP, such as those of an authorization. */
  readonly headers?: Readonly<Record<string, string>> | undefined;
  /** How long an attempt may take. Default 10,000 ms. */
  readonly timeoutMs?: number | undefined;
  /** Called before another attempt, with the reason. */
  readonly onRetry?: ((reason: string, pauseMs: number) => void) | undefined;
  /** Ends it: it then rejects with the reason of the signal. */
  readonly signal?: AbortSignal | undefined;
}

/** What became of the spans. */
export interface ExportOtlpResult {
  /** How many were sent. */
  readonly spans: number;
  /** How many of these the receiver did not take. */
  readonly rejected: number;
  /** What the receiver says about that, or a warning. */
  readonly message: string | undefined;
}

const OPTIONS: OptionChecks<ExportOtlpOptions> = {
  resource: checkStrings,
  headers: checkStrings,
  timeoutMs: checkTimeoutMs,
  onRetry: checkFunction,
  signal: checkSignal,
};

function checkStrings(value: unknown, name: string, action: string): void {
  checkObject(value, name, action);
  for (const [key, each] of Object.entries(value as object)) checkString(each, `${name}.${key}`, action);
}

/**
 * Sends a trace as spans to an OpenTelemetry collector: as {@linkcode formatOtlp} makes them, by HTTP to
 * `endpoint`/v1/traces. If that cannot be reached, or answers 429, 502, 503 or 504, it is tried again five times within
 * half a minute, or when `Retry-After` says. After a lost answer spans may be there twice, with the same ids.
 *
 * @throws {TypeError} If the endpoint is no URL of HTTP.
 * @throws {Error} If it could not be reached or did not take the spans; what was sent before stays.
 * @example
 * ```ts ignore
 * import { readFileSync } from "node:fs";
 * import { exportOtlp, readTrace } from "kernel-connector/trace";
 *
 * await exportOtlp(readTrace(readFileSync("build.trace")), "http://localhost:4318");
 * ```
 */
export async function exportOtlp(
  trace: Trace,
  endpoint: string,
  options: ExportOtlpOptions = {},
): Promise<ExportOtlpResult> {
  const url = otlpUrl(endpoint);
  checkOptions(options, OPTIONS, ACTION);
  const sender = new Sender(url, trace.processes.length, options);
  for (const request of otlpRequests(trace, options)) await sender.send(request);
  return sender.result();
}

/**
 * The URL that spans are sent to.
 *
 * @throws {TypeError} If `endpoint` is no URL of HTTP.
 */
export function otlpUrl(endpoint: string): URL {
  checkString(endpoint, "endpoint", ACTION);
  const url = URL.parse(endpoint);
  if (url === null || !/^https?:$/.test(url.protocol)) {
    throw new TypeError(`Cannot ${ACTION}: the endpoint must be a URL such as http://localhost:4318`);
  }
  if (url.username !== "" || url.password !== "") {
    throw new TypeError(`Cannot ${ACTION}: the endpoint must have no user name; use a header`);
  }
  url.hash = "";
  if (!url.pathname.endsWith(PATH)) url.pathname = url.pathname.replace(/\/*$/, PATH);
  return url;
}

/** An answer that is worth another attempt, or none. */
interface Failure {
  readonly reason: string;
  readonly retryAfterMs: number | undefined;
}

class Sender {
  readonly #url: URL;
  readonly #total: number;
  readonly #options: ExportOtlpOptions;
  #spans = 0;
  #rejected = 0;
  #message: string | undefined;

  constructor(url: URL, total: number, options: ExportOtlpOptions) {
    this.#url = url;
    this.#total = total;
    this.#options = options;
  }

  result(): ExportOtlpResult {
    return { spans: this.#spans, rejected: this.#rejected, message: this.#message };
  }

  /** Sends one request, with as many attempts as it takes. */
  async send({ json, spans }: OtlpRequest): Promise<void> {
    const { signal, onRetry } = this.#options;
    let pauseMs = FIRST_PAUSE_MS;
    for (let attempt = 1;; attempt++) {
      const failure = await this.#attempt(json);
      signal?.throwIfAborted();
      if (failure === undefined) {
        this.#spans += spans;
        return;
      }
      const { reason, retryAfterMs } = failure;
      // Not all at the same time, if there are others.
      const waitMs = retryAfterMs ?? pauseMs * (0.8 + 0.4 * Math.random());
      if (attempt === MOST_ATTEMPTS || waitMs > LONGEST_PAUSE_MS) {
        throw this.#error(reason);
      }
      onRetry?.(reason, waitMs);
      await pause(waitMs, signal);
      pauseMs *= 2;
    }
  }

  async #attempt(json: string): Promise<Failure | undefined> {
    const { headers, timeoutMs = TIMEOUT_MS, signal } = this.#options;
    const timeout = AbortSignal.timeout(Math.min(timeoutMs, 2 ** 31 - 1));
    let response: Response;
    let text: string;
    try {
      response = await fetch(this.#url, {
        method: "POST",
        headers: { ...headers, "content-type": "application/json" },
        body: json,
        redirect: "manual", // headers may hold a token, which is not for others
        signal: signal === undefined ? timeout : AbortSignal.any([signal, timeout]),
      });
      text = await readText(response);
    } catch (error) {
      if (timeout.aborted) return { reason: `no answer within ${timeoutMs} ms`, retryAfterMs: undefined };
      if ((error as Error).name === "NotCapable") throw this.#error((error as Error).message, error); // Deno
      return { reason: networkReason(error), retryAfterMs: undefined };
    }
    if (response.ok) {
      this.#note(text);
      return undefined;
    }
    const { status, statusText } = response;
    const shown = text.slice(0, SHOWN_CHARACTERS);
    const reason = `it answered ${status} ${statusText}`.trimEnd() + (shown === "" ? "" : `: ${shown}`);
    if (!RETRYABLE.has(status)) throw this.#error(reason);
    return { reason, retryAfterMs: retryAfterMs(response.headers.get("retry-after")) };
  }

  /** Notes what the answer says about spans that were not taken: these are not sent again. */
  #note(text: string): void {
    let answer: { partialSuccess?: { rejectedSpans?: unknown; errorMessage?: unknown } | null } | null;
    try {
      answer = JSON.parse(text);
    } catch {
      return; // it may be empty, or protobuf
    }
    const { rejectedSpans, errorMessage } = answer?.partialSuccess ?? {};
    const rejected = Number(rejectedSpans ?? 0);
    if (rejected > 0) this.#rejected += rejected;
    if (typeof errorMessage === "string" && errorMessage !== "") this.#message = errorMessage;
  }

  #error(reason: string, cause?: unknown): Error {
    const { origin, pathname } = this.#url; // the rest may hold a key
    const sent = this.#spans === 0 ? "" : `; ${this.#spans} of ${this.#total} spans were sent`;
    return new Error(`Cannot ${ACTION} to ${origin}${pathname}: ${reason}${sent}`, { cause });
  }
}

/** The beginning of the body. */
async function readText(response: Response): Promise<string> {
  const decoder = new TextDecoder();
  const reader = response.body?.getReader();
  if (reader === undefined) return "";
  let text = "";
  for (let bytes = 0; bytes < ANSWER_BYTES;) {
    const { done, value } = await reader.read();
    if (done) return text;
    bytes += value.length;
    text += decoder.decode(value, { stream: true });
  }
  await reader.cancel();
  return text;
}

/** Why there was no answer: each runtime has its own words. */
function networkReason(error: unknown): string {
  const { cause, code, message } = error as { cause?: { code?: string }; code?: string; message: string };
  return `it cannot be reached: ${cause?.code ?? code ?? message}`;
}

/** `Retry-After`: seconds, or a date; undefined if it is missing, or neither. */
function retryAfterMs(value: string | null): number | undefined {
  if (value === null) return undefined;
  if (/^\s*\d{1,9}\s*$/.test(value)) return Number(value) * 1000;
  const timeMs = Date.parse(value);
  return Number.isNaN(timeMs) ? undefined : Math.max(0, timeMs - Date.now());
}

function pause(ms: number, signal: AbortSignal | undefined): Promise<void> {
  return new Promise((resolve, reject) => {
    const finish = (): void => {
      clearTimeout(timer);
      signal?.removeEventListener("abort", finish);
      if (signal?.aborted) reject(signal.reason);
      else resolve();
    };
    const timer = setTimeout(finish, ms);
    signal?.addEventListener("abort", finish, { once: true });
    if (signal?.aborted) finish();
  });
}
