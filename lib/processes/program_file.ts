import type { ReadCalls } from "../../ffi/libc.ts";
import { readFile, readTextFile, realPath } from "../procfs/file.ts";
import { decodeText } from "../wire/text.ts";
import { globMatcher, isGlob } from "./glob.ts";
import type { ProcessField, ProcessInfo } from "./info.ts";

/** A test of processes by the file that they run. */
export interface ProgramTest {
  /** Whether a process runs it. */
  readonly matches: (info: ProcessInfo) => boolean;
  /** What must be read of each process. */
  readonly fields: readonly ProcessField[];
  /** What a user should know who wonders why nothing matches. */
  readonly note?: string | undefined;
}

/** A script, and what can run it. */
interface Script {
  readonly path: string;
  readonly interpreters: ReadonlySet<string>;
}

/** What the kernel adds to the path of a file that was replaced or removed since it was started. */
const DELETED = " (deleted)";
/** Where programs are looked for without the variable. */
const DEFAULT_PATH = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin";
/** So much of a script's first line the kernel reads. */
const FIRST_LINE_BYTES = 256;
/** An interpreter's options and the script come first; more is not looked at. */
const MAX_ARGUMENTS = 16;

/**
 * A test for one program, by meaning: links and relative paths are resolved now, a name is also looked for in PATH
 * (`sh` is `/usr/bin/dash` on many systems), and of a script the interpreter runs it.
 *
 * @throws {TypeError} For what can never match.
 */
export function programTest(
  libc: ReadCalls,
  pattern: string,
  unsupported: (why: string) => TypeError,
): ProgramTest {
  if (pattern === "") throw unsupported("it is empty");
  if (isGlob(pattern)) return globTest(libc, pattern, unsupported);
  const isName = !pattern.includes("/");
  const given = isName ? inPath(libc, pattern) : [pattern];
  const found = given.flatMap((path) => realPath(libc, path) ?? []);
  const isAbsolute = pattern.startsWith("/");
  if (!isName && found.length === 0 && !isAbsolute) {
    throw unsupported(`there is no file ${JSON.stringify(pattern)} in the working directory`);
  }
  if (!isName && realPath(libc, `${pattern}/.`) !== undefined) {
    throw unsupported(
      `${JSON.stringify(pattern)} is a folder; "${pattern.replace(/\/+$/, "")}/*" is what is in it`,
    );
  }
  const files = new Set(isAbsolute ? [pattern, ...found] : found);
  const scripts = [...new Set(found)].flatMap((path) => scriptAt(libc, path) ?? []);
  const suffix = `/${pattern}`;
  const runs = scripts.map((script) => scriptRunner(libc, script));
  return {
    fields: scripts.length === 0 ? ["exe"] : ["exe", "commandLine", "cwd"],
    note: found.length > 0
      ? undefined
      : isName
      ? `no program ${JSON.stringify(pattern)} in PATH now: only files of that very name match`
      : `there is no file ${pattern} now: only what is run from that very path matches`,
    matches(info) {
      const { exe } = info;
      if (exe === undefined) return false;
      const file = withoutDeleted(exe);
      return files.has(file) || files.has(exe) || (isName && file.endsWith(suffix)) ||
        runs.some((isRunBy) => isRunBy(info, file));
    },
  };
}

/** A path without what the kernel adds where the file is not there any more. */
export function withoutDeleted(path: string): string {
  return path.endsWith(DELETED) ? path.slice(0, -DELETED.length) : path;
}

