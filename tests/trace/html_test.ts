import assert from "node:assert/strict";
import { spawnSync } from "node:child_process";
import { mkdtempSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { test } from "node:test";
import fc from "fast-check";
import { formatHtml, type RecordedEvent, type Trace, type TraceProcess } from "../../lib/trace/mod.ts";
import { decodePageData, encodePageData } from "../../lib/trace/page_data.ts";
import { binary, root } from "../support/runtimes.ts";
import { life, traceOf } from "./sample.ts";

/** What ends a script, begins a comment in one, or is no text in UTF-8. */
const HOSTILE = [
  "</script><script>alert(1)</script>",
  "<!--<script>",
  "\u2028\u2029",
  "\udc80",
  "\0",
  "]]>",
  "&lt;",
  "\\u003c",
];

/** A trace whose processes name their relatives by number: comparing cycles takes long. */
function withoutCycles(trace: Trace): object {
  const numberOf = (process: TraceProcess | undefined): number => trace.processes.indexOf(process!);
  const processes = trace.processes.map((process) => ({
    ...process,
    parent: numberOf(process.parent),
    children: process.children.map(numberOf),
  }));
  return { ...trace, processes, header: JSON.parse(JSON.stringify(trace.header)) };
}

test("a page holds all that a trace has", () => {
  const word = fc.oneof(fc.string(), fc.constantFrom(...HOSTILE));
  const processes = fc.array(
    fc.record({
      parent: fc.nat(9),
      start: fc.nat(90),
      length: fc.nat(90),
      commandLine: fc.array(word, { minLength: 1 }),
      end: fc.constantFrom(
        {},
        { exitCode: 2 },
        { exitCode: null, signal: "SIGSEGV", coreDumped: true },
        { usage: { cpuNs: 5, peakRssBytes: 6, readBytes: 7, writeBytes: 8 }, process: { uid: 1 } },
      ),
      lost: fc.boolean(),
    }),
  );
  fc.assert(fc.property(processes, (list) => {
    const events: RecordedEvent[] = [];
    for (const [i, { parent, start, length, commandLine, end, lost }] of list.entries()) {
      events.push(...life([10 + i, 10 + parent], [start, start + length], commandLine, end));
      if (lost) events.push({ type: "lost", timestampNs: String(1_000_000 + start * 1_000_000) });
    }
    const trace = traceOf(events);
    const json = encodePageData(trace);
    assert(!json.includes("<"));
    const decoded = decodePageData(new TextDecoder().decode(new TextEncoder().encode(json)));
    assert.deepEqual(withoutCycles(decoded), withoutCycles(trace));
  }));
});

test("a page is one script, one style and one policy, whatever processes are named", () => {
  const plain = formatHtml(traceOf(life([10, 1], [0, 100], ["x"])));
  const hostile = formatHtml(traceOf(life([10, 1], [0, 100], HOSTILE)));
  for (const part of [/<script/g, /<\/script/g, /<!--/g, /<style/g, /<meta/g]) {
    assert.equal(hostile.match(part)?.length, plain.match(part)?.length, String(part));
  }
  assert.match(
    plain,
    /content="default-src 'none'; script-src 'sha256-[^']+'; style-src 'sha256-[^']+'; base-uri 'none'; form-action 'none'"/,
  );
});

test("the page is what its sources make: otherwise run npm run page", () => {
  const folder = mkdtempSync(join(tmpdir(), "page-"));
  try {
    const file = join(folder, "html_page.ts");
    const { status, stderr } = spawnSync(binary("node"), [join(root, "scripts/page.mjs"), file], {
      encoding: "utf8",
    });
    assert.equal(status, 0, stderr);
    assert.equal(readFileSync(file, "utf8"), readFileSync(join(root, "lib/trace/html_page.ts"), "utf8"));
  } finally {
    rmSync(folder, { recursive: true });
  }
});
