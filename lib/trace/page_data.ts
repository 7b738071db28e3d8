import type { RecordingHeader } from "./recording.ts";
import type { Trace, TraceImage, TraceLoss, TraceProcess } from "./trace.ts";

type Maybe = number | null;

/** A trace in columns, its texts by their number: a third of the size of the objects as they are. */
interface PageData {
  readonly header: RecordingHeader;
  readonly durationNs: number;
  readonly losses: readonly TraceLoss[];
  readonly complete: boolean;
  readonly status: Maybe;
  readonly usageRefusal: string | undefined;
  readonly texts: readonly string[];
  /** Each word a number of a text. */
  readonly commandLines: readonly (readonly number[])[];
  readonly processes: ProcessColumns;
  readonly images: ImageColumns;
}

/** In the order of the processes. */
interface ProcessColumns {
  readonly pid: number[];
  /** How many processes before it its parent is; 0 if that is not in the trace. */
  readonly parent: number[];
  /** Since the start of the process before it, in nanoseconds. */
  readonly start: number[];
  /** Until its end, in nanoseconds. */
  readonly life: number[];
  readonly flags: number[];
  readonly exitCode: Maybe[];
  readonly signal: Maybe[];
  readonly uid: Maybe[];
  readonly cpuNs: Maybe[];
  readonly peakRssBytes: Maybe[];
  readonly readBytes: Maybe[];
  readonly writeBytes: Maybe[];
  /** How many images it has. */
  readonly images: number[];
}

/** In the order of the processes, and of time. Each ends where the next one of its process begins. */
interface ImageColumns {
  /** Since the start of its process, in nanoseconds. */
  readonly start: number[];
  readonly flags: number[];
  readonly commandLine: Maybe[];
  readonly comm: Maybe[];
  readonly exe: Maybe[];
  readonly cwd: Maybe[];
}

const FLAGS = { startUnknown: 1, running: 2, coreDumped: 4, uncertain: 8 } as const;
const IMAGE_FLAGS = { forked: 1, commandLineTruncated: 2 } as const;

/** A trace as JSON that is safe inside of a `<script>`: without `<`, it cannot end it, nor begin a comment. */
export function encodePageData(trace: Trace): string {
  const { header, durationNs, losses, complete, status, usageRefusal } = trace;
  const texts = new Numbers<string>();
  const lines = new Numbers<string>();
  const commandLines: number[][] = [];
  const textOf = (text: string | undefined): Maybe => text === undefined ? null : texts.of(text);
  const lineOf = (words: readonly string[] | undefined): Maybe => {
    if (words === undefined) return null;
    const line = words.map((word) => texts.of(word));
    const number = lines.of(line.join());
    commandLines[number] ??= line;
    return number;
  };

  const processes: ProcessColumns = {
    pid: [],
    parent: [],
    start: [],
    life: [],
    flags: [],
    exitCode: [],
    signal: [],
    uid: [],
    cpuNs: [],
    peakRssBytes: [],
    readBytes: [],
    writeBytes: [],
    images: [],
  };
  const images: ImageColumns = { start: [], flags: [], commandLine: [], comm: [], exe: [], cwd: [] };
  const numbers = new Map(trace.processes.map((process, i) => [process, i]));
  let lastNs = 0;
  for (const [i, process] of trace.processes.entries()) {
    const { pid, parent, startNs, endNs, exitCode, signal, uid, usage } = process;
    processes.pid.push(pid);
    processes.parent.push(parent === undefined ? 0 : i - numbers.get(parent)!);
    processes.start.push(startNs - lastNs);
    processes.life.push(endNs - startNs);
    processes.flags.push(flagsOf(process));
    processes.exitCode.push(exitCode);
    processes.signal.push(textOf(signal ?? undefined));
    processes.uid.push(uid ?? null);
    processes.cpuNs.push(usage?.cpuNs ?? null);
    processes.peakRssBytes.push(usage?.peakRssBytes ?? null);
    processes.readBytes.push(usage?.readBytes ?? null);
    processes.writeBytes.push(usage?.writeBytes ?? null);
    processes.images.push(process.images.length);
    lastNs = startNs;
    for (const image of process.images) {
      images.start.push(image.startNs - startNs);
      images.flags.push(
        (image.forked ? IMAGE_FLAGS.forked : 0) |
          (image.commandLineTruncated ? IMAGE_FLAGS.commandLineTruncated : 0),
      );
      images.commandLine.push(lineOf(image.commandLine));
      images.comm.push(textOf(image.comm));
      images.exe.push(textOf(image.exe));
      images.cwd.push(textOf(image.cwd));
    }
  }
  const data: PageData = {
    header,
    durationNs,
    losses,
    complete,
    status,
    usageRefusal,
    texts: texts.all(),
    commandLines,
    processes,
    images,
  };
  return JSON.stringify(data).replaceAll("<", "\\u003c");
}

