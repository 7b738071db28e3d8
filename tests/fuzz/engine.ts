import { DecodeError } from "../../lib/errors/decode_error.ts";
import { mutate } from "./mutate.ts";
import { Random } from "./random.ts";

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

/** An input that breaks a decoder, as short as it could be made. */
export interface Failure {
  readonly target: string;
  readonly reason: string;
  readonly hex: string;
  readonly bytes: number;
}

/** What a run did. */
export interface Report {
  readonly target: string;
  readonly inputs: number;
  /** Inputs that behaved as no other before. */
  readonly corpus: number;
  /** How many were refused with a DecodeError. */
  readonly refused: number;
  readonly seconds: number;
  readonly failure: Failure | undefined;
}

const MAX_BYTES = 4096;
const MAX_CORPUS = 2000;
const GROWTH = 64;
const FREE_BYTES = 16_384;
const SLOW_MS = 500;
const AROUND_BYTES = 9000;

/** What is around an input, twice: bytes that mean nothing, and such as a text might go on with. */
const SURROUNDINGS: readonly (readonly [number, number])[] = [[0x00, 0xff], [0x20, 0x30], [0x0a, 0x29]];

/** Fuzzes one target for a while. */
export function fuzz(target: Target, milliseconds: number, seed: number): Report {
  const random = new Random(seed);
  const corpus: Uint8Array[] = [];
  const seen = new Set<string>();
  let inputs = 0;
  let refused = 0;
  let failure: Failure | undefined;
  const started = performance.now();

  function attempt(bytes: Uint8Array): void {
    inputs++;
    const { reason, behaviour } = judge(target, bytes, [random.pick(SURROUNDINGS)]);
    if (reason !== undefined) {
      failure = minimise(target, bytes, reason);
      return;
    }
    if (behaviour.startsWith("refused")) refused++;
    if (seen.has(behaviour)) return;
    seen.add(behaviour);
    if (corpus.length < MAX_CORPUS) corpus.push(bytes);
    else corpus[random.below(MAX_CORPUS)] = bytes;
  }

  for (const bytes of [...target.seeds, new Uint8Array()]) if (failure === undefined) attempt(bytes);
  const options = { maxBytes: target.maxBytes ?? MAX_BYTES, words: target.words ?? [], others: corpus };
  while (failure === undefined && performance.now() - started < milliseconds) {
    // What was found late has been tried the least.
    const at = random.oneIn(2)
      ? random.below(corpus.length)
      : Math.max(0, corpus.length - 1 - random.below(20));
    attempt(mutate(corpus[at]!, random, options));
  }
  const seconds = (performance.now() - started) / 1000;
  return { target: target.name, inputs, corpus: corpus.length, refused, seconds, failure };
}

/** Runs one input amid two kinds of surroundings, or more pairs; answers what is wrong, or how it behaved. */
export function judge(
  target: Target,
  bytes: Uint8Array,
  surroundings: readonly (readonly [number, number])[] = SURROUNDINGS,
): { reason: string | undefined; behaviour: string } {
  let behaviour = "";
  for (const pair of surroundings) {
    const [one, two] = [run(target, bytes, pair[0]), run(target, bytes, pair[1])];
    const reason = one.reason ?? two.reason ??
      (one.exact === two.exact ? undefined : "the result depends on bytes outside of the input");
    if (reason !== undefined) return { reason, behaviour: "" };
    behaviour = one.behaviour;
  }
  return { reason: undefined, behaviour };
}

interface Outcome {
  readonly reason?: string;
  /** Everything that was decoded, as text. */
  readonly exact: string;
  /** Roughly what was decoded: by this an input is new or not. */
  readonly behaviour: string;
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
    if (error instanceof DecodeError) {
      const behaviour = `refused ${error.structure} ${bucket(error.neededBytes)} ${bucket(error.foundBytes)}`;
      return { exact: error.message, behaviour };
    }
    if (error instanceof Broken) return { reason: error.message, exact: "", behaviour: "" };
    const { name = "something", message = "" } = error as Partial<Error>;
    return { reason: `threw ${name}: ${message}`, exact: "", behaviour: "" };
  }
  if (ms >= slowMs) return { reason: "it takes too long", exact: "", behaviour: "" };
  const walk = new Walk(around.buffer, before, bytes.length);
  walk.visit(value, 0);
  if (walk.outside) return { reason: "a view reaches outside of the input", exact: "", behaviour: "" };
  const allowed = FREE_BYTES + bytes.length * (target.growth ?? GROWTH);
  if (walk.memory > allowed) {
    const reason = `the result takes ${bucket(walk.memory)} bytes`;
    return { reason, exact: "", behaviour: "" };
  }
  return { exact: walk.exact.join(" "), behaviour: walk.behaviour.join(" ") };
}

