import { formatDuration } from "../wire/duration.ts";
import { shellQuote } from "../wire/escape.ts";
import { type Lane, layOut } from "./lanes.ts";
import { loadOf } from "./load.ts";
import { ProtobufWriter } from "./protobuf.ts";
import { hasFailed, lastImage, programName, titleOf, type Trace, type TraceProcess } from "./trace.ts";

// Field numbers of Perfetto's protos/perfetto/trace.
const TRACE = { packet: 1 } as const;
const PACKET = {
  clockSnapshot: 6,
  timestamp: 8,
  sequenceId: 10,
  trackEvent: 11,
  flags: 13,
  defaults: 59,
  track: 60,
} as const;
const DEFAULTS = { clockId: 58 } as const;
const SNAPSHOT = { clocks: 1 } as const;
const CLOCK = { id: 1, timestamp: 2 } as const;
const TRACK = { uuid: 1, name: 2, parent: 5, counter: 8, ordering: 11, merging: 15 } as const;
const EVENT = {
  annotations: 4,
  type: 9,
  track: 11,
  name: 23,
  categories: 22,
  counterValue: 30,
  doubleCounterValue: 44,
} as const;
const ANNOTATION = { int: 4, string: 6, name: 10 } as const;
const TYPE = { begin: 1, end: 2, instant: 3, counter: 4 } as const;
const CLOCK_REALTIME = 1;
const CLOCK_MONOTONIC = 3;
const SEQUENCE = 1;
const SEQ_INCREMENTAL_STATE_CLEARED = 1;
const CHRONOLOGICAL = 2;
const MERGE_NONE = 2;

const ROOT_TRACK = 1;
const LOSS_TRACK = 2;
const RUNNING_TRACK = 3;
const WORKING_TRACK = 4;
const CPU_TRACK = 5;
const FIRST_TRACK = 10;

/**
 * A trace for Perfetto (ui.perfetto.dev): nested tracks, as many as processes ran at the same time, with a slice for each
 * program; counters of processes and of busy processors; and the losses.
 */
export function encodePerfetto(trace: Trace): Uint8Array {
  return new PerfettoEncoder(trace).encode();
}

class PerfettoEncoder {
  readonly #trace: Trace;
  readonly #out = new ProtobufWriter();
  readonly #packet = new ProtobufWriter();
  readonly #part = new ProtobufWriter();
  readonly #inner = new ProtobufWriter();
  readonly #beginNs: bigint;
  #first = true;

  constructor(trace: Trace) {
    this.#trace = trace;
    this.#beginNs = BigInt(trace.header.timestampNs);
  }

  encode(): Uint8Array {
    const { header, losses } = this.#trace;
    this.#clocks(header.timeMs);
    this.#track(ROOT_TRACK, undefined, titleOf(header, 200));
    this.#counters();
    if (losses.length > 0) this.#track(LOSS_TRACK, ROOT_TRACK, "lost events");
    for (const { sinceNs, ns, count } of losses) {
      const within = formatDuration(BigInt(Math.round(ns - sinceNs)));
      const name = `${count ?? "unknown number of"} events lost within the last ${within}`;
      this.#event(ns, TYPE.instant, LOSS_TRACK, name);
    }
    this.#lanes();
    return this.#out.bytes().slice();
  }

  #lanes(): void {
    const tracks = new Map<Lane, number>();
    for (const lane of layOut(this.#trace)) {
      const track = FIRST_TRACK + tracks.size;
      tracks.set(lane, track);
      const parent = lane.parent === undefined ? ROOT_TRACK : tracks.get(lane.parent)!;
      this.#track(track, parent, programName(lastImage(lane.processes[0]!)));
      for (const process of lane.processes) this.#slices(process, track);
    }
  }

