import { DecodeError } from "../../lib/errors/decode_error.ts";

/** Something that decodes bytes of others. */
export interface Target {
  readonly name: string;
  /** Inputs that make sense, to start from. */
  readonly seeds: readonly Uint8Array[];
  /** Decodes, and answers what came out. Only a DecodeError may be thrown; a {@linkcode Broken} says what is wrong. */
  decode(bytes: Uint8Array): unknown;
  /** Pieces of the format. */
  readonly words?: readonly Uint8Array[];
  readonly maxBytes?: number;
  /** How many times the bytes of its input the result may take in memory; beyond a few thousand bytes for all. */
  readonly growth?: number;
  /** An input that takes longer, several times in a row, stops a program that watches. Default: half a second. */
  readonly slowMs?: number;
}

/** A promise of a decoder that was not kept. */
export class Broken extends Error {
  override readonly name = "Broken";
}

/** What became of one input. */
export interface Verdict {
  /** What is wrong, where something is. */
  readonly reason?: string | undefined;
  /** Whether a DecodeError refused it. */
  readonly refused: boolean;
}

const GROWTH = 64;
const FREE_BYTES = 16_384;
const SLOW_MS = 500;
const AROUND_BYTES = 9000;

/** What is around an input, twice: bytes that mean nothing, and such as a text might go on with. */
const SURROUNDINGS: readonly (readonly [number, number])[] = [[0x00, 0xff], [0x20, 0x30], [0x0a, 0x29]];

/**
 * Decodes one input amid other bytes, and says what is wrong: another error than DecodeError, a result that depends on
 * the bytes around or shows them, one that takes too much memory, or too much time.
 */
export function judge(target: Target, bytes: Uint8Array): Verdict {
  let refused = false;
  for (const pair of SURROUNDINGS) {
    const [one, two] = [run(target, bytes, pair[0]), run(target, bytes, pair[1])];
    const reason = one.reason ?? two.reason ??
      (one.text === two.text ? undefined : "the result depends on bytes outside of the input");
    if (reason !== undefined) return { reason, refused: false };
    refused = one.refused;
  }
  return { refused };
}

interface Outcome extends Verdict {
  /** Everything that was decoded, as text. */
  readonly text: string;
}

function broken(reason: string): Outcome {
  return { reason, refused: false, text: "" };
}

function run(target: Target, bytes: Uint8Array, poison: number): Outcome {
  const before = 1 + (bytes.length % 16); // any alignment
  const around = new Uint8Array(before + bytes.length + AROUND_BYTES).fill(poison);
  around.set(bytes, before);
  const input = around.subarray(before, before + bytes.length);
  const slowMs = target.slowMs ?? SLOW_MS;
  let value: unknown;
  let ms = 0;
  try {
    for (let again = 0; again < 3; again++) {
      const started = performance.now();
      value = target.decode(input);
      ms = performance.now() - started;
      if (ms < slowMs) break; // a machine that is busy is slow, too
    }
  } catch (error) {
    if (error instanceof DecodeError) return { refused: true, text: error.message };
    if (error instanceof Broken) return broken(error.message);
    const { name = "something", message = "" } = error as Partial<Error>;
    return broken(`threw ${name}: ${message}`);
  }
  if (ms >= slowMs) return broken("it takes too long");
  const walk = new Walk(around.buffer, before, bytes.length);
  walk.visit(value);
  if (walk.outside) return broken("a view reaches outside of the input");
  const allowed = FREE_BYTES + bytes.length * (target.growth ?? GROWTH);
  if (walk.memory > allowed) return broken(`the result takes more than ${allowed} bytes`);
  return { refused: false, text: walk.text.join(" ") };
}

/** Looks at everything in a result. */
class Walk {
  readonly text: string[] = [];
  memory = 0;
  outside = false;
  readonly #buffer: ArrayBufferLike;
  readonly #from: number;
  readonly #length: number;

  constructor(buffer: ArrayBufferLike, from: number, length: number) {
    this.#buffer = buffer;
    this.#from = from;
    this.#length = length;
  }

  visit(value: unknown): void {
    this.memory += 16;
    if (value instanceof Uint8Array) {
      if (value.buffer === this.#buffer) {
        const from = value.byteOffset - this.#from;
        if (from < 0 || from + value.length > this.#length) this.outside = true;
      } else this.memory += value.buffer.byteLength;
      this.text.push(value.length > 64 ? `${value.length}:${sum(value)}` : value.join(","));
    } else if (typeof value === "string") {
      this.memory += value.length * 2;
      this.text.push(value);
    } else if (value !== null && typeof value === "object") {
      for (const [key, item] of Object.entries(value)) {
        this.text.push(key);
        this.visit(item);
      }
      this.text.push(";");
    } else {
      this.text.push(String(value));
    }
  }
}

function sum(bytes: Uint8Array): number {
  let hash = 0;
  for (const byte of bytes) hash = (Math.imul(hash, 31) + byte) >>> 0;
  return hash;
}
