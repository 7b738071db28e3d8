/** A program that does nothing: what a runtime costs by itself. With `--stay` it stays until SIGTERM. */
import process from "node:process";

process.stdout.write("ready\n");
if (process.argv.includes("--stay")) {
  const stay = setTimeout(() => {}, 1 << 30);
  process.on("SIGTERM", () => clearTimeout(stay));
}
