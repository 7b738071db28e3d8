import { createServer, type IncomingMessage } from "node:http";
import type { AddressInfo } from "node:net";
import type { TestContext } from "node:test";

/** A span as it was received. */
export interface ReceivedSpan {
  readonly traceId: string;
  readonly spanId: string;
  readonly parentSpanId: string | undefined;
  readonly name: string;
  /** By key; what was missing is undefined. */
  readonly attributes: Readonly<Record<string, unknown>>;
  readonly events: readonly {
    readonly name: string;
    readonly attributes: Readonly<Record<string, unknown>>;
  }[];
  readonly status: { readonly code: number; readonly message: string } | undefined;
}

/** What a receiver answers: of several the first, then the next; the last one from then on. */
export interface Answer {
  readonly status: number;
  readonly headers?: Readonly<Record<string, string>>;
  readonly body?: string;
}

/** A receiver of OTLP/JSON on loopback, in the place of a collector. */
export interface OtlpReceiver {
  readonly url: string;
  /** All requests, also those that were refused. */
  readonly requests: {
    readonly path: string;
    readonly headers: IncomingMessage["headers"];
    readonly body: string;
  }[];
  /** The spans of the requests that were accepted, in order. */
  readonly spans: ReceivedSpan[];
  /** Attributes of the last resource. */
  resource: Readonly<Record<string, unknown>>;
}

const ACCEPT: Answer = { status: 200, body: "{}" };

/** Starts a receiver, until the test ends. */
export async function otlpReceiver(
  t: TestContext,
  answers: readonly Answer[] = [ACCEPT],
): Promise<OtlpReceiver> {
  const receiver: OtlpReceiver & { url: string } = { url: "", requests: [], spans: [], resource: {} };
  const server = createServer((request, response) => {
    const parts: Uint8Array[] = [];
    request.on("data", (part: Uint8Array) => parts.push(part));
    request.on("end", () => {
      const body = new TextDecoder("utf-8", { fatal: true }).decode(joined(parts));
      const answer = answers[Math.min(receiver.requests.length, answers.length - 1)]!;
      receiver.requests.push({ path: request.url!, headers: request.headers, body });
      if (answer.status === 200) {
        const { resource, spans } = readSpans(body);
        receiver.resource = resource;
        receiver.spans.push(...spans);
      }
      if (answer.status === 0) return; // it never answers
      response.writeHead(answer.status, answer.headers).end(answer.body ?? "");
    });
  });
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  t.after(() => {
    server.close();
    server.closeAllConnections();
  });
  receiver.url = `http://127.0.0.1:${(server.address() as AddressInfo).port}`;
  return receiver;
}

/** The spans of an `ExportTraceServiceRequest`. */
export function readSpans(
  json: string,
): { readonly resource: Readonly<Record<string, unknown>>; readonly spans: readonly ReceivedSpan[] } {
  const [{ resource, scopeSpans: [{ spans }] }] = JSON.parse(json).resourceSpans;
  return {
    resource: attributesOf(resource.attributes),
    // deno-lint-ignore no-explicit-any
    spans: spans.map((span: any) => ({
      ...span,
      attributes: attributesOf(span.attributes),
      events: (span.events ?? []).map(({ attributes, ...event }: { attributes: [] }) => ({
        ...event,
        attributes: attributesOf(attributes),
      })),
    })),
  };
}

type KeyValue = { readonly key: string; readonly value: Readonly<Record<string, unknown>> };

function attributesOf(list: readonly KeyValue[]): Record<string, unknown> {
  return Object.fromEntries(list.map(({ key, value }) => [key, valueOf(value)]));
}

function valueOf(value: Readonly<Record<string, unknown>>): unknown {
  const [[type, its]] = Object.entries(value) as [[string, unknown]];
  switch (type) {
    case "intValue":
      return Number(its);
    case "arrayValue":
      return (its as { values: Readonly<Record<string, unknown>>[] }).values.map(valueOf);
    default:
      return its;
  }
}

function joined(parts: readonly Uint8Array[]): Uint8Array {
  const bytes = new Uint8Array(parts.reduce((sum, part) => sum + part.length, 0));
  let at = 0;
  for (const part of parts) {
    bytes.set(part, at);
    at += part.length;
  }
  return bytes;
}
