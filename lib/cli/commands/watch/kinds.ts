import { suggest } from "../../suggest.ts";

/** Every kind of row that can be asked for, and what the library calls it. */
export const KINDS = {
  fork: "fork",
  thread: "fork",
  exec: "exec",
  exit: "exit",
  uid: "uid",
  gid: "gid",
  sid: "sid",
  ptrace: "ptrace",
  comm: "comm",
  core: "coredump",
} as const;

/** A kind of row that can be asked for. */
export type Kind = keyof typeof KINDS;

/** A kind of event, as the library calls it. */
export type LibraryKind = typeof KINDS[Kind];

/** What is shown when nothing is asked for. */
export const DEFAULT_KINDS: readonly Kind[] = ["fork", "exec", "exit"];

/** The names by which forkstat and the library know some of them. */
const ALSO: Readonly<Record<string, Kind>> = { clone: "thread", coredump: "core", ptrce: "ptrace" };

/** Everything, and events of kinds that this version does not know. */
const ALL = "all";

/** Which rows are shown. */
export interface Selection {
  readonly kinds: ReadonlySet<Kind>;
  /** Whether threads are shown: their starts, and their ends where ends are. */
  readonly threads: boolean;
  /** Whether events of unknown kinds are shown. */
  readonly unknown: boolean;
}

/** The names that are good after `--events`. */
export function kindNames(): readonly string[] {
  return [...Object.keys(KINDS), ALL];
}

/**
 * Reads what follows `--events`: names, separated by commas.
 *
 * @throws {TypeError} That names the wrong one, the good ones and the nearest.
 */
export function parseKinds(list: string, threads: boolean): Selection {
  const kinds = new Set<Kind>();
  let all = false;
  for (const name of list.split(",").map((part) => part.trim().toLowerCase())) {
    if (name === ALL) all = true;
    else kinds.add(kindOf(name));
  }
  if (all) { for (const kind of Object.keys(KINDS) as Kind[]) kinds.add(kind); }
  if (threads && kinds.has("fork")) kinds.add("thread");
  return { kinds, threads: threads || kinds.has("thread"), unknown: all };
}

/** What the library must be asked for, to show them. */
export function libraryKinds(selection: Selection): LibraryKind[] {
  return [...new Set([...selection.kinds].map((kind) => KINDS[kind]))];
}

function kindOf(name: string): Kind {
  if (Object.hasOwn(KINDS, name)) return name as Kind;
  if (Object.hasOwn(ALSO, name)) return ALSO[name]!;
  const names = kindNames();
  const near = suggest(name, [...names, ...Object.keys(ALSO)]);
  const what = name === "" ? "an event name is missing" : `there is no event ${JSON.stringify(name)}`;
  throw new TypeError(
    `${what}${near === undefined ? "" : ` (did you mean ${near}?)`}; choose from ${names.join(", ")}`,
  );
}
