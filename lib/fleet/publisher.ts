import { jetstream, type JetStreamClient, type JetStreamManager, jetstreamManager } from "@nats-io/jetstream";
import { headers, type NatsConnection } from "@nats-io/transport-node";
import { Backoff } from "./backoff.ts";
import { ANSWER_MS, connectTo, explain, isWrongSequence, type ServerOptions } from "./connect.ts";
import { FleetError } from "./fleet_error.ts";
import { Pause } from "./pause.ts";
import type { SealedSegment, Spool } from "./spool.ts";

/** The header that names a segment: its spool and its number. */
const SEGMENT_HEADER = "Cnctl-Segment";
/** While a spool catches up, a segment is sent each so often at most: a fleet comes back all at once. */
const CATCH_UP_MS = 100;

/** Where segments go. */
export interface PublisherOptions {
  readonly server: ServerOptions;
  readonly stream: string;
  readonly subject: string;
  /** Where the server answers. */
  readonly inbox: string;
  /** Called when segments cannot be sent, with the reason, and with undefined when they can again. */
  readonly onState: (error: FleetError | undefined) => void;
}

/**
 * Publishes the segments of a spool, each exactly once: it begins after the last message of its own subject, and the
 * server refuses a message whose predecessor is another one than expected.
 */
export class Publisher {
  readonly #spool: Spool;
  readonly #options: PublisherOptions;
  readonly #backoff = new Backoff();
  readonly #pause = new Pause();
  #closing = false;
  /** Whether to go on until the spool is empty. */
  #draining = false;
  #connection: NatsConnection | undefined;
  #sent = 0;
  #trouble: string | undefined = "";
  /** The sequence of the last message of the subject. */
  #lastSequence = 0;
  #publishedHere = false;

  constructor(spool: Spool, options: PublisherOptions) {
    this.#spool = spool;
    this.#options = options;
    spool.onSealed = () => this.#pause.end();
  }

  /** Segments that were sent. */
  get sent(): number {
    return this.#sent;
  }

  /** Sends until it is closed. */
  async run(): Promise<void> {
    while (!this.#closing) {
      try {
        await this.#session();
      } catch (error) {
        const explained = explain(error, `ship to ${this.#options.server.url}`);
        if (this.#trouble !== explained.message) this.#options.onState(explained);
        this.#trouble = explained.message;
        if (this.#closing || this.#draining) return;
        const untilMs = performance.now() + this.#backoff.next();
        // What is sealed meanwhile ends the pause, but not the time.
        for (let ms = 1; ms > 0 && !this.#closing && !this.#draining;) {
          ms = untilMs - performance.now();
          if (ms > 0) await this.#pause.wait(ms);
        }
      }
    }
  }

  /** Sends what is there, and ends; what does not arrive in time stays in the spool. */
  async close(running: Promise<void>, graceMs: number): Promise<void> {
    this.#draining = true;
    this.#pause.end();
    const timer = setTimeout(() => {
      this.#closing = true;
      this.#pause.end();
      void this.#connection?.close();
    }, graceMs);
    await running;
    clearTimeout(timer);
  }

  async #session(): Promise<void> {
    const { server, subject, inbox } = this.#options;
    const connection = this.#connection = await connectTo(server, subject, inbox);
    let closed: { readonly error: unknown } | undefined;
    void connection.closed().then((error) => {
      closed = {
        error: error ?? new FleetError(`Cannot ship to ${server.url}: the server has closed the connection`),
      };
      this.#pause.end();
    });
    try {
      const client = jetstream(connection, { timeout: ANSWER_MS });
      const manager = await jetstreamManager(connection, { timeout: ANSWER_MS, checkAPI: false });
      this.#publishedHere = false;
      await this.#findLast(manager);
      let catchingUp = true;
      while (!this.#closing) {
        if (closed !== undefined) throw closed.error;
        const segment = this.#spool.next();
        if (segment === undefined) {
          this.#works();
          catchingUp = false;
          if (this.#draining) this.#closing = true;
          else await this.#pause.wait(Infinity);
          continue;
        }
        await this.#publish(client, manager, segment, connection.info?.max_payload ?? 0);
        this.#works();
        if (catchingUp && !this.#draining) await new Promise((resolve) => setTimeout(resolve, CATCH_UP_MS));
      }
    } finally {
      this.#connection = undefined;
      await connection.close();
    }
  }

  #works(): void {
    if (this.#trouble !== undefined) this.#options.onState(undefined);
    this.#trouble = undefined;
    this.#backoff.reset();
  }

  /** Finds out what has arrived. */
  async #findLast(manager: JetStreamManager): Promise<void> {
    const { stream, subject } = this.#options;
    const action = `read the last message of ${subject} in the stream ${stream}`;
    let last: Awaited<ReturnType<JetStreamManager["direct"]["getMessage"]>>;
    try {
      last = await manager.direct.getMessage(stream, { last_by_subj: subject });
    } catch (error) {
      const explained = explain(error, action);
      if (!explained.message.endsWith("the server does not answer")) throw explained;
      throw new FleetError(
        `Cannot ${action}: there is no such stream, or no JetStream; cnctl collect makes it`,
        {
          cause: error,
        },
      );
    }
    const before = this.#lastSequence;
    this.#lastSequence = last?.seq ?? 0;
    const [spool, number] = last?.header.get(SEGMENT_HEADER).split("/") ?? [];
    if (spool !== this.#spool.id) {
      if (this.#publishedHere && this.#lastSequence > before) {
        throw new FleetError(
          `Cannot ship on ${subject}: another program publishes there; give each machine a --host of its own`,
        );
      }
      return;
    }
    if (Number(number) > this.#spool.lastSegment) {
      throw new FleetError(
        `Cannot ship on ${subject}: the server has segment ${number} of this spool, which ends with ` +
          `${this.#spool.lastSegment}: it was replaced by an older copy; remove it`,
      );
    }
    this.#spool.acknowledge(Number(number));
  }

  async #publish(
    client: JetStreamClient,
    manager: JetStreamManager,
    { segment, body }: SealedSegment,
    maxBytes: number,
  ): Promise<void> {
    const { subject } = this.#options;
    const action = `publish on ${subject}`;
    if (body.length > maxBytes) {
      throw new FleetError(
        `Cannot ${action}: the server takes messages of ${maxBytes} bytes, and a segment has ${body.length}; raise max_payload`,
      );
    }
    const its = headers();
    its.set(SEGMENT_HEADER, `${this.#spool.id}/${segment}`);
    try {
      const expect = { lastSubjectSequence: this.#lastSequence };
      const { seq } = await client.publish(subject, body, {
        headers: its,
        expect,
        timeout: ANSWER_MS,
      });
      this.#lastSequence = seq;
    } catch (error) {
      if (!isWrongSequence(error)) throw explain(error, action);
      // An earlier attempt has arrived, or the stream has forgotten the subject: what is there decides.
      const before = this.#lastSequence;
      await this.#findLast(manager);
      if (this.#lastSequence === before) throw explain(error, action);
      return;
    }
    this.#publishedHere = true;
    this.#sent++;
    this.#spool.acknowledge(segment);
  }
}
