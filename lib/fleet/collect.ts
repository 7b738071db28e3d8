import {
  type ConsumerMessages,
  DeliverPolicy,
  DiscardPolicy,
  jetstream,
  JetStreamApiCodes,
  JetStreamApiError,
  type JetStreamManager,
  jetstreamManager,
  RetentionPolicy,
  StorageType,
  type StreamInfo,
} from "@nats-io/jetstream";
import process from "node:process";
import { readMachine } from "../history/machine.ts";
import { absolutePath } from "../history/path.ts";
import type { Rotation } from "../history/rotation.ts";
import { ProcFs } from "../procfs/process.ts";
import { openSystem } from "../system.ts";
import { Backoff } from "./backoff.ts";
import { ANSWER_MS, connectTo, explain, type ServerOptions } from "./connect.ts";
import { FleetError } from "./fleet_error.ts";
import { type CollectedCounts, type Delivery, FleetDatabase } from "./fleet_database.ts";
import { Pause } from "./pause.ts";
import { decodeSegment } from "./segment.ts";
import { ALL_SUBJECTS, hostOf, siteSubjects } from "./subject.ts";

/** How often what has come is written. */
const COMMIT_MS = 500;
/** Rows that are written together. */
const MOST_ROWS = 10_000;
/** Messages that the server sends in advance. */
const MOST_AHEAD = 500;
/** How often a part of what is too old is removed. */
const TIDY_MS = 10_000;
const DAY_NS = 86_400 * 1e9;

/** Where from, and what the stream is if it has to be made. */
export interface CollectOptions {
  readonly server: ServerOptions;
  readonly stream: string;
  readonly streamBytes: number;
  readonly streamDays: number;
  /** Only machines of this site. */
  readonly site?: string | undefined;
  /** Called when nothing can be collected, with the reason, and with undefined when it can. */
  readonly onState: (error: Error | undefined) => void;
  /** Called when a message is no segment; once for each machine. */
  readonly onRefused: (subject: string, reason: string) => void;
}

/** Counters of a collector. */
export interface CollectorStats extends CollectedCounts {
  /** Messages that were no segments. */
  readonly refused: number;
}

/**
 * Opens a database, to fill it from a server.
 *
 * @throws {HistoryError} If it cannot be written, is something else, or another collector fills it.
 */
export function openCollector(path: string, rotation: Rotation, options: CollectOptions): Collector {
  const file = absolutePath(path, "collect");
  const { libc } = openSystem(`collect into ${file}`);
  const procFs = new ProcFs(libc);
  const startTicksOf = (pid: number): number | undefined => procFs.stat(pid)?.startTimeTicks;
  const own = {
    bootId: readMachine(libc).bootId,
    pid: process.pid,
    startTicks: startTicksOf(process.pid) ?? 0,
  };
  return new Collector(new FleetDatabase(file, rotation, own, startTicksOf), options);
}

/**
 * Fills a database from a stream. Where it is in the stream is written together with the rows, so that each message counts
 * once, whatever is killed when.
 */
export class Collector implements Disposable {
  readonly #database: FleetDatabase;
  readonly #options: CollectOptions;
  readonly #backoff = new Backoff();
  readonly #pause = new Pause();
  readonly #refusedSubjects = new Set<string>();
  #refused = 0;
  #closing = false;
  #trouble: string | undefined = "";
  #messages: ConsumerMessages | undefined;
  #deliveries: Delivery[] = [];
  #rows = 0;
  #sequence = 0;
  #written = 0;
  #created = "";
  #tidiedMs = 0;

  constructor(database: FleetDatabase, options: CollectOptions) {
    this.#database = database;
    this.#options = options;
  }

