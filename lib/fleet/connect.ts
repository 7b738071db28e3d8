import { readFileSync } from "node:fs";
import { JetStreamApiError } from "@nats-io/jetstream";
import {
  type Authenticator,
  connect,
  type ConnectionOptions,
  credsAuthenticator,
  errors,
  type NatsConnection,
  nkeyAuthenticator,
  usernamePasswordAuthenticator,
} from "@nats-io/transport-node";
import { FleetError } from "./fleet_error.ts";
import { serverOf } from "./server_url.ts";

/** How long a connection, and an answer, may take. */
export const ANSWER_MS = 5_000;
/** A connection without any sign of life for two of these is given up. */
const PING_MS = 15_000;

/** A server, and who asks it. */
export interface ServerOptions {
  /** `nats://HOST:PORT`, or `tls://HOST:PORT` to use TLS only. */
  readonly url: string;
  /** A file with a NATS credentials file, the seed of an nkey, or `user:password`. */
  readonly credentials?: string | undefined;
  /** A file with certificates that the server's is checked with; default: those of the system. */
  readonly ca?: string | undefined;
  /** Files with the certificate and the key of this client. */
  readonly cert?: string | undefined;
  readonly key?: string | undefined;
}

/**
 * Connects to a server. A connection that ends is not made again: whoever uses it begins anew.
 *
 * @throws {FleetError} If that fails, in a sentence.
 */
export async function connectTo(
  options: ServerOptions,
  name: string,
  inboxPrefix?: string,
): Promise<NatsConnection> {
  const { server, tls } = serverOf(options.url);
  const { ca, cert, key } = options;
  const settings: ConnectionOptions = {
    servers: server,
    name,
    reconnect: false,
    ignoreClusterUpdates: true,
    timeout: ANSWER_MS,
    pingInterval: PING_MS,
    noAsyncTraces: true,
  };
  if (inboxPrefix !== undefined) settings.inboxPrefix = inboxPrefix;
  if (options.credentials !== undefined) settings.authenticator = authenticatorOf(options.credentials);
  if (tls || ca !== undefined || cert !== undefined) {
    settings.tls = {};
    if (ca !== undefined) settings.tls.ca = readText(ca);
    if (cert !== undefined) settings.tls.cert = readText(cert);
    if (key !== undefined) settings.tls.key = readText(key);
  }
  try {
    return await connect(settings);
  } catch (error) {
    throw explain(error, `connect to ${server}`);
  }
}

function authenticatorOf(path: string): Authenticator {
  const text = readText(path).trim();
  if (text.includes("-----BEGIN NATS USER JWT-----")) {
    return credsAuthenticator(new TextEncoder().encode(text));
  }
  if (/^SU[A-Z2-7]{56}$/.test(text)) return nkeyAuthenticator(new TextEncoder().encode(text));
  const at = text.indexOf(":");
  if (at > 0 && !text.includes("\n")) {
    return usernamePasswordAuthenticator(text.slice(0, at), text.slice(at + 1));
  }
  throw new FleetError(
    `Cannot use the credentials in ${path}: it must be a NATS credentials file, the seed of an nkey, or user:password`,
  );
}

function readText(path: string): string {
  try {
    return readFileSync(path, "utf8");
  } catch (error) {
    const { code = String(error) } = error as { readonly code?: string };
    const why = code === "ENOENT"
      ? "there is no such file"
      : code === "EACCES"
      ? "it must not be read"
      : code;
    throw new FleetError(`Cannot read ${path}: ${why}`, { cause: error });
  }
}

/** What JetStream answers when a publisher's idea of the last message of its subject is wrong. */
const WRONG_LAST_SEQUENCE = 10071;

/** Whether another message than the expected one is the last of its subject. */
export function isWrongSequence(error: unknown): boolean {
  return error instanceof JetStreamApiError && error.code === WRONG_LAST_SEQUENCE;
}

/** Sentences for JetStream's error codes. */
const API_ERRORS: Readonly<Record<number, string>> = {
  10023: "the server has no room: free disk space, or raise max_file_store",
  10039: "JetStream is not enabled for this account",
  10047: "the server has not so much storage: raise max_file_store, or choose a smaller --stream-size",
  10058: "there is such a stream already, with other settings",
  10059: "the server has no such stream: cnctl collect makes it",
  10065: "another stream has these subjects: remove it, or name it by --stream",
  [WRONG_LAST_SEQUENCE]: "another message than the expected one is the last of the subject",
  10077: "the stream is full: raise its max_bytes, or let it discard old messages",
};

/** The error for one of the NATS library, in a sentence. `action` completes "Cannot …". */
export function explain(error: unknown, action: string): FleetError {
  if (error instanceof FleetError) return error;
  return new FleetError(`Cannot ${action}: ${reasonOf(error)}`, { cause: error });
}

function reasonOf(error: unknown): string {
  for (let at = error; at instanceof Error; at = at.cause) {
    if (at instanceof errors.PermissionViolationError) {
      const verb = at.operation === "publish" ? "publish on" : "subscribe to";
      return `the server does not permit this user to ${verb} ${at.subject}`;
    }
    if (at instanceof errors.AuthorizationError || at instanceof errors.UserAuthenticationExpiredError) {
      return "the server refuses the credentials, or wants some: see --credentials";
    }
    if (at instanceof JetStreamApiError && API_ERRORS[at.code] !== undefined) return API_ERRORS[at.code]!;
    if (at instanceof errors.NoRespondersError) {
      return "no stream of the server takes it, or JetStream is off: cnctl collect makes the stream";
    }
    if (at instanceof errors.TimeoutError) return "the server does not answer";
    if (at instanceof errors.ClosedConnectionError || at instanceof errors.DrainingConnectionError) {
      return "the server has closed the connection";
    }
    const { code } = at as { readonly code?: unknown };
    if (typeof code === "string" && SYSTEM_ERRORS[code] !== undefined) return SYSTEM_ERRORS[code]!;
  }
  if (error instanceof Error && error.name === "JetStreamNotEnabled") return "JetStream is off";
  const text = error instanceof Error ? error.message : String(error);
  if (text === "server does not support 'tls'") return "the server does not offer TLS";
  if (/^connection closed|^disconnect/i.test(text)) return "the server has closed the connection";
  return text === "" ? "the connection ended" : text;
}

/** Sentences for errors of sockets and of TLS. */
const SYSTEM_ERRORS: Readonly<Record<string, string>> = {
  ECONNREFUSED: "nothing listens there",
  ECONNRESET: "the server has closed the connection",
  ENOTFOUND: "there is no such host",
  EAI_AGAIN: "the name of the host cannot be looked up now",
  EHOSTUNREACH: "the host cannot be reached",
  ENETUNREACH: "the network cannot be reached",
  ETIMEDOUT: "the host does not answer",
  EPIPE: "the server has closed the connection",
  EPERM: "the server has closed the connection", // as Deno has it with TLS
  UNABLE_TO_VERIFY_LEAF_SIGNATURE: "the server's certificate is not of a known authority: see --ca",
  SELF_SIGNED_CERT_IN_CHAIN: "the server's certificate is not of a known authority: see --ca",
  DEPTH_ZERO_SELF_SIGNED_CERT: "the server's certificate is not of a known authority: see --ca",
  UNABLE_TO_GET_ISSUER_CERT_LOCALLY: "the server's certificate is not of a known authority: see --ca",
  CERT_HAS_EXPIRED: "the server's certificate has expired",
  ERR_TLS_CERT_ALTNAME_INVALID: "the server's certificate is for another name",
};