/** A pattern of paths, or without a `/` of their last parts. */
function globTest(libc: ReadCalls, pattern: string, unsupported: (why: string) => TypeError): ProgramTest {
  const fields = ["exe"] as const;
  if (!pattern.includes("/")) {
    const matches = globMatcher(pattern);
    return {
      fields,
      matches: ({ exe }) => exe !== undefined && matches(lastPart(withoutDeleted(exe))),
    };
  }
  if (!pattern.startsWith("/") && !pattern.startsWith("*")) {
    throw unsupported("a pattern with a / must begin with / or *, as paths of programs are whole");
  }
  // A folder before the first wild card can be a link: /bin on most systems.
  const folder = pattern.slice(0, pattern.slice(0, pattern.search(/[*?\\]/)).lastIndexOf("/"));
  const real = folder === "" ? "" : realPath(libc, folder);
  const tests = [globMatcher(pattern, "/")];
  if (real !== undefined && real !== folder) {
    tests.push(globMatcher(escapeGlob(real) + pattern.slice(folder.length), "/"));
  }
  return {
    fields,
    note: real === undefined ? `there is no folder ${folder} now` : undefined,
    matches: ({ exe }) => exe !== undefined && tests.some((matches) => matches(withoutDeleted(exe))),
  };
}

/** Reads the first line of a script, as the kernel does; undefined for any other file. */
function scriptAt(libc: ReadCalls, path: string): Script | undefined {
  const bytes = readFile(libc, path, FIRST_LINE_BYTES);
  if (typeof bytes === "number") return undefined;
  const line = /^#![ \t]*([^ \t\n]+)[ \t]*([^\n]*)/.exec(decodeText(bytes));
  if (line === null) return undefined;
  const [, interpreter, rest] = line as unknown as [string, string, string];
  // env(1) runs what its first argument names that is neither an option nor a variable.
  const named = lastPart(interpreter) === "env"
    ? rest.replace(/^-S\s*/, "").split(/\s+/).find((word) => !/^-|=/.test(word))
    : undefined;
  const files = [interpreter, ...(named === undefined ? [] : inPath(libc, named))];
  return { path, interpreters: new Set(files.flatMap((file) => realPath(libc, file) ?? [])) };
}

/** Whether a process runs a script: its file is the interpreter, and the first argument that is no option the script. */
function scriptRunner(libc: ReadCalls, script: Script): (info: ProcessInfo, file: string) => boolean {
  // A command line belongs to one program, and is shared by all the children that are the same.
  const known = new WeakMap<readonly string[], boolean>();
  return ({ commandLine, cwd }, file) => {
    if (commandLine === undefined || !script.interpreters.has(file)) return false;
    let runs = known.get(commandLine);
    if (runs === undefined) {
      const candidates = scriptArguments(commandLine, lastPart(file) === "env" ? 2 : 1);
      runs = candidates.some((argument) => isScript(libc, script, argument, cwd));
      known.set(commandLine, runs);
    }
    return runs;
  };
}

function isScript(libc: ReadCalls, script: Script, argument: string, cwd: string | undefined): boolean {
  const path = argument.startsWith("/") ? argument : cwd === undefined ? undefined : `${cwd}/${argument}`;
  return path !== undefined && (path === script.path || realPath(libc, path) === script.path);
}

/** The first arguments that are no options; none behind `-c`, which has code as its value in shells and Python. */
function scriptArguments(commandLine: readonly string[], count: number): string[] {
  const found: string[] = [];
  for (const argument of commandLine.slice(1, MAX_ARGUMENTS)) {
    if (/^-[A-Za-z]*c$/.test(argument)) break;
    if (!argument.startsWith("-") && argument !== "") found.push(argument);
    if (found.length === count) break;
  }
  return found;
}

/** Where a program of this name can be, in the order of PATH. */
function inPath(libc: ReadCalls, name: string): string[] {
  // The runtimes' own way to the variables needs a permission of its own in one of them.
  const environ = readTextFile(libc, "/proc/self/environ") ?? "";
  const path = environ.split("\0").find((line) => line.startsWith("PATH="))?.slice("PATH=".length);
  return (path ?? DEFAULT_PATH).split(":").map((folder) => `${folder === "" ? "." : folder}/${name}`);
}

function escapeGlob(text: string): string {
  return text.replace(/[*?\\]/g, "\\$&");
}

function lastPart(path: string): string {
  return path.slice(path.lastIndexOf("/") + 1);
}
