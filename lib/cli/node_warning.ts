import process from "node:process";

/**
 * Keeps Node from warning whoever types the command that FFI is experimental. Only that one warning, and only here: a
 * program that uses the library decides for itself.
 */
export function hideFfiWarning(): void {
  const emitWarning = process.emitWarning.bind(process) as (...rest: unknown[]) => void;
  process.emitWarning = (...rest: unknown[]): void => {
    const [warning, type] = rest;
    if (type === "ExperimentalWarning" && String(warning).startsWith("FFI ")) return;
    emitWarning(...rest);
  };
}
