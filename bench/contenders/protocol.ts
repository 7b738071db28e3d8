/**
 * The protocol between the harness and a contender. The contender prints `ready` when it is subscribed. On SIGTERM it
 * receives the rest of the storm, prints one line of JSON and exits.
 */
import process from "node:process";
import type { Tally } from "./tally.ts";

/** The number of consecutive checks without an event of the storm: one check may follow a scheduling delay. */
const QUIET_LOOKS = 2;
const LOOK_MS = 100;
const DRAIN_LIMIT_MS = 10_000;

/** The value of `--name value`, or undefined. */
export function option(name: string): string | undefined {
  const index = process.argv.indexOf(`--${name}`);
  return index < 0 ? undefined : process.argv[index + 1];
}

/** The value of `--name number`, or undefined. */
export function numberOption(name: string): number | undefined {
  const value = option(name);
  return value === undefined ? undefined : Number(value);
}

/** Calls `end` after SIGTERM or SIGINT, once no event of the storm has arrived for a while. Other programs' events continue. */
export function whenDrained(tally: Tally, end: () => unknown): void {
  let stopping = false;
  const onSignal = () => {
    if (stopping) return;
    stopping = true;
    const limit = performance.now() + DRAIN_LIMIT_MS;
    let seen = tally.ownEvents;
    let quiet = 0;
    const timer = setInterval(() => {
      quiet = tally.ownEvents === seen ? quiet + 1 : 0;
      seen = tally.ownEvents;
      if (quiet < QUIET_LOOKS && performance.now() < limit) return;
      clearInterval(timer);
      end();
    }, LOOK_MS);
  };
  process.on("SIGTERM", onSignal);
  process.on("SIGINT", onSignal);
}

/** The meter of a contender: CPU and time from the subscription to the end. */
export interface Meter {
  /** Call it regularly: after `--half N` events, CPU is also counted separately, with compiled code. */
  look(tally: Tally): void;
  report(name: string, tally: Tally, more?: object): void;
}

/** Prints `ready` and starts measuring. */
export function ready(): Meter {
  const cpu = process.cpuUsage();
  const start = performance.now();
  const halfAt = numberOption("half") ?? Infinity;
  let half: { readonly events: number; readonly cpu: ReturnType<typeof process.cpuUsage> } | undefined;
  process.stdout.write("ready\n");
  return {
    look(tally) {
      if (half === undefined && tally.events >= halfAt) {
        half = { events: tally.events, cpu: process.cpuUsage() };
      }
    },
    report(name, tally, more = {}) {
      const used = process.cpuUsage(cpu);
      const result = {
        name,
        ...tally.toReport(),
        elapsedNs: Math.round((performance.now() - start) * 1e6),
        cpuNs: { user: used.user * 1000, system: used.system * 1000 },
        ...(half !== undefined && { warm: warm(half, tally) }),
        ...more,
      };
      process.stdout.write(
        JSON.stringify(result, (_, value) => typeof value === "bigint" ? Number(value) : value),
      );
      process.stdout.write("\n");
    },
  };
}

function warm(
  half: { readonly events: number; readonly cpu: ReturnType<typeof process.cpuUsage> },
  tally: Tally,
): object {
  const used = process.cpuUsage(half.cpu);
  return { events: tally.events - half.events, cpuNs: (used.user + used.system) * 1000 };
}
