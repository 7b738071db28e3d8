import { safeText } from "../../wire/escape.ts";
import { hasFailed, titleOf, type Trace } from "../trace.ts";
import { byId, element } from "./dom.ts";
import { duration } from "./format.ts";

/** More losses than these are only counted. */
const LOSSES = 5;

/** Shows what was traced, its totals, and what is missing. */
export function showHeader(trace: Trace): void {
  const { header, processes, durationNs, status } = trace;
  document.title = `${titleOf(header, 80)}: trace`;
  byId("command").textContent = titleOf(header, Infinity);
  const failed = processes.filter(hasFailed).length;
  const parts = [
    `${processes.length} ${processes.length === 1 ? "process" : "processes"} in ${duration(durationNs)}`,
    `${failed} failed`,
    ...status === null ? [] : [`exit status ${status}`],
    dateOf(header.timeMs),
    `in ${safeText(header.cwd)}`,
    ...header.kernel === undefined ? [] : [`Linux ${safeText(header.kernel)}`],
    `${header.processors} ${header.processors === 1 ? "processor" : "processors"}`,
  ];
  byId("totals").textContent = parts.join(" · ");
  byId("notices").replaceChildren(
    ...noticesOf(trace).map((notice) => element("p", { className: "notice" }, notice)),
  );
}

function noticesOf({ losses, complete, usageRefusal }: Trace): string[] {
  const notices = losses.slice(0, LOSSES).map(({ sinceNs, ns, count }) =>
    `Lost between ${duration(sinceNs)} and ${duration(ns)}: ${
      count === undefined ? "an unknown number of" : count
    } events. Times and programs of what ran then are uncertain (~, hatched).`
  );
  if (losses.length > LOSSES) notices.push(`Events were lost at ${losses.length - LOSSES} more times.`);
  if (usageRefusal !== undefined) notices.push(`CPU time and memory are unknown: ${safeText(usageRefusal)}`);
  if (!complete) notices.push("The recording was cut: what came after is missing.");
  return notices;
}

function dateOf(ms: number): string {
  const date = new Date(ms);
  return Number.isNaN(date.getTime()) ? "at an unknown time" : date.toLocaleString();
}
