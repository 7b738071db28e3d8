import { safeText } from "../../wire/escape.ts";
import { hasFailed, lastImage, type Trace, type TraceProcess } from "../trace.ts";
import { button, element } from "./dom.ts";
import { bytes, commandOf, duration, lifeOf, statusOf } from "./format.ts";

/** More children than these are only counted. */
const CHILDREN = 50;

/** What a button in the details does. */
export interface Actions {
  /** Selects another process. */
  select(process: TraceProcess): void;
  /** Shows the whole life of a process. */
  zoomTo(process: TraceProcess): void;
}

/** All that is known of a process. */
export function showDetails(
  place: HTMLElement,
  trace: Trace,
  process: TraceProcess | undefined,
  actions: Actions,
): void {
  if (process === undefined) {
    place.replaceChildren(
      element("p", { className: "hint" }, "Select a process to see its command line, times and costs."),
    );
    return;
  }
  const image = lastImage(process);
  const command = commandOf(image);
  const line = element("pre", { tabIndex: 0 }, command);
  place.replaceChildren(
    line,
    ...image.commandLineTruncated && !image.forked
      ? [element("p", { className: "hint" }, "It was very long: its end was not recorded.")]
      : [],
    element(
      "div",
      { className: "tools" },
      copyButton(line, command),
      button("Zoom to it", () => actions.zoomTo(process)),
    ),
    element(
      "dl",
      {},
      ...fields(trace, process).flatMap(([name, value]) => [
        element("dt", {}, name),
        element("dd", { className: name === "Status" && hasFailed(process) ? "bad" : "" }, ...[value].flat()),
      ]),
      ...related("Parents", parentsOf(process), actions),
      ...related("Children", process.children, actions),
    ),
  );
}

function fields(trace: Trace, process: TraceProcess): [name: string, value: string | Node][] {
  const { pid, uid, usage, startNs, endNs, uncertain, startUnknown, images } = process;
  const image = lastImage(process);
  const found: [string, string | Node | undefined][] = [
    ["Status", statusOf(process)],
    ["Duration", lifeOf(process) + (uncertain ? " (uncertain: events were lost while it ran)" : "")],
    [
      "Start",
      startUnknown
        ? "before the recording, or lost"
        : `${duration(startNs)} after the beginning, at ${timeOfDay(trace.header.timeMs + startNs / 1e6)}`,
    ],
    ["CPU", usage && cpuText(usage.cpuNs, endNs - startNs)],
    ["Peak memory", usage && bytes(usage.peakRssBytes)],
    ["Disk", usage && `${bytes(usage.readBytes)} read, ${bytes(usage.writeBytes)} written`],
    ["Executable", image.exe && safeText(image.exe)],
    ["Directory", image.cwd && safeText(image.cwd)],
    ["Process", `${pid}${uid === undefined ? "" : `, of user ${uid}`}`],
    ["Programs", images.length > 1 ? programList(process) : undefined],
  ];
  return found.map(([name, value]) => [name, value ?? "unknown"] as [string, string | Node])
    .filter(([name, value]) => name !== "Programs" || value !== "unknown");
}

function cpuText(cpuNs: number, lifeNs: number): string {
  return lifeNs > 0
    ? `${duration(cpuNs)} (${(100 * cpuNs / lifeNs).toFixed(0)}% of a processor)`
    : duration(cpuNs);
}

/** Each program that it ran, with the time of its exec. */
function programList({ images, startNs }: TraceProcess): Node {
  return element(
    "ol",
    {},
    ...images.map((image) =>
      element(
        "li",
        {},
        `${image.forked ? "fork" : "exec"} +${duration(image.startNs - startNs)}: ${commandOf(image, 300)}`,
      )
    ),
  );
}

function parentsOf(process: TraceProcess): TraceProcess[] {
  const chain: TraceProcess[] = [];
  for (let at = process.parent; at !== undefined && chain.length < CHILDREN; at = at.parent) chain.push(at);
  return chain;
}

function related(title: string, processes: readonly TraceProcess[], actions: Actions): Node[] {
  if (processes.length === 0) return [];
  const shown = processes.slice(0, CHILDREN).map((process) =>
    element(
      "li",
      {},
      button(`${commandOf(lastImage(process), 120)}  ${lifeOf(process)}`, () => actions.select(process), {
        className: hasFailed(process) ? "bad" : "",
      }),
    )
  );
  if (processes.length > CHILDREN) shown.push(element("li", {}, `and ${processes.length - CHILDREN} more`));
  return [element("dt", {}, title), element("dd", {}, element("ol", {}, ...shown))];
}

/** Copies a command, or selects it where the browser does not let a page copy. */
function copyButton(line: HTMLElement, command: string): HTMLButtonElement {
  const made = button("Copy command", async () => {
    try {
      await navigator.clipboard.writeText(command);
      made.textContent = "Copied";
    } catch {
      getSelection()?.selectAllChildren(line);
      made.textContent = "Selected: press Ctrl+C";
    }
  });
  return made;
}

function timeOfDay(ms: number): string {
  const date = new Date(ms);
  if (Number.isNaN(date.getTime())) return "an unknown time";
  return date.toLocaleTimeString(undefined, {
    hour: "2-digit",
    minute: "2-digit",
    second: "2-digit",
    fractionalSecondDigits: 3,
  });
}
