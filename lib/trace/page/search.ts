import { hasFailed, lastImage, programName, type TraceProcess } from "../trace.ts";

/** What of a process a search looks at: made once, when somebody searches. */
const texts = new WeakMap<TraceProcess, string>();

/**
 * What a search matches: text in the command lines and names, or a pid; `program:NAME` a whole name, as in the table, and
 * `status:failed` what failed. Undefined if nothing is searched.
 */
export function matcherOf(search: string): ((process: TraceProcess) => boolean) | undefined {
  const wanted = search.trim();
  if (wanted === "") return undefined;
  if (wanted === "status:failed") return hasFailed;
  if (wanted.startsWith("program:")) {
    const name = wanted.slice("program:".length);
    return (process) => programName(lastImage(process)) === name;
  }
  const lower = wanted.toLowerCase();
  return (process) => {
    if (String(process.pid) === wanted) return true;
    let text = texts.get(process);
    if (text === undefined) texts.set(process, text = textOf(process));
    return text.includes(lower);
  };
}

function textOf({ images }: TraceProcess): string {
  return images.map(({ commandLine, comm, exe }) => [commandLine?.join(" "), comm, exe].join("\n")).join("\n")
    .toLowerCase();
}
