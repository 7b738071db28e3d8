import { type HistoryRecorder, startRecorder } from "../history/recorder.ts";
import { absolutePath } from "../history/path.ts";
import type { ServerOptions } from "./connect.ts";
import type { FleetError } from "./fleet_error.ts";
import { Publisher } from "./publisher.ts";
import { Spool, type SpoolStats } from "./spool.ts";
import { inboxOf, subjectOf } from "./subject.ts";

/** How long what is still there is sent when it is to stop. */
const DRAIN_MS = 5000;

/** What is shipped, and where to. */
export interface ShipOptions {
  readonly server: ServerOptions;
  readonly stream: string;
  readonly site: string;
  readonly host: string;
  readonly spool: string;
  readonly spoolBytes: number;
  readonly version: string;
  /** Called when nothing can be written into the spool, and with undefined when it can again. */
  readonly onSpoolTrouble: (error: Error | undefined) => void;
  /** Called when nothing can be sent, and with undefined when it can again, as at first. */
  readonly onState: (error: FleetError | undefined) => void;
}

/** A shipper that runs. */
export interface Shipper {
  /** Resolves when it has stopped, and rejects if it had to. */
  readonly closed: Promise<void>;
  stats(): ShipperStats;
  /** Records and sends what is there, and stops. */
  close(): Promise<void>;
}

/** Counters of a shipper. */
interface ShipperStats extends SpoolStats {
  /** Segments that were sent. */
  readonly sent: number;
  /** Events that the kernel dropped. */
  readonly lost: number;
  /** Why CPU time and memory are not recorded; undefined if they are. */
  readonly usageRefusal: string | undefined;
}

/**
 * Records every process of this machine into a spool, and sends that to a server.
 *
 * @throws {HistoryError} If the spool cannot be used.
 * @throws {UnsupportedError} If processes cannot be watched.
 */
export async function ship(options: ShipOptions): Promise<Shipper> {
  const { server, stream, site, host, spoolBytes, version, onSpoolTrouble, onState } = options;
  const path = absolutePath(options.spool, "ship");
  let spool: Spool | undefined;
  let recorder: HistoryRecorder;
  try {
    recorder = await startRecorder(
      `ship by way of ${path}`,
      (tools) => spool = new Spool(path, version, spoolBytes, tools),
      { onTrouble: onSpoolTrouble },
    );
  } catch (error) {
    spool?.close();
    throw error;
  }
  const sealed = spool!;
  const publisher = new Publisher(sealed, {
    server,
    stream,
    subject: subjectOf(site, host),
    inbox: inboxOf(site, host),
    onState,
  });
  const publishing = publisher.run();
  const closed = (async () => {
    try {
      await Promise.race([recorder.closed, publishing]);
      await recorder.close();
      await publisher.close(publishing, DRAIN_MS);
    } finally {
      sealed.close();
    }
  })();
  closed.catch(() => {});
  return {
    closed,
    stats() {
      const { lost, usageRefusal } = recorder.stats();
      return { ...sealed.stats(), sent: publisher.sent, lost, usageRefusal };
    },
    async close() {
      void recorder.close();
      await closed;
    },
  };
}
