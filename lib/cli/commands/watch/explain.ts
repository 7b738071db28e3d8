import type { ProcessWatch } from "../../../../mod.ts";
import { jsonLine } from "../../../wire/json_text.ts";
import { safeText } from "../../../wire/escape.ts";

/** Where a filter can run, in words. */
const PLACES: Readonly<Record<string, string>> = {
  kernel: "the kernel's event filter",
  bpf: "a BPF program on the socket",
  typescript: "this program",
};

/** Where each filter runs, and the BPF program. */
export function explain(watch: ProcessWatch): string {
  const { filters, receiveBufferBytes, kernelFilters } = watch.stats();
  const lines = filters.map(({ part, places, note }) =>
    `${part}: ${places.map((place) => PLACES[place]).join(", then ")}${
      note === undefined ? "" : ` (${safeText(note)})`
    }`
  );
  const program = watch.explain();
  return [
    lines.length === 0 ? "No filters: this program receives every event." : "Where each filter runs:",
    ...lines.map((line) => `  ${line}`),
    ...(program === "" ? [] : ["", "The BPF program:", program]),
    "",
    `The kernel ${kernelFilters ? "can" : "cannot"} filter by event type.`,
    `The receive buffer has ${receiveBufferBytes.granted} bytes.`,
    "",
  ].join("\n");
}

/** The same as one line of JSON, with its newline. `program` lists the instructions of the BPF program. */
export function explainJson(watch: ProcessWatch): string {
  const { filters, receiveBufferBytes, kernelFilters } = watch.stats();
  const program = watch.explain();
  return jsonLine({
    filters,
    program: program === "" ? [] : program.split("\n"),
    kernelFilters,
    receiveBufferBytes,
  });
}
