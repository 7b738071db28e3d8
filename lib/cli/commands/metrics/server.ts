import { InvalidArgumentError } from "commander";
import type { IncomingMessage, Server, ServerResponse } from "node:http";
import type { AddressInfo } from "node:net";
import process from "node:process";
import { CONTENT_TYPE } from "../../../metrics/text.ts";

/** Where a server listens. */
export interface ListenAddress {
  readonly host: string;
  readonly port: number;
}

/** How long a client may take to ask. */
const REQUEST_MS = 10_000;
const MOST_CONNECTIONS = 64;

/** `127.0.0.1:9469`, `[::1]:9469` or `:9469`, for all addresses. */
export function parseListen(text: string): ListenAddress {
  const match = /^(?:\[([\da-f:.]+)\]|([^\s:[\]]*)):(\d{1,5})$/i.exec(text);
  const port = Number(match?.[3] ?? NaN);
  if (match === null || !(port <= 65_535)) {
    throw new InvalidArgumentError("It must be an address and a port, such as 127.0.0.1:9469 or [::1]:9469.");
  }
  return { host: match[1] ?? match[2]!, port };
}

/** Answers scrapes. */
export class MetricsServer implements AsyncDisposable {
  readonly #server: Server;

  private constructor(server: Server) {
    this.#server = server;
  }

  /** Listens; `text` makes the answer. */
  static async open({ host, port }: ListenAddress, text: () => string): Promise<MetricsServer> {
    // Not at import time: it takes every command of Node 20 ms.
    const { createServer } = process.getBuiltinModule("node:http");
    const server = createServer((request, response) => answer(request, response, text));
    server.requestTimeout = server.headersTimeout = REQUEST_MS;
    server.maxConnections = MOST_CONNECTIONS;
    await new Promise<void>((resolve, reject) => {
      server.once("error", (error: Error & { code?: string }) => {
        const reason = REASONS[error.code ?? ""] ?? error.code ?? error.message;
        reject(
          new Error(`Cannot listen on ${host === "" ? "all addresses" : host}, port ${port}: ${reason}`),
        );
      });
      server.listen(host === "" ? { port } : { host, port }, resolve);
    });
    return new MetricsServer(server);
  }

  /** What to scrape. */
  get url(): string {
    const { address, port } = this.#server.address() as AddressInfo;
    return `http://${address.includes(":") ? `[${address}]` : address}:${port}/metrics`;
  }

  [Symbol.asyncDispose](): Promise<void> {
    return new Promise((resolve) => {
      this.#server.close(() => resolve());
      this.#server.closeAllConnections();
    });
  }
}

const REASONS: Readonly<Record<string, string>> = {
  EADDRINUSE: "another program does",
  EACCES: "it is not permitted: ports below 1024 want CAP_NET_BIND_SERVICE",
  EADDRNOTAVAIL: "this machine has no such address",
  EINVAL: "this machine has no such address",
  ENOTFOUND: "there is no such host",
};

function answer({ method, url = "/" }: IncomingMessage, response: ServerResponse, text: () => string): void {
  const path = url.split("?")[0];
  if (method !== "GET" && method !== "HEAD") {
    response.writeHead(405, { allow: "GET, HEAD" }).end();
  } else if (path === "/metrics") {
    response.writeHead(200, { "content-type": CONTENT_TYPE });
    response.end(method === "HEAD" ? undefined : text());
  } else if (path === "/") {
    response.writeHead(200, { "content-type": "text/plain; charset=utf-8" });
    response.end("cnctl metrics: see /metrics\n");
  } else {
    response.writeHead(404).end();
  }
}
