import { suggest } from "../../suggest.ts";

/** The events that can be selected, and what the library calls them. */
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

/** An event that can be selected. */
export type Kind = keyof typeof KINDS;

/** An event type of the library. */
export type LibraryKind = typeof KINDS[Kind];

/** What is shown by default. */
export const DEFAULT_KINDS: readonly Kind[] = ["fork", "exec", "exit"];

/** Names that forkstat and the library use for some of them. */
const ALSO: Readonly<Record<string, Kind>> = { clone: "thread", coredump: "core", ptrce: "ptrace" };

/** Everything, including event types that this version does not know. */
const ALL = "all";

/** Which rows are shown. */
export interface Selection {
  readonly kinds: ReadonlySet<Kind>;
  /** Whether threads are shown: their start, and their exit if exits are. */
  readonly threads: boolean;
  /** Whether unknown event types are shown. */
  readonly unknown: boolean;
}

/** The valid names after `--events`. */
export function kindNames(): readonly string[] {
  return [...Object.keys(KINDS), ALL];
}

/**
 * Parses the value of `--events`: names separated by commas.
 *
 * @throws {TypeError} If a name is invalid; the message suggests the nearest one and lists all.
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

/** The event types that the library must deliver for a selection. */
export function libraryKinds(selection: Selection): LibraryKind[] {
  return [...new Set([...selection.kinds].map((kind) => KINDS[kind]))];
}

function kindOf(name: string): Kind {
  if (Object.hasOwn(KINDS, name)) return name as Kind;
  if (Object.hasOwn(ALSO, name)) return ALSO[name]!;
  const names = kindNames();
  const near = suggest(name, [...names, ...Object.keys(ALSO)]);
  const what = name === "" ? "An event name is missing" : `There is no event ${JSON.stringify(name)}`;
  throw new TypeError(
    `${what}${near === undefined ? "" : ` (did you mean ${near}?)`}; choose from ${names.join(", ")}.`,
  );
}
