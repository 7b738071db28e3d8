import assert from "node:assert/strict";
import { test } from "node:test";
import { DecodeError } from "../../lib/errors/decode_error.ts";
import { viewOf } from "../../lib/wire/host.ts";
import { fuzz, judge, type Target } from "./engine.ts";
import { TARGETS } from "./targets.ts";

/** Long enough for thousands of inputs of most targets; tests/fuzz/fuzz.ts goes on for as long as one likes. */
const MS = 400;

for (const target of TARGETS) {
  test(`${target.name}: a short fuzz finds nothing`, () => {
    const { inputs, failure } = fuzz(target, MS, Date.now());
    assert.equal(failure, undefined, `${failure?.reason}: ${failure?.hex}`);
    assert(inputs > target.seeds.length);
  });
}

test("every target accepts what it starts from", () => {
  for (const target of TARGETS) {
    const good = target.seeds.filter((bytes) => {
      const { reason, behaviour } = judge(target, bytes);
      return reason === undefined && !behaviour.startsWith("refused");
    });
    assert(good.length > 0, target.name);
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
      bytes.length < 4 ? 0 : new Uint8Array(Math.min(view.getUint32(0, true), 1 << 24))
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
    const { failure } = fuzz(target, 20_000, 4711);
    assert.match(failure?.reason ?? "nothing", reason);
    assert(failure!.bytes <= mostBytes, failure!.hex);
    const bytes = Uint8Array.from(failure!.hex.match(/../g) ?? [], (digits) => Number.parseInt(digits, 16));
    assert.match(judge(target, bytes).reason ?? "nothing", reason, "the hex is the input");
  });
}

test("the fuzzer finds nothing where nothing is", () => {
  const sound = faulty((_view, bytes) => {
    if (bytes[1]! > bytes.length - 2) throw new DecodeError("record", bytes[1]!, bytes.length - 2);
    return bytes.subarray(2, 2 + bytes[1]!);
  });
  const { failure, corpus, refused, inputs } = fuzz(sound, 200, 7);
  assert.equal(failure, undefined);
  assert(corpus > 5 && refused > 0 && refused < inputs);
});
