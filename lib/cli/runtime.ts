import process from "node:process";
import type { Libc } from "../../ffi/libc.ts";
import { openSystem } from "../system.ts";

/** The part of Deno that is used here. `querySync` never prompts the user. */
interface DenoSlice {
  readonly noColor: boolean;
  readonly permissions: { querySync(what: DenoPermission): { readonly state: string } };
}

/** A permission as Deno names it. */
type DenoPermission =
  | { readonly name: "env"; readonly variable?: string }
  | { readonly name: "read"; readonly path: string };

/** Deno, if it is the runtime. */
const DENO: DenoSlice | undefined = (globalThis as { Deno?: DenoSlice }).Deno;

/** An environment variable; undefined if Deno would have to prompt the user for it. */
export function environment(variable: string): string | undefined {
  // Deno exposes this one without a permission.
  if (variable === "NO_COLOR" && DENO !== undefined) return DENO.noColor ? "1" : undefined;
  return allowed({ name: "env", variable }) ? process.env[variable] : undefined;
}

/** All environment variables; none if Deno would have to prompt the user for them. */
export function environmentVariables(): Readonly<Record<string, string | undefined>> {
  return allowed({ name: "env" }) ? process.env : {};
}

/** Whether a file may be read without Deno prompting the user. */
export function mayRead(path: string): boolean {
  return allowed({ name: "read", path });
}

function allowed(permission: DenoPermission): boolean {
  return DENO === undefined || DENO.permissions.querySync(permission).state === "granted";
}

/** The C library, for system calls of the command itself; undefined if the runtime cannot open it. */
export function systemLibc(): Libc | undefined {
  try {
    return openSystem("write the output").libc;
  } catch {
    return undefined; // a caller that needs it reports why
  }
}
