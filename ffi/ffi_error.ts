/** Why libc cannot be called. The words for users are added where what they asked for is known. */
export type FfiFailure =
  /** Not Linux on x86-64 or arm64. */
  | { readonly reason: "platform"; readonly platform: string; readonly arch: string }
  /** Node without `node:ffi`: an old one, or one with `--no-experimental-ffi`. `version` begins with a "v". */
  | { readonly reason: "node-without-ffi"; readonly version: string }
  /** Node's permission model: no `--allow-ffi`. */
  | { readonly reason: "node-ffi-denied" }
  /** Node's permission model: no `--allow-worker`. */
  | { readonly reason: "node-worker-denied" }
  /** Deno: no `--allow-ffi`, for none of `paths`. */
  | { readonly reason: "deno-ffi-denied"; readonly paths: readonly string[] }
  /** No C library could be opened. */
  | { readonly reason: "libc-not-loaded"; readonly message: string }
  /** A call answers nonsense. */
  | { readonly reason: "wrong-pid"; readonly gotPid: number; readonly pid: number };

/** What keeps this program from calling libc. */
export class FfiError extends Error {
  override readonly name = "FfiError";
  readonly failure: FfiFailure;

  constructor(failure: FfiFailure, options?: ErrorOptions) {
    super("message" in failure ? `${failure.reason}: ${failure.message}` : failure.reason, options);
    this.failure = failure;
  }
}
