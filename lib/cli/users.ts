import { readFileSync } from "node:fs";
import { mayRead } from "./runtime.ts";
import { safeText } from "./safe_text.ts";

/** Names of ids, as /etc/passwd and /etc/group have them; the number where they have none or cannot be read. */
export class IdNames {
  readonly #read: () => string;
  #names: Map<number, string> | undefined;

  /** `read` gives the text of the file; it is read at the first question. */
  constructor(read: () => string) {
    this.#read = read;
  }

  /** The name of an id, safe for a terminal. */
  name(id: number): string {
    this.#names ??= parseIdNames(this.#read());
    let name = this.#names.get(id);
    if (name === undefined) this.#names.set(id, name = String(id));
    return name;
  }
}

/** The names of users. */
export function userNames(): IdNames {
  return new IdNames(() => readIfAllowed("/etc/passwd"));
}

/** The names of groups. */
export function groupNames(): IdNames {
  return new IdNames(() => readIfAllowed("/etc/group"));
}

/** The third field of each line is the id of the first; the first line that has an id wins, as in libc. */
function parseIdNames(text: string): Map<number, string> {
  const names = new Map<number, string>();
  for (const line of text.split("\n")) {
    const [name = "", , id = ""] = line.split(":");
    if (name !== "" && /^\d+$/.test(id) && !names.has(Number(id))) names.set(Number(id), safeText(name));
  }
  if (!names.has(0)) names.set(0, "root"); // whatever cannot be read, this one is the kernel's own
  return names;
}

function readIfAllowed(path: string): string {
  if (!mayRead(path)) return "";
  try {
    return readFileSync(path, "utf8");
  } catch {
    return "";
  }
}
