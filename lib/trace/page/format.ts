import { formatDuration } from "../../wire/duration.ts";
import { safeText, shellQuote } from "../../wire/escape.ts";
import { hasFailed, lastImage, programName, type TraceImage, type TraceProcess } from "../trace.ts";

/** As `1.25s`. */
export function duration(ns: number): string {
  return formatDuration(BigInt(Math.round(ns)));
}

/** As `3.2 MiB`. */
export function bytes(count: number): string {
  const units = ["B", "KiB", "MiB", "GiB", "TiB"];
  let [value, unit] = [count, 0];
  for (; value >= 1024 && unit < units.length - 1; unit++) value /= 1024;
  return `${unit === 0 ? value : value.toFixed(1)} ${units[unit]}`;
}

/** A command line as a shell reads it, or the name if it is not known or the parent's. */
export function commandOf(image: TraceImage, limit?: number): string {
  const { commandLine, forked } = image;
  if (forked || commandLine === undefined || commandLine.length === 0) return safeText(programName(image));
  return shellQuote(commandLine, limit);
}

/** How it ended, as far as it is known: `failed with status 2`. */
export function statusOf(process: TraceProcess): string {
  const { signal, exitCode, coreDumped, running } = process;
  if (signal !== null) return `ended by ${safeText(signal)}${coreDumped ? ", core dumped" : ""}`;
  if (running) return "still running, or its end was lost";
  if (exitCode === null) return "unknown";
  return hasFailed(process) ? `failed with status ${exitCode}` : "succeeded (status 0)";
}

/** How long it lived; `~` if events were lost meanwhile, `>` if it lived longer than it was seen. */
export function lifeOf({ startNs, endNs, uncertain, startUnknown, running }: TraceProcess): string {
  return `${uncertain ? "~" : ""}${startUnknown || running ? ">" : ""}${duration(endNs - startNs)}`;
}

/** What stands in its box: what is wrong with it, and its command. */
export function labelOf(process: TraceProcess): string {
  const { signal, exitCode, startUnknown, running, uncertain } = process;
  const failure = hasFailed(process) ? `✕${signal ?? exitCode} ` : "";
  return `${startUnknown ? "… " : ""}${failure}${uncertain ? "~ " : ""}${commandOf(lastImage(process), 200)}${
    running ? " …" : ""
  }`;
}