/** Looks at everything in a result. */
class Walk {
  readonly exact: string[] = [];
  readonly behaviour: string[] = [];
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

  visit(value: unknown, depth: number, name: string = ""): void {
    this.memory += 16;
    const rough = (text: string): void => {
      if (depth < 5 && this.behaviour.length < 40) this.behaviour.push(text);
    };
    if (value instanceof Uint8Array) {
      if (value.buffer === this.#buffer) {
        const from = value.byteOffset - this.#from;
        if (from < 0 || from + value.length > this.#length) this.outside = true;
      } else this.memory += value.buffer.byteLength;
      this.exact.push(value.length > 64 ? `${value.length}:${sum(value)}` : value.join(","));
      rough(`bytes ${bucket(value.length)}`);
    } else if (typeof value === "string") {
      this.memory += value.length * 2;
      this.exact.push(value);
      // The names that a protocol has are few; free text is anything.
      rough(name === "type" || name === "command" ? value : `${shape(value)} ${bucket(value.length)}`);
    } else if (Array.isArray(value)) {
      rough(`list ${bucket(value.length)}`);
      this.exact.push("[");
      for (const [i, item] of value.entries()) this.visit(item, i < 4 ? depth + 1 : 9);
      this.exact.push("]");
    } else if (value !== null && typeof value === "object") {
      this.exact.push("{");
      for (const [key, item] of Object.entries(value)) {
        this.exact.push(key);
        rough(key);
        this.visit(item, depth + 1, key);
      }
      this.exact.push("}");
    } else {
      this.exact.push(String(value));
      rough(typeof value === "number" || typeof value === "bigint" ? size(Number(value)) : `${value}`);
    }
  }
}

/** Which kinds of characters a text has. */
function shape(text: string): string {
  const kinds = [/[a-z]/i, /\d/, /\s/, /[\udc80-\udcff]/, /[^\p{ASCII}]/u, /\p{Cc}/u, /[\\'"]/];
  return kinds.map((kind) => kind.test(text) ? "1" : "0").join("");
}

function sum(bytes: Uint8Array): number {
  let hash = 0;
  for (const byte of bytes) hash = (Math.imul(hash, 31) + byte) >>> 0;
  return hash;
}

/** Very roughly how large a number is: fields of any value must not make every input a new one. */
function size(value: number): string {
  return value === 0 ? "0" : value < 0 ? "-" : value < 0x1_0000 ? "word" : value < 2 ** 31 ? "long" : "huge";
}

/** Roughly how large a number is. */
function bucket(value: number): string {
  if (!Number.isFinite(value)) return String(value);
  if (value < 0) return `-${bucket(-value)}`;
  return value < 8 ? String(value) : `2^${Math.floor(Math.log2(value))}`;
}

/** Makes an input that fails shorter and simpler, as long as it fails for the same reason. */
function minimise(target: Target, bytes: Uint8Array, reason: string): Failure {
  const fails = (candidate: Uint8Array): boolean => judge(target, candidate).reason === reason;
  let best = bytes;
  const end = performance.now() + 3_000;
  for (let part = best.length >> 1; part >= 1 && performance.now() < end; part >>= 1) {
    for (let at = 0; at < best.length && performance.now() < end;) {
      const shorter = new Uint8Array(Math.max(best.length - part, at));
      shorter.set(best.subarray(0, at));
      shorter.set(best.subarray(at + part), at);
      if (fails(shorter)) best = shorter;
      else at += part;
    }
  }
  for (let at = 0; at < best.length && performance.now() < end; at++) {
    if (best[at] === 0) continue;
    const simpler = best.slice();
    simpler[at] = 0;
    if (fails(simpler)) best = simpler;
  }
  const hex = Array.from(best, (byte) => byte.toString(16).padStart(2, "0")).join("");
  return { target: target.name, reason, hex, bytes: best.length };
}
