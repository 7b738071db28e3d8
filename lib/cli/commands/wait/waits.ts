import { type ExitEvent, type ExitStatus, ProcessGoneError, waitForExit } from "../../../../mod.ts";
import { type Instances, openInstances } from "../../../processes/instances.ts";
import { readComm } from "../../../procfs/file.ts";
import { BufferedStream } from "../../../stream.ts";
import { openSystem } from "../../../system.ts";

/** A process that has started or ended. */
export interface Waited {
  readonly pid: number;
  /** Its name; undefined if that could not be read. */
  readonly comm: string | undefined;
  /** How it has ended; undefined if it has started, or was gone before anybody waited. */
  readonly end: ExitStatus | undefined;
}

const ACTION = "wait for a process";

/** The ends of processes, in the order in which they end; those that are gone already first, where that is `goneOk`. */
export async function* endsOf(
  pids: readonly number[],
  signal: AbortSignal,
  goneOk: boolean,
): AsyncGenerator<Waited, void> {
  const { libc } = openSystem(ACTION);
  const ends = new BufferedStream<Waited>();
  const fail = (error: unknown): void => ends.fail(error);
  // Before anything else: once the kernel says that one has ended, its name may be gone.
  const comms = pids.map((pid) => readComm(libc, pid));
  waitForExit(pids, { signal }).forEach((status, i) => {
    const pid = pids[i]!;
    const comm = comms[i];
    status.then((end) => ends.push({ pid, comm, end }), (error) => {
      if (goneOk && error instanceof ProcessGoneError) ends.push({ pid, comm: undefined, end: undefined });
      else fail(error);
    });
  });
  let left = pids.length;
  for await (const end of ends) {
    yield end;
    if (--left === 0) return;
  }
}

/** What is waited for by name. */
interface Name {
  readonly instances: Instances;
  /** Whether a process of this name was there, or has started. */
  found: boolean;
  /** The processes whose ends are waited for. */
  readonly running: Set<number>;
}

/**
 * For each pattern of names the first process that runs or starts; or the ends of all that run, or else of the first that
 * starts.
 *
 * @param onUndecided gets the number of programs that may have matched, and ended before they could be read.
 */
export async function* byName(
  patterns: readonly string[],
  until: "start" | "exit",
  signal: AbortSignal,
  onUndecided: (count: number) => void,
): AsyncGenerator<Waited, void> {
  const system = openSystem(ACTION);
  const self = system.libc.getpid();
  const filters = patterns.map((name) => ({ name }));
  const { events, instances } = openInstances(
    system,
    filters,
    { signal, processInfo: { fields: [] } },
    ACTION,
  );
  const names = new Set(
    instances.map((each): Name => ({ instances: each, found: false, running: new Set() })),
  );
  try {
    for await (const event of events) {
      if (event.pid === undefined || event.pid === self) continue;
      const { pid } = event;
      const comm = event.process?.comm;
      for (const name of names) {
        const change = name.instances.apply(event);
        if (change?.what === "start" && (change.existing || !name.found)) {
          name.found = true;
          name.running.add(pid);
          if (until === "start") {
            names.delete(name);
            yield { pid, comm, end: undefined };
          }
        }
        // A process whose end is waited for may have become another program.
        if (event.type === "exit" && !event.thread && name.running.delete(pid)) {
          if (name.running.size === 0) names.delete(name);
          yield { pid, comm, end: endOf(event) };
        }
      }
      if (names.size === 0) return;
    }
  } finally {
    await events.close();
    onUndecided(instances.reduce((count, { undecided }) => count + undecided, 0));
  }
}

function endOf({ status, exitCode, signal, coreDumped }: ExitEvent): ExitStatus {
  const end = { exitCode, signal, coreDumped };
  return status === null ? { ...end, unknownBecause: "failed" } : end;
}
