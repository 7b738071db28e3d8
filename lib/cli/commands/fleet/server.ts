import { type Command, InvalidArgumentError } from "commander";
import { serverOf } from "../../../fleet/server_url.ts";

/** The options of a command that talks to a server. */
export interface ServerFlags {
  readonly credentials?: string;
  readonly ca?: string;
  readonly cert?: string;
  readonly key?: string;
  readonly stream: string;
}

/** The stream, unless an option says otherwise. */
const STREAM = "CNCTL";

/** What `--help` says about servers. */
export const SERVER_DETAILS: string = `
The server is a NATS server with JetStream, nats://HOST:PORT. TLS is used where
the server offers it, and with tls:// or --ca never left out. --credentials is a
file: a NATS credentials file, the seed of an nkey, or user:password. While the
server cannot be reached or refuses something, the reason is printed, and it
is tried again after 0.5 to 60 seconds.`;

/** Adds them. */
export function addServerFlags(command: Command): Command {
  return command
    .option("--credentials <file>", "the file with the credentials")
    .option("--ca <file>", "check the server's certificate with these")
    .option("--cert <file>", "the certificate of this client")
    .option("--key <file>", "the key of that certificate")
    .option("--stream <name>", "the stream", streamName, STREAM);
}

/** A URL of a server. */
export function serverUrl(text: string): string {
  try {
    serverOf(text);
    return text;
  } catch (error) {
    throw new InvalidArgumentError(sentence((error as Error).message));
  }
}

function streamName(text: string): string {
  if (/^[\w-]{1,255}$/.test(text)) return text;
  throw new InvalidArgumentError("It must be letters, digits, - and _.");
}

function sentence(text: string): string {
  return `${text[0]!.toUpperCase()}${text.slice(1)}.`;
}

/** A subject has at most so many characters; escaped, a name may be thrice as long. */
const MOST_NAME = 255;

/** The name of a machine or of a site. */
export function nameOfHost(text: string): string {
  if (text === "" || text.length > MOST_NAME || !text.isWellFormed()) {
    throw new InvalidArgumentError(`It must be a name of up to ${MOST_NAME} characters.`);
  }
  return text;
}
