/**
 * Where a C library may be. By its bare name the dynamic loader finds glibc's anywhere; the full paths serve runtimes
 * that grant permission by path, and musl, whose C library has no name that all distributions share.
 */
export const LIBC_NAME = "libc.so.6";

/** The full paths by which distributions install libc, the most common first. */
export function libcPaths(arch: "x64" | "arm64"): readonly string[] {
  const cpu = arch === "x64" ? "x86_64" : "aarch64";
  return [
    `/lib/${cpu}-linux-gnu/libc.so.6`,
    "/lib64/libc.so.6",
    `/usr/lib/${cpu}-linux-gnu/libc.so.6`,
    "/usr/lib64/libc.so.6",
    "/usr/lib/libc.so.6",
    "/lib/libc.so.6",
    `/lib/ld-musl-${cpu}.so.1`,
    `/lib/libc.musl-${cpu}.so.1`,
  ];
}
