import { lastImage, programName, type Trace, type TraceProcess } from "./trace.ts";

/**
 * A trace as folded stacks, which flame graph programs and speedscope read: one line for each chain of programs, with the
 * CPU time that its last ones took themselves, in microseconds; or, if no CPU time is known, the time that they ran. A
 * program during which events were lost has a `~`, and stacks of their own say that events were lost or the recording was
 * cut.
 */
export function formatFolded({ processes, losses, complete }: Trace): string {
  const byCpu = processes.some(({ usage }) => usage !== undefined);
  const stacks = new Map<string, number>();
  const paths = new Map<TraceProcess, string>();
  // Parents come before their children.
  for (const process of processes) {
    const parent = process.parent === undefined ? undefined : paths.get(process.parent);
    const frame = `${process.uncertain ? "~" : ""}${frameName(programName(lastImage(process)))}`;
    const path = parent === undefined ? frame : `${parent};${frame}`;
    paths.set(process, path);
    const ns = byCpu ? process.usage?.cpuNs ?? 0 : process.endNs - process.startNs;
    stacks.set(path, (stacks.get(path) ?? 0) + ns);
  }
  let text = "";
  for (const [path, ns] of stacks) {
    const us = Math.round(ns / 1000);
    if (us > 0) text += `${path} ${us}\n`;
  }
  // The smallest stack that is shown.
  if (losses.length > 0) text += "(events were lost: ~ is uncertain) 1\n";
  if (!complete) text += "(the recording was cut) 1\n";
  return text;
}

/** A name without what separates frames, stacks and lines. */
function frameName(name: string): string {
  return name.replace(/[;\s\p{Cc}\p{Cf}\p{Cs}\p{Zl}\p{Zp}]/gu, "_") || "?";
}