/** The trace that was encoded. */
export function decodePageData(json: string): Trace {
  const { header, durationNs, complete, status, usageRefusal, texts, ...data } = JSON.parse(json) as PageData;
  const lines = data.commandLines.map((line) => line.map((word) => texts[word]!));
  const textAt = (column: readonly Maybe[], i: number): string | undefined => {
    const number = column[i]!;
    return number === null ? undefined : texts[number];
  };
  const columns = data.processes;
  const { images } = data;
  const processes: TraceProcess[] = [];
  let startNs = 0;
  let image = 0;
  for (let i = 0; i < columns.pid.length; i++) {
    startNs += columns.start[i]!;
    const flags = columns.flags[i]!;
    const cpuNs = columns.cpuNs[i]!;
    const process: TraceProcess = {
      pid: columns.pid[i]!,
      parent: undefined, // as below: it may come after its child if the clock went back
      children: [],
      images: [],
      startNs,
      endNs: startNs + columns.life[i]!,
      startUnknown: (flags & FLAGS.startUnknown) !== 0,
      running: (flags & FLAGS.running) !== 0,
      exitCode: columns.exitCode[i]!,
      signal: textAt(columns.signal, i) ?? null,
      coreDumped: (flags & FLAGS.coreDumped) !== 0,
      uid: columns.uid[i] ?? undefined,
      usage: cpuNs === null ? undefined : {
        cpuNs,
        peakRssBytes: columns.peakRssBytes[i] ?? 0,
        readBytes: columns.readBytes[i] ?? 0,
        writeBytes: columns.writeBytes[i] ?? 0,
      },
      uncertain: (flags & FLAGS.uncertain) !== 0,
    };
    let last: TraceImage | undefined;
    for (const end = image + columns.images[i]!; image < end; image++) {
      const imageStartNs = startNs + images.start[image]!;
      if (last !== undefined) last.endNs = imageStartNs;
      const line = images.commandLine[image]!;
      const imageFlags = images.flags[image]!;
      last = {
        startNs: imageStartNs,
        endNs: process.endNs,
        forked: (imageFlags & IMAGE_FLAGS.forked) !== 0,
        commandLine: line === null ? undefined : lines[line],
        commandLineTruncated: (imageFlags & IMAGE_FLAGS.commandLineTruncated) !== 0,
        comm: textAt(images.comm, image),
        exe: textAt(images.exe, image),
        cwd: textAt(images.cwd, image),
      };
      process.images.push(last);
    }
    processes.push(process);
  }
  for (const [i, process] of processes.entries()) {
    if (columns.parent[i] === 0) continue;
    const parent = processes[i - columns.parent[i]!]!;
    (process as { parent: TraceProcess | undefined }).parent = parent;
    parent.children.push(process);
  }
  const losses = data.losses.map(({ sinceNs, ns, count }) => ({ sinceNs, ns, count }));
  return { header, processes, durationNs, losses, complete, status, usageRefusal };
}

function flagsOf({ startUnknown, running, coreDumped, uncertain }: TraceProcess): number {
  return (startUnknown ? FLAGS.startUnknown : 0) | (running ? FLAGS.running : 0) |
    (coreDumped ? FLAGS.coreDumped : 0) | (uncertain ? FLAGS.uncertain : 0);
}

/** Numbers values from 0, each once. */
class Numbers<T> {
  readonly #numbers = new Map<T, number>();

  of(value: T): number {
    let number = this.#numbers.get(value);
    if (number === undefined) this.#numbers.set(value, number = this.#numbers.size);
    return number;
  }

  all(): T[] {
    return [...this.#numbers.keys()];
  }
}
