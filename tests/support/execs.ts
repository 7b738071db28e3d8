import { Buffer } from "node:buffer";
import { type ChildProcess, spawn } from "node:child_process";
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { decodeText, encodeText } from "../../lib/wire/text.ts";
import type { ProcessInfo } from "../../mod.ts";
import { buildC } from "./c_program.ts";

/** One exec, as the program that made it wrote it down. */
export interface Exec {
  readonly pid: number;
  /** The file that ran, links resolved; undefined for one without a name. */
  readonly file: string | undefined;
  /** The arguments, each with its NUL. */
  readonly bytes: Uint8Array;
}

/** What a watch says of an exec. */
export type SeenExec = Pick<ProcessInfo, "commandLine" | "commandLineTruncated" | "exe">;

/** Bytes of arguments that a record has room for. */
const RECORDED = 4096;

/** Compiles the program that makes commands in every way in which execs differ; its path, or why there is none. */
export function buildExecs(): { path: string } | { missing: string } {
  return buildC("tests/kernel/programs/execs.c");
}

/** Makes `count` commands, one after the other; the truth is known when the program has ended. */
export function startExecs(
  path: string,
  count: number,
): { readonly child: ChildProcess; readonly truth: Promise<readonly Exec[]> } {
  const folder = mkdtempSync(join(tmpdir(), "execs-"));
  const child = spawn(path, [`${count}`, folder], { stdio: ["ignore", "pipe", "inherit"] });
  let text = "";
  child.stdout!.setEncoding("latin1").on("data", (chunk: string) => text += chunk);
  const truth = new Promise<readonly Exec[]>((resolve, reject) => {
    child.on("error", reject);
    child.on("close", (status) => {
      rmSync(folder, { recursive: true });
      if (status === 0) resolve(text.trimEnd().split("\n").map(parseExec));
      else reject(new Error(`${path} ended with ${status}`));
    });
  });
  return { child, truth };
}

function parseExec(line: string): Exec {
  const [pid, file, ...args] = line.split(" ");
  const bytes = args.map((hex) => hex === "-" ? "00" : `${hex}00`).join("");
  return {
    pid: Number(pid),
    file: file === "-" ? undefined : decodeText(Buffer.from(file!, "hex")),
    bytes: Buffer.from(bytes, "hex"),
  };
}

/** What is wrong with the arguments that a watch shows of an exec; undefined where they are right, cut or not. */
export function wrongArguments(
  { bytes }: Exec,
  { commandLine: args, commandLineTruncated: truncated }: SeenExec,
): string | undefined {
  if (args === undefined) return "unknown";
  const text = args.map((argument) => `${argument}\0`).join("");
  // The last argument of a cut line may be a part of one.
  const seen = encodeText(truncated ? text.slice(0, -1) : text);
  if (truncated && (bytes.length <= RECORDED || seen.length < RECORDED - 1)) return "cut too early";
  const expected = truncated ? bytes.subarray(0, seen.length) : bytes;
  return Buffer.compare(seen, expected) === 0
    ? undefined
    : `not what was given: ${JSON.stringify(text.slice(0, 200))}`;
}

/** What is wrong with the file that a watch shows of an exec; undefined where it is right or unknown. */
export function wrongFile({ file }: Exec, { exe }: SeenExec): string | undefined {
  if (exe === undefined || exe === file) return undefined;
  if (file === undefined && exe.startsWith("/memfd:")) return undefined;
  return `${exe} instead of ${file}`;
}
