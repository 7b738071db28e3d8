import process from "node:process";

/** With `--production`, what only tests use is unused; then what a file uses itself may still be exported to its test. */
export default {
  entry: [
    "mod.ts!",
    "lib/codec.ts!",
    "lib/protocols/*/mod.ts!",
    "lib/trace/mod.ts!",
    "lib/history/mod.ts!",
    "lib/trace/page/main.ts!",
    "scripts/documents.ts!",
    "examples/*.ts",
    "tests/**/*_test.ts",
    "tests/**/programs/*.ts",
    "tests/connector/rate.ts",
    "tests/vm/guest/crash_cycle.ts",
    "bench/contenders/*.ts",
    "bench/history_rows.ts",
  ],
  project: ["**/*.ts!", "!tests/**!", "!bench/**!", "!examples/**!", "!dist/**", "scripts/*.ts!", "!scripts/{release,try_release,debian_package}.ts!", "scripts/*.mjs"],
  ignoreDependencies: ["@std/assert", "@arethetypeswrong/cli", "publint", "typescript-5.2"],
  exclude: ["binaries"],
  ignoreIssues: {
    "tests/protocols/vectors/*.ts": ["exports"],
    "lib/protocols/uvesafb/constants.ts": ["exports"], // used in the file, as computed keys
  },
  ignoreExportsUsedInFile: process.argv.includes("--production"),
};