  stats(): CollectorStats {
    return { ...this.#database.counts, refused: this.#refused };
  }

  /** Collects until it is closed. */
  async run(): Promise<void> {
    while (!this.#closing) {
      try {
        await this.#session();
      } catch (error) {
        const explained = error instanceof Error && error.name === "HistoryError"
          ? error
          : explain(error, `collect from ${this.#options.server.url}`);
        if (this.#trouble !== explained.message) this.#options.onState(explained);
        this.#trouble = explained.message;
        if (!this.#closing) await this.#pause.wait(this.#backoff.next());
      }
    }
  }

  /** Writes what has come, and stops. */
  close(): void {
    this.#closing = true;
    this.#pause.end();
    this.#messages?.stop();
  }

  [Symbol.dispose](): void {
    this.#database[Symbol.dispose]();
  }

  async #session(): Promise<void> {
    const { server, stream, site } = this.#options;
    const connection = await connectTo(server, "cnctl collect");
    let timer: ReturnType<typeof setInterval> | undefined;
    try {
      const manager = await jetstreamManager(connection, { timeout: ANSWER_MS, checkAPI: false });
      const info = await this.#stream(manager);
      this.#created = info.created;
      const position = this.#database.position();
      const after = position?.created === info.created ? position.sequence : 0;
      this.#deliveries = [];
      this.#rows = 0;
      this.#sequence = this.#written = after;
      const consumer = await jetstream(connection, { timeout: ANSWER_MS }).consumers.get(stream, {
        deliver_policy: DeliverPolicy.StartSequence,
        opt_start_seq: after + 1,
        filter_subjects: site === undefined ? ALL_SUBJECTS : siteSubjects(site),
      });
      const messages = this.#messages = await consumer.consume({ max_messages: MOST_AHEAD });
      if (this.#closing) messages.stop();
      let failed: { readonly error: unknown } | undefined;
      const end = (error: unknown): void => {
        failed ??= { error };
        messages.stop();
      };
      void connection.closed().then((error) =>
        end(
          error ?? new FleetError(`Cannot collect from ${server.url}: the server has closed the connection`),
        )
      );
      timer = setInterval(() => {
        try {
          this.#write();
          this.#tidy();
        } catch (error) {
          end(error);
        }
      }, COMMIT_MS);
      this.#works();
      for await (const message of messages) {
        if (failed !== undefined) break;
        this.#take(message.subject, message.data);
        this.#sequence = message.seq;
        if (this.#rows >= MOST_ROWS) this.#write();
      }
      if (this.#closing) this.#write();
      else if (failed !== undefined) throw failed.error;
      else throw new FleetError(`Cannot collect from ${server.url}: the server sends no more`);
    } finally {
      clearInterval(timer);
      this.#messages = undefined;
      await connection.close();
    }
  }

  #works(): void {
    if (this.#trouble !== undefined) this.#options.onState(undefined);
    this.#trouble = undefined;
    this.#backoff.reset();
  }

  #take(subject: string, bytes: Uint8Array): void {
    try {
      const host = hostOf(subject);
      if (host === undefined) throw new FleetError("the subject is of no machine");
      const segment = decodeSegment(bytes);
      this.#deliveries.push({ host, segment });
      this.#rows += segment.rows.length;
    } catch (error) {
      this.#refused++;
      if (this.#refusedSubjects.has(subject)) return;
      this.#refusedSubjects.add(subject);
      this.#options.onRefused(subject, (error as Error).message);
    }
  }

  #write(): void {
    if (this.#sequence === this.#written) return;
    this.#database.apply(this.#deliveries, { created: this.#created, sequence: this.#sequence });
    this.#written = this.#sequence;
    this.#deliveries = [];
    this.#rows = 0;
  }

  #tidy(): void {
    const nowMs = performance.now();
    if (nowMs - this.#tidiedMs < TIDY_MS) return;
    if (!this.#database.tidy(Date.now() * 1000)) this.#tidiedMs = nowMs;
  }

  /** The stream, which is made if there is none. */
  async #stream(manager: JetStreamManager): Promise<StreamInfo> {
    const { stream, streamBytes, streamDays } = this.#options;
    try {
      return await manager.streams.info(stream);
    } catch (error) {
      if (!(error instanceof JetStreamApiError) || error.code !== JetStreamApiCodes.StreamNotFound) {
        throw explain(error, `look up the stream ${stream}`);
      }
    }
    try {
      return await manager.streams.add({
        name: stream,
        subjects: [ALL_SUBJECTS],
        retention: RetentionPolicy.Limits,
        storage: StorageType.File,
        discard: DiscardPolicy.Old,
        max_bytes: streamBytes,
        max_age: streamDays * DAY_NS,
        allow_direct: true,
      });
    } catch (error) {
      throw explain(error, `make the stream ${stream}`);
    }
  }
}
