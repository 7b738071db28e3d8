/// <reference lib="es2022" />
/// <reference lib="esnext.disposable" />

/** Declared by the types of Node, Bun, Deno or of a browser; a program that has none of them needs none for ours. */
// deno-lint-ignore no-empty-interface -- it becomes one with theirs
interface AbortSignal {}
