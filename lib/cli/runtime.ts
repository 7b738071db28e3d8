import process from "node:process";

/** The slice of Deno that is used: asking whether something is allowed, which never asks the user. */
interface DenoSlice {
  readonly noColor: boolean;
  readonly stdout: { write(bytes: Uint8Array): Promise<number> };
  readonly permissions: { querySync(what: DenoPermission): { readonly state: string } };
}

/** A permission as Deno names it. */
type DenoPermission =
  | { readonly name: "env"; readonly variable: string }
  | { readonly name: "read"; readonly path: string };

/** Deno, where it is the runtime. */
const DENO: DenoSlice | undefined = (globalThis as { Deno?: DenoSlice }).Deno;

/** An environment variable. One that Deno would have to ask the user for is as good as unset. */
export function environment(variable: string): string | undefined {
  // This one Deno tells everybody, in its own way.
  if (variable === "NO_COLOR" && DENO !== undefined) return DENO.noColor ? "1" : undefined;
  return allowed({ name: "env", variable }) ? process.env[variable] : undefined;
}

/** Whether a file may be read without Deno's asking the user. */
export function mayRead(path: string): boolean {
  return allowed({ name: "read", path });
}

function allowed(permission: DenoPermission): boolean {
  return DENO === undefined || DENO.permissions.querySync(permission).state === "granted";
}
