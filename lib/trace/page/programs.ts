import { safeText } from "../../wire/escape.ts";
import { type ProgramSum, sumByProgram } from "../analysis.ts";
import type { Trace } from "../trace.ts";
import { button, element } from "./dom.ts";
import { bytes, duration } from "./format.ts";

/** More rows would make the page slow. */
const ROWS = 200;

interface Column {
  readonly title: string;
  /** What it is sorted by. */
  of(sum: ProgramSum): number | string | undefined;
  show(sum: ProgramSum): string;
}

const unknownOr = <T>(value: T | undefined, show: (value: T) => string): string =>
  value === undefined ? "?" : show(value);

const COLUMNS: readonly Column[] = [
  { title: "Program", of: ({ name }) => name, show: ({ name }) => safeText(name) },
  { title: "Runs", of: ({ runs }) => runs, show: ({ runs }) => String(runs) },
  { title: "Failed", of: ({ failed }) => failed, show: ({ failed }) => failed === 0 ? "" : String(failed) },
  { title: "Total", of: ({ totalNs }) => totalNs, show: ({ totalNs }) => duration(totalNs) },
  { title: "Longest", of: ({ longestNs }) => longestNs, show: ({ longestNs }) => duration(longestNs) },
  { title: "CPU", of: ({ cpuNs }) => cpuNs, show: ({ cpuNs }) => unknownOr(cpuNs, duration) },
  {
    title: "Memory",
    of: ({ peakRssBytes }) => peakRssBytes,
    show: ({ peakRssBytes }) => unknownOr(peakRssBytes, bytes),
  },
];

/** A table of programs that can be sorted; `search` is called with what finds all runs of one. */
export function showPrograms(place: HTMLElement, trace: Trace, search: (text: string) => void): void {
  const sums = sumByProgram(trace);
  let sortedBy = COLUMNS.find(({ title }) => title === "Total")!;
  let ascending = false;
  const headers = COLUMNS.map((column) =>
    element(
      "th",
      { scope: "col" },
      button(column.title, () => {
        ascending = sortedBy === column ? !ascending : column.title === "Program";
        sortedBy = column;
        fill();
      }),
    )
  );
  const body = element("tbody", {});
  const more = element("p", { className: "hint" });
  const fill = (): void => {
    const sign = ascending ? 1 : -1;
    sums.sort((a, b) => sign * compare(sortedBy.of(a), sortedBy.of(b)));
    for (const [i, header] of headers.entries()) {
      header.ariaSort = COLUMNS[i] !== sortedBy ? "none" : ascending ? "ascending" : "descending";
    }
    body.replaceChildren(
      ...sums.slice(0, ROWS).map((sum) =>
        element(
          "tr",
          {},
          ...COLUMNS.map((column, i) =>
            i === 0
              ? element(
                "td",
                {},
                button(column.show(sum), () => search(`program:${sum.name}`), { title: column.show(sum) }),
              )
              : element("td", { className: column.title === "Failed" ? "bad" : "" }, column.show(sum))
          ),
        )
      ),
    );
  };
  fill();
  more.textContent = sums.length > ROWS ? `and ${sums.length - ROWS} more programs` : "";
  place.replaceChildren(
    element("table", {}, element("thead", {}, element("tr", {}, ...headers)), body),
    more,
  );
}

/** What is unknown comes after everything else when the largest comes first. */
function compare(a: number | string | undefined, b: number | string | undefined): number {
  if (typeof a === "string" && typeof b === "string") return a < b ? -1 : a > b ? 1 : 0;
  return Number(a ?? -1) - Number(b ?? -1);
}
