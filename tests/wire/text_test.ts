import assert from "node:assert/strict";
import { test } from "node:test";
import fc from "fast-check";
import { LITTLE, viewOf } from "../../lib/wire/bytes.ts";
import { decodeCString, decodeText, encodeCString, encodeText } from "../../lib/wire/text.ts";
import { amid } from "../protocols/vectors/poison.ts";

/** Pieces of which a decoder's hard cases are made: sequences whole, cut, overlong, of surrogates, beyond Unicode. */
const PIECES: readonly (readonly number[])[] = [
  [0x41],
  [0x00],
  [0x7f],
  [0x80],
  [0xbf],
  [0xc0, 0x80],
  [0xc1, 0xbf],
  [0xc2, 0x80],
  [0xc3, 0xa9],
  [0xdf, 0xbf],
  [0xc3],
  [0xe0, 0x9f, 0xbf],
  [0xe0, 0xa0, 0x80],
  [0xe2, 0x82],
  [0xe2, 0x82, 0xac],
  [0xed, 0x9f, 0xbf],
  [0xed, 0xa0, 0x80],
  [0xed, 0xb2, 0x80],
  [0xed, 0xbf, 0xbf],
  [0xee, 0x80, 0x80],
  [0xef, 0xbb, 0xbf],
  [0xef, 0xbf, 0xbd],
  [0xef, 0xbf, 0xbf],
  [0xf0, 0x8f, 0xbf, 0xbf],
  [0xf0, 0x90, 0x80, 0x80],
  [0xf0, 0x9f, 0x98, 0x80],
  [0xf0, 0x9f, 0x98],
  [0xf4, 0x8f, 0xbf, 0xbf],
  [0xf4, 0x90, 0x80, 0x80],
  [0xf5, 0x80, 0x80, 0x80],
  [0xfe],
  [0xff],
];

const anyBytes = fc.oneof(
  fc.uint8Array({ maxLength: 100 }),
  fc.array(fc.constantFrom(...PIECES), { maxLength: 40 }).map((parts) => Uint8Array.from(parts.flat())),
  fc.string({ unit: "binary", maxLength: 60 }).map((text) => new TextEncoder().encode(text)),
);

test("decodeText() keeps every byte: encodeText() restores them", () => {
  fc.assert(
    fc.property(anyBytes, (bytes) => {
      assert.deepEqual([...encodeText(decodeText(bytes))], [...bytes]);
    }),
    { numRuns: 3_000 },
  );
  for (const first of PIECES) {
    for (const second of PIECES) {
      const bytes = Uint8Array.from([...first, ...second]);
      assert.deepEqual([...encodeText(decodeText(bytes))], [...bytes]);
    }
  }
});

test("decodeText() agrees with a strict decoder on valid UTF-8", () => {
  const strict = new TextDecoder("utf-8", { fatal: true, ignoreBOM: true });
  fc.assert(
    fc.property(anyBytes, (bytes) => {
      let expected: string | undefined;
      try {
        expected = strict.decode(bytes);
      } catch {
        // Not UTF-8: there must be a sign of it.
        assert.match(decodeText(bytes), /[\udc80-\udcff]/);
      }
      if (expected !== undefined) assert.equal(decodeText(bytes), expected);
    }),
    { numRuns: 2_000 },
  );
});

test("decodeText() turns each invalid byte into a lone surrogate, and keeps all valid characters", () => {
  const decode = (...bytes: number[]): string => decodeText(Uint8Array.from(bytes));
  assert.equal(decode(0x61, 0xff, 0x62), "a\udcffb");
  assert.equal(decode(0xc3, 0xa9, 0x80, 0xe2, 0x82, 0xac), "é\udc80€");
  assert.equal(decode(0xe2, 0x82), "\udce2\udc82");
  assert.equal(decode(0xed, 0xa0, 0x80), "\udced\udca0\udc80", "a surrogate is no character");
  assert.equal(decode(0xc0, 0xaf), "\udcc0\udcaf", "no overlong forms");
  assert.equal(decode(0xf4, 0x90, 0x80, 0x80), "\udcf4\udc90\udc80\udc80", "nothing beyond U+10FFFF");
  assert.equal(decode(0xef, 0xbb, 0xbf, 0x61), "\ufeffa", "a byte order mark is a character");
  assert.equal(decode(0xf0, 0x9f, 0x98, 0x80, 0xff), "😀\udcff");
});

