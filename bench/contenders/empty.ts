/** A program that does nothing, to measure the runtime alone. With `--stay` it runs until SIGTERM. */
import process from "node:process";

process.stdout.write("ready\n");
if (process.argv.includes("--stay")) {
  const stay = setTimeout(() => {}, 1 << 30);
  process.on("SIGTERM", () => clearTimeout(stay));
}
