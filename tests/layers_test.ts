import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { dirname, join, normalize } from "node:path";
import { test } from "node:test";
import { filesBelow } from "./support/files.ts";
import { root } from "./support/runtimes.ts";

/** The public entry points beside mod.ts: a sub-path of the package each. */
const SUB_PATHS = ["w1", "dm_log", "uvesafb", "hyperv"].map((name) => `lib/protocols/${name}/mod.ts`);

/**
 * Which room may import which. A packet walks the rooms from the kernel to the user, and imports only point back.
 * "ffi/libc.ts" stands for the types of the machine; a public entry point may also open it.
 */
const MAY_IMPORT: Readonly<Record<string, readonly string[]>> = {
  "lib/errors": [],
  "lib/wire": ["lib/errors", "ffi/libc.ts"],
  "lib/bpf": ["lib/errors", "lib/wire", "ffi/libc.ts"],
  "lib/stream.ts": [],
  "ffi": ["lib/errors", "lib/wire"],
  "lib/netlink": ["lib/errors", "lib/wire", "ffi/libc.ts"],
  "lib/connector": ["lib/netlink", "lib/stream.ts", "lib/errors", "lib/wire", "ffi/libc.ts", "ffi/open.ts"],
  "lib/protocols": [
    "lib/connector",
    "lib/netlink",
    "lib/stream.ts",
    "lib/errors",
    "lib/wire",
    "ffi/libc.ts",
    "ffi/open.ts",
  ],
  "lib/processes": ["lib/processes", "lib/bpf", "lib/errors", "lib/wire", "ffi/libc.ts", "ffi/open.ts"],
  "lib/diagnose": [
    "lib/processes",
    "lib/processes",
    "lib/connector",
    "lib/netlink",
    "lib/errors",
    "lib/wire",
    "ffi",
  ],
  "lib/cli": [
    "mod.ts",
    ...SUB_PATHS,
    "lib/connector/protocol.ts",
    "lib/errors",
    "lib/processes/constants.ts",
    "lib/processes/enricher.ts",
    "lib/procfs/accounts.ts",
    "lib/protocols/all.ts",
    "lib/protocols/retired.ts",
    "lib/wire",
    "ffi/libc.ts",
    "ffi/open.ts",
  ],
  "mod.ts": ["lib/"],
  "examples": ["mod.ts", ...SUB_PATHS],
};

/** An import or a re-export, at the start of a line, or an import by call. */
const IMPORT =
  /^(?:import|export)\b[\w\s{},*$]*?\bfrom\s*"([^"]+)"|^import\s*"([^"]+)"|\bimport\(\s*"([^"]+)"/gm;

/** Packages and built-in modules that a room may use; the library itself uses none. */
const MAY_USE: Readonly<Record<string, RegExp>> = {
  // In the text of a worker's program; nowhere else may it be written out.
  "ffi": /^bun:ffi$/,
  "lib/cli": /^(commander$|get-east-asian-width$|node:)/,
  "examples": /^node:/,
};

function room(path: string): string {
  const found = Object.keys(MAY_IMPORT).filter((name) => path === name || path.startsWith(`${name}/`));
  assert.equal(found.length, 1, `${path} belongs to no room`);
  return found[0]!;
}

/** A protocol's folder, or undefined where `path` is in none. */
function protocol(path: string): string | undefined {
  return /^lib\/protocols\/(\w+)\//.exec(path)?.[1];
}

const sources = ["ffi", "lib", "examples"].flatMap((folder) =>
  filesBelow(folder, (path) => path.endsWith(".ts"))
);

for (const path of [...sources, "mod.ts"]) {
  test(`${path} imports only what its room may`, () => {
    const text = readFileSync(join(root, path), "utf8");
    const home = room(path);
    const code = text.replace(/^\s*(\*|\/\/).*$/gm, ""); // examples in comments import what they like
    for (const match of code.matchAll(IMPORT)) {
      const specifier = match[1] ?? match[2] ?? match[3];
      if (!specifier!.startsWith(".")) {
        // The front door, as examples and documentation name it.
        if (home === "examples" && specifier === "kernel-connector") continue;
        assert.match(specifier!, MAY_USE[home] ?? /^(?!)/, `${path} imports ${specifier}`);
        continue;
      }
      const target = normalize(join(dirname(path), specifier!));
      if (room(target) === home) {
        const [from, to] = [protocol(path), protocol(target)];
        assert(
          from === undefined || to === undefined || from === to,
          `${path} imports its sibling ${target}`,
        );
        continue;
      }
      assert(MAY_IMPORT[home]!.some((allowed) => target.startsWith(allowed)), `${path} imports ${target}`);
    }
  });
}

test("entry points re-export and hold no code", () => {
  for (const path of ["mod.ts", ...SUB_PATHS]) {
    const text = readFileSync(join(root, path), "utf8").replace(/\/\*[\s\S]*?\*\//g, "");
    assert.equal(text.replace(/export (?:type )?\{[^}]*\} from "[^"]+";/g, "").trim(), "", path);
  }
});
