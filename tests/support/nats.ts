import { type ChildProcess, spawn, spawnSync } from "node:child_process";
import { existsSync, readFileSync, writeFileSync } from "node:fs";
import { createConnection, createServer } from "node:net";
import type { AddressInfo } from "node:net";
import { join } from "node:path";
import { sleep } from "./kernel.ts";
import { findProgram } from "./programs.ts";

const LIMIT_MS = 60_000;
const natsServer = findProgram("nats-server");
const openssl = findProgram("openssl");

/** Why there is no server to test with; false if there is one. */
export const noNats: string | false = natsServer === undefined
  ? "nats-server is not installed (Debian: nats-server)"
  : openssl === undefined
  ? "openssl is not installed (Debian: openssl)"
  : false;

/** A server on the loopback, with TLS and users. */
export interface TestServer {
  /** `tls://127.0.0.1:PORT`. */
  readonly url: string;
  /** The file with the authority of its certificate. */
  readonly ca: string;
  /** The file with the credentials of a user: `admin` may do all, others only what a machine of this name needs. */
  credentials(user: string): string;
  /** Starts it, again with what it has stored. */
  start(): Promise<void>;
  kill(signal: "SIGKILL" | "SIGTERM"): Promise<void>;
}

/** What a server may be asked for. */
export interface TestServerOptions {
  /** Machines that may publish. */
  readonly hosts: readonly string[];
  /** The room for streams. */
  readonly storeBytes?: number;
}

/** Starts a server, which ends with the test. */
export async function startNats(
  t: { after(action: () => Promise<void>): void },
  folder: string,
  { hosts, storeBytes = 1 << 30 }: TestServerOptions,
): Promise<TestServer> {
  const at = (name: string): string => join(folder, name);
  const port = await freePort();
  // deno-fmt-ignore
  const { status, stderr } = spawnSync(openssl!, [
    "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-days", "2",
    "-subj", "/CN=localhost", "-addext", "subjectAltName=IP:127.0.0.1", "-keyout", at("key.pem"), "-out", at("cert.pem"),
  ], { encoding: "utf8" });
  if (status !== 0) throw new Error(stderr);
  const users = hosts.map((host) => {
    const subject = `cnctl.default.${host}.process`;
    return `{ user: ${host}, password: ${host}, permissions: {
      publish: ["${subject}", "$JS.API.DIRECT.GET.CNCTL.${subject}"], subscribe: ["_INBOX.default.${host}.>"] } }`;
  });
  writeFileSync(
    at("nats.conf"),
    `listen: "127.0.0.1:${port}"
jetstream { store_dir: "${at("store")}", max_file_store: ${storeBytes} }
tls { cert_file: "${at("cert.pem")}", key_file: "${at("key.pem")}" }
authorization { users = [ { user: admin, password: admin }, ${users.join(", ")} ] }
`,
  );
  let child: ChildProcess | undefined;
  const kill = async (signal: "SIGKILL" | "SIGTERM"): Promise<void> => {
    const its = child;
    child = undefined;
    if (its === undefined) return;
    const ended = new Promise((resolve) => its.once("exit", resolve));
    its.kill(signal);
    await ended;
  };
  const server: TestServer = {
    url: `tls://127.0.0.1:${port}`,
    ca: at("cert.pem"),
    credentials(user) {
      const path = at(`credentials-${user}`);
      if (!existsSync(path)) writeFileSync(path, `${user}:${user}\n`);
      return path;
    },
    async start() {
      child = spawn(natsServer!, ["-c", at("nats.conf"), "-l", at("log")], { stdio: "ignore" });
      const its = child;
      const endMs = performance.now() + LIMIT_MS;
      while (!await answers(port)) {
        if (its.exitCode !== null || performance.now() > endMs) {
          throw new Error(readFileSync(at("log"), "utf8"));
        }
        await sleep(20);
      }
    },
    kill,
  };
  t.after(() => kill("SIGKILL"));
  await server.start();
  return server;
}

function answers(port: number): Promise<boolean> {
  return new Promise((resolve) => {
    const socket = createConnection(port, "127.0.0.1");
    socket.once("data", () => {
      resolve(true);
      socket.destroy();
    }).once("error", () => resolve(false)).once("close", () => resolve(false));
  });
}

/** A port that nothing listens on. */
export async function freePort(): Promise<number> {
  const server = createServer().listen(0, "127.0.0.1");
  await new Promise((resolve) => server.once("listening", resolve));
  const { port } = server.address() as AddressInfo;
  await new Promise((resolve) => server.close(resolve));
  return port;
}
