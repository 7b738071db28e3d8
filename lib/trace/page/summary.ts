import { criticalShares, sumByProgram } from "../analysis.ts";
import { findingsOf } from "../findings.ts";
import { lastImage, type Trace, type TraceProcess } from "../trace.ts";
import { button, byId, element } from "./dom.ts";
import { commandOf, duration } from "./format.ts";

/** How many processes of the critical path are listed, and how long their commands are. */
const ROWS = 12;
const COMMAND_CHARACTERS = 200;

/** Shows the critical path and what stands out; `select` is called with a process that was clicked. */
export function showSummary(trace: Trace, select: (process: TraceProcess) => void): void {
  const findings = findingsOf(trace, sumByProgram(trace)).map((finding) => element("li", {}, finding));
  fill("findings", element("ul", {}, ...findings), findings.length);
  const rows = criticalShares(trace).slice(0, ROWS).map(({ process, ns }) => {
    const command = commandOf(lastImage(process), COMMAND_CHARACTERS);
    return element(
      "tr",
      {},
      element(
        "td",
        {},
        button(`${process.uncertain ? "~ " : ""}${command}`, () => select(process), { title: command }),
      ),
      element("td", {}, duration(ns)),
      element("td", {}, trace.durationNs > 0 ? `${(100 * ns / trace.durationNs).toFixed(0)}%` : ""),
    );
  });
  fill("critical", element("table", {}, element("tbody", {}, ...rows)), rows.length);
}

/** Fills a section, or leaves it hidden if there is nothing to show. */
function fill(id: string, content: HTMLElement, count: number): void {
  byId(id).replaceChildren(content);
  byId(`${id}-section`).hidden = count === 0;
}
