import type { ProcessWatch } from "../../library.ts";
import { safeJson, safeText } from "../../io/safe_text.ts";

/** What each place that can judge a filter is called for people. */
const PLACES: Readonly<Record<string, string>> = {
  kernel: "the kernel's own filter",
  bpf: "a BPF program before the queue",
  typescript: "this program",
};

/** Where each part of what was asked for is judged, and the program that the kernel runs for it. */
export function explain(watch: ProcessWatch): string {
  const { filters, receiveBufferBytes, kernelFilters } = watch.stats();
  const lines = filters.map(({ part, places, note }) =>
    `${part}: ${places.map((place) => PLACES[place]).join(", then ")}${
      note === undefined ? "" : ` (${safeText(note)})`
    }`
  );
  const program = watch.explain();
  return [
    lines.length === 0
      ? "Nothing is filtered: every event reaches this program."
      : "What was asked for is judged by:",
    ...lines.map((line) => `  ${line}`),
    ...(program === "" ? [] : ["", "The BPF program:", program]),
    "",
    `The kernel ${kernelFilters ? "can" : "cannot"} filter by kind itself.`,
    `Its receive buffer for us has ${receiveBufferBytes.granted} bytes.`,
    "",
  ].join("\n");
}

/** The same as one line of JSON, with its end. `program` has a step of the BPF program each. */
export function explainJson(watch: ProcessWatch): string {
  const { filters, receiveBufferBytes, kernelFilters } = watch.stats();
  const program = watch.explain();
  return `${
    safeJson({
      filters,
      program: program === "" ? [] : program.split("\n"),
      kernelFilters,
      receiveBufferBytes,
    })
  }\n`;
}
