import type { Libc } from "../../ffi/libc.ts";
import { UnsupportedError, type UnsupportedReason } from "../errors/unsupported_error.ts";
import { readTextFile } from "../procfs/file.ts";
import { fixedBytes } from "../wire/bytes.ts";
import { decodeCString } from "../wire/text.ts";
import { explain, fail, type Finding, ok, unknown } from "./check.ts";
import type { Context } from "./context.ts";

const NAMES = { bun: "Bun", deno: "Deno", node: "Node" } as const;

/** The platform, the runtime and its version. */
export function checkRuntime({ host, refusal }: Context): Finding {
  if (isBecauseOf(refusal, "platform", "runtime")) return fail(explain(refusal));
  return ok(`${NAMES[host.runtime]} ${host.version} on ${host.platform}, ${host.arch}`);
}

/** Whether the runtime allows calling C. */
export function checkPermission({ host, system, refusal }: Context): Finding {
  if (isBecauseOf(refusal, "permission")) return fail(explain(refusal));
  if (isBecauseOf(refusal, "platform", "runtime")) return unknown("C cannot be called");
  // libc has a path only where Deno allows just that one.
  const scoped = host.runtime === "deno" && system?.library?.startsWith("/") === true;
  return ok(scoped ? `calling ${system!.library} is allowed` : "calling C is allowed");
}

/** Name of glibc's version in `confstr(3)`. */
const CS_GNU_LIBC_VERSION = 2;

/** Which libc is in use. */
export function checkLibc({ system, refusal }: Context): Finding {
  if (isBecauseOf(refusal, "libc")) return fail(explain(refusal));
  if (system === undefined) return unknown("C cannot be called");
  const name = system.library ?? "libc";
  const path = mappedLibc(readTextFile(system.libc, "/proc/self/maps") ?? "");
  const opened = path === undefined || path === name ? `opened ${name}` : `opened ${name}, which is ${path}`;
  return ok(`${libcVersion(system.libc)}: ${opened}`);
}

/** "glibc 2.36", or "musl", which does not say its version. */
function libcVersion(libc: Pick<Libc, "confstr">): string {
  const text = fixedBytes(64);
  return libc.confstr(CS_GNU_LIBC_VERSION, text) > 0 ? decodeCString(text) : "musl";
}

/** The file of libc in /proc/self/maps. */
function mappedLibc(maps: string): string | undefined {
  return /\s(\/\S*\/(?:libc\.so\.6|libc-[\d.]+\.so|ld-musl-\w+\.so\.1|libc\.musl-\w+\.so\.1))$/m.exec(maps)
    ?.[1];
}

function isBecauseOf(error: unknown, ...reasons: readonly UnsupportedReason[]): boolean {
  return error instanceof UnsupportedError && reasons.includes(error.reason);
}