  #slices(process: TraceProcess, track: number): void {
    for (const image of process.images) {
      const last = image === process.images.at(-1);
      const failed = last && hasFailed(process);
      this.#begin(image.startNs, track, programName(image), failed ? "failed" : "process", (annotate) => {
        annotate("pid", process.pid);
        if (image.commandLine !== undefined) annotate("command", shellQuote(image.commandLine, 4096));
        if (process.uid !== undefined) annotate("uid", process.uid);
        if (last && process.exitCode !== null) annotate("exit code", process.exitCode);
        if (last && process.signal !== null) annotate("signal", process.signal);
        if (last && process.usage !== undefined) {
          annotate("CPU ns", process.usage.cpuNs);
          annotate("peak RSS bytes", process.usage.peakRssBytes);
          annotate("read bytes", process.usage.readBytes);
          annotate("write bytes", process.usage.writeBytes);
        }
        if (process.uncertain) annotate("uncertain", "events were lost while it ran");
        if (process.startUnknown) annotate("start", "before the trace, or lost");
        if (process.running) annotate("end", "after the trace, or lost");
      });
      this.#event(image.endNs, TYPE.end, track);
    }
  }

  #counters(): void {
    const { timesNs, running, working, busy } = loadOf(this.#trace);
    const counters: [number, string, Float64Array][] = [
      [RUNNING_TRACK, "running processes", running],
      [WORKING_TRACK, "processes without running children", working],
    ];
    if (this.#trace.processes.some(({ usage }) => usage !== undefined)) {
      counters.push([CPU_TRACK, "busy processors (CPU time, evenly over each process)", busy]);
    }
    for (const [track, name, values] of counters) {
      this.#counterTrack(track, name);
      let last: number | undefined;
      for (const [i, ns] of timesNs.entries()) {
        const value = Math.round(values[i]! * 100) / 100;
        if (value !== last) this.#count(ns, track, value);
        last = value;
      }
    }
  }

  #clocks(timeMs: number): void {
    const snapshot = this.#part;
    snapshot.clear();
    const clocks = [[CLOCK_MONOTONIC, this.#beginNs], [
      CLOCK_REALTIME,
      BigInt(Math.round(timeMs * 1e6)),
    ]] as const;
    for (const [id, ns] of clocks) {
      this.#inner.clear();
      this.#inner.varint(CLOCK.id, id);
      this.#inner.varint(CLOCK.timestamp, ns);
      snapshot.message(SNAPSHOT.clocks, this.#inner.bytes());
    }
    this.#packet.clear();
    this.#packet.message(PACKET.clockSnapshot, snapshot.bytes());
    this.#finish();
  }

  #track(uuid: number, parent: number | undefined, name: string): void {
    const track = this.#part;
    track.clear();
    track.varint(TRACK.uuid, uuid);
    track.text(TRACK.name, name);
    if (parent !== undefined) track.varint(TRACK.parent, parent);
    track.varint(TRACK.ordering, CHRONOLOGICAL);
    track.varint(TRACK.merging, MERGE_NONE);
    this.#packet.clear();
    this.#packet.message(PACKET.track, track.bytes());
    this.#finish();
  }

  #counterTrack(uuid: number, name: string): void {
    const track = this.#part;
    track.clear();
    track.varint(TRACK.uuid, uuid);
    track.text(TRACK.name, name);
    track.varint(TRACK.parent, ROOT_TRACK);
    track.message(TRACK.counter, new Uint8Array(0));
    this.#packet.clear();
    this.#packet.message(PACKET.track, track.bytes());
    this.#finish();
  }

  #begin(
    ns: number,
    track: number,
    name: string,
    category: string,
    annotateAll: (annotate: (name: string, value: string | number) => void) => void,
  ): void {
    const event = this.#part;
    event.clear();
    annotateAll((key, value) => {
      this.#inner.clear();
      if (typeof value === "string") this.#inner.text(ANNOTATION.string, value);
      else this.#inner.varint(ANNOTATION.int, Math.round(value));
      this.#inner.text(ANNOTATION.name, key);
      event.message(EVENT.annotations, this.#inner.bytes());
    });
    event.text(EVENT.categories, category);
    this.#send(ns, TYPE.begin, track, name);
  }

  #event(ns: number, type: number, track: number, name?: string): void {
    this.#part.clear();
    this.#send(ns, type, track, name);
  }

  #count(ns: number, track: number, value: number): void {
    this.#part.clear();
    if (Number.isInteger(value)) this.#part.varint(EVENT.counterValue, value);
    else this.#part.double(EVENT.doubleCounterValue, value);
    this.#send(ns, TYPE.counter, track);
  }

  #send(ns: number, type: number, track: number, name?: string): void {
    const event = this.#part;
    event.varint(EVENT.type, type);
    event.varint(EVENT.track, track);
    if (name !== undefined) event.text(EVENT.name, name);
    this.#packet.clear();
    this.#packet.varint(PACKET.timestamp, this.#beginNs + BigInt(Math.round(ns)));
    this.#packet.message(PACKET.trackEvent, event.bytes());
    this.#finish();
  }

  #finish(): void {
    this.#packet.varint(PACKET.sequenceId, SEQUENCE);
    if (this.#first) {
      this.#inner.clear();
      this.#inner.varint(DEFAULTS.clockId, CLOCK_MONOTONIC);
      this.#packet.message(PACKET.defaults, this.#inner.bytes());
      this.#packet.varint(PACKET.flags, SEQ_INCREMENTAL_STATE_CLEARED);
      this.#first = false;
    }
    this.#out.message(TRACE.packet, this.#packet.bytes());
  }
}
