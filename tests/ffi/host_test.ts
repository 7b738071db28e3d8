import assert from "node:assert/strict";
import { existsSync } from "node:fs";
import process from "node:process";
import { test } from "node:test";
import { detectRuntime } from "../../ffi/host.ts";
import { LIBC_NAME, libcPaths } from "../../ffi/bind.ts";
import { runtime } from "../support/runtimes.ts";

test("detectRuntime() finds the runtime, the platform and the process", () => {
  const { version, ...rest } = detectRuntime();
  assert.deepEqual(rest, { runtime, platform: "linux", arch: process.arch, pid: process.pid });
  assert.match(version, /^\d+\.\d+\.\d+/);
});

test("libcPaths() are full paths, different for each architecture, one of which is here", () => {
  for (const arch of ["x64", "arm64"] as const) {
    const paths = libcPaths(arch);
    assert.equal(new Set(paths).size, paths.length);
    for (const path of paths) assert.match(path, /^\/[\w./-]+$/);
    const cpu = arch === "x64" ? "x86_64" : "aarch64";
    const other = arch === "x64" ? "aarch64" : "x86_64";
    assert(paths.some((path) => path.includes(cpu)));
    assert(!paths.some((path) => path.includes(other)));
    // glibc and musl
    assert(paths.includes(`/lib/${cpu}-linux-gnu/libc.so.6`));
    assert(paths.includes(`/lib/ld-musl-${cpu}.so.1`));
  }
  assert(libcPaths(process.arch as "x64" | "arm64").some((path) => existsSync(path)));
  assert.doesNotMatch(LIBC_NAME, /\//, "the loader looks for a bare name in its own places");
});