test("decodeText() survives JSON", () => {
  fc.assert(
    fc.property(anyBytes, (bytes) => {
      const json = new TextEncoder().encode(JSON.stringify(decodeText(bytes)));
      const text = JSON.parse(new TextDecoder("utf-8", { fatal: true }).decode(json)) as string;
      assert.deepEqual([...encodeText(text)], [...bytes]);
    }),
    { numRuns: 2_000 },
  );
});

test("decodeText() and decodeCString() read only their range", () => {
  fc.assert(fc.property(anyBytes, fc.nat(40), fc.nat(40), (bytes, from, length) => {
    const at = Math.min(from, bytes.length);
    const end = Math.min(at + length, bytes.length);
    const part = bytes.slice(at, end);
    const nul = part.indexOf(0);
    const text = decodeText(part);
    const string = decodeText(nul < 0 ? part : part.slice(0, nul));
    for (const poison of [0x00, 0x80, 0xff]) {
      const around = amid(poison, part);
      const [start, stop] = [around.byteOffset, around.byteOffset + around.length];
      const whole = new Uint8Array(around.buffer);
      assert.equal(decodeText(whole, start, stop), text);
      assert.equal(decodeCString(whole, start, stop), string);
    }
  }));
});

test("encodeText() produces UTF-8 for any other text, even with a lone surrogate at the end", () => {
  fc.assert(fc.property(fc.string({ unit: "binary" }), (text) => {
    assert.deepEqual([...encodeText(text)], [...new TextEncoder().encode(text)]);
  }));
  assert.deepEqual([...encodeText("😀")], [0xf0, 0x9f, 0x98, 0x80]);
  assert.deepEqual([...encodeText("😀\udc80é")], [0xf0, 0x9f, 0x98, 0x80, 0x80, 0xc3, 0xa9]);
  // What decodeText never makes is replaced, as every encoder does.
  assert.deepEqual([...encodeText("\ud800")], [0xef, 0xbf, 0xbd]);
  assert.deepEqual([...encodeText("\udc7f\udcff")], [0xef, 0xbf, 0xbd, 0xff]);
});

test("a text of 2 MB with an invalid byte is decoded about as fast as one without", () => {
  const bytes = new Uint8Array(2 << 20).fill(0x61);
  decodeText(bytes);
  const time = (broken: boolean): number => {
    bytes[1000] = broken ? 0xff : 0x61;
    const started = performance.now();
    const text = decodeText(bytes);
    assert.equal(text.length, bytes.length);
    return performance.now() - started;
  };
  // Character by character it takes a second and stops every other work of the program; here it is 10 ms.
  const best = Math.min(...Array.from({ length: 5 }, () => time(true)));
  assert(best < 300, `${best} ms`);
});

test("encodeCString() ends with its only NUL", () => {
  fc.assert(fc.property(anyBytes, (bytes) => {
    const text = decodeText(bytes);
    if (bytes.includes(0)) assert.throws(() => encodeCString(text), TypeError);
    else assert.deepEqual([...encodeCString(text)], [...bytes, 0]);
  }));
});

test("LITTLE is the byte order of this machine, and viewOf() covers exactly the bytes", () => {
  const bytes = new Uint8Array([9, 1, 0, 0, 0, 9]).subarray(1, 5);
  assert.equal(viewOf(bytes).byteLength, 4);
  assert.equal(viewOf(bytes).getUint32(0, true), 1);
  assert.equal(new Uint16Array(new Uint8Array([1, 0]).buffer)[0] === 1, LITTLE);
});
