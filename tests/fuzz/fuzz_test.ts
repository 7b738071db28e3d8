import * as fc from "fast-check";
import assert from "node:assert/strict";
import process from "node:process";
import { test } from "node:test";
import { DecodeError } from "../../lib/errors/decode_error.ts";
import { viewOf } from "../../lib/wire/bytes.ts";
import { inputs } from "./inputs.ts";
import { judge, type Target } from "./judge.ts";
import { TARGETS } from "./targets.ts";

/** How long each target is tried: hundreds of inputs of the slowest, or as many as one likes. */
const MS = Number(process.env["FUZZ_SECONDS"] ?? 0.4) * 1000;

/** Tries inputs for a while. Answers the shortest that breaks the target, and why. */
function fuzz(
  target: Target,
  ms: number,
  seed?: number,
): { reason: string; hex: string; seed: number } | undefined {
  const found = fc.check(
    fc.property(inputs(target), (bytes) => {
      const { reason } = judge(target, bytes);
      if (reason !== undefined) throw new Error(reason);
    }),
    {
      numRuns: 1e9,
      interruptAfterTimeLimit: ms,
      ...(seed === undefined ? {} : { seed }),
    },
  );
  if (found.counterexample === null) return undefined;
  const [bytes] = found.counterexample;
  const hex = Array.from(bytes, (byte) => byte.toString(16).padStart(2, "0")).join("");
  return { reason: (found.errorInstance as Error).message, hex, seed: found.seed };
}

for (const target of TARGETS) {
  test(`${target.name}: a short fuzz finds nothing`, { timeout: MS * 10 + 60_000 }, () => {
    const found = fuzz(target, MS);
    assert.equal(found, undefined, `${found?.reason}: ${found?.hex} (seed ${found?.seed})`);
  });
}

test("every target handles its own seeds, and accepts some of them", () => {
  for (const target of TARGETS) {
    const verdicts = [...target.seeds, new Uint8Array()].map((bytes) => judge(target, bytes));
    assert.deepEqual(verdicts.filter(({ reason }) => reason !== undefined), [], target.name);
    assert(verdicts.slice(0, -1).some(({ refused }) => !refused), target.name);
  }
});

/** A decoder of records of a length and so many bytes, with one fault. */
function faulty(fault: (view: DataView, bytes: Uint8Array) => unknown): Target {
  return {
    name: "faulty",
    seeds: [Uint8Array.of(0, 4, 1, 2, 3, 4), Uint8Array.of(1, 2, 9, 9)],
    decode(bytes) {
      if (bytes.length < 2) throw new DecodeError("record", 2, bytes.length);
      return fault(viewOf(bytes), bytes);
    },
  };
}

/** What the fuzzer must find, and how short it must make it. */
const FAULTS: Readonly<Record<string, [target: Target, reason: RegExp, mostBytes: number]>> = {
  "another error": [
    faulty((view, bytes) => {
      if (bytes[1]! > bytes.length && bytes[0] === 1) return view.getUint8(bytes[1]!);
      return undefined;
    }),
    /^threw RangeError/,
    2,
  ],
  "a byte from outside": [
    faulty((_view, bytes) => new Uint8Array(bytes.buffer)[bytes.byteOffset + bytes[1]!]),
    /depends on bytes outside/,
    2,
  ],
  "a view of the outside": [
    faulty((_view, bytes) => new Uint8Array(bytes.buffer, bytes.byteOffset, bytes[1])),
    /view reaches outside/,
    2,
  ],
  "memory without bound": [
    faulty((view, bytes) =>
      bytes.length < 4 ? 0 : new Uint8Array(Math.min(view.getUint32(0, true), 1 << 18))
    ),
    /the result takes/,
    4,
  ],
  "a loop without end": [
    {
      ...faulty((_view, bytes) => {
        const end = performance.now() + (bytes[1]! > 200 ? 8 : 0);
        while (performance.now() < end);
        return bytes[1]! > 200;
      }),
      slowMs: 5,
    },
    /takes too long/,
    8,
  ],
};

for (const [name, [target, reason, mostBytes]] of Object.entries(FAULTS)) {
  test(`the fuzzer finds ${name}, and makes its input short`, () => {
    const found = fuzz(target, 20_000, 4711);
    assert.match(found?.reason ?? "nothing", reason);
    const bytes = Uint8Array.from(found!.hex.match(/../g) ?? [], (digits) => Number.parseInt(digits, 16));
    assert(bytes.length <= mostBytes, found!.hex);
    assert.match(judge(target, bytes).reason ?? "nothing", reason, "the hex is the input");
  });
}
