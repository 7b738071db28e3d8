import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { dirname, join, normalize } from "node:path";
import { test } from "node:test";
import { filesBelow } from "./support/files.ts";
import { root } from "./support/runtimes.ts";

/** Layers from the kernel to the user: a file imports from its own layer and from those before it. */
const LAYERS: readonly string[] = [
  "ffi",
  "lib/wire",
  "lib/errors",
  "lib/stream.ts",
  "lib/lost_event.ts",
  "lib/system.ts",
  "lib/procfs",
  "lib/netlink",
  "lib/bpf",
  "lib/taskstats",
  "lib/connector",
  "lib/processes",
  "lib/trace",
  "lib/history",
  "lib/fleet",
  "lib/metrics",
  "lib/protocols",
  "lib/diagnose",
  "lib/codec.ts",
  "mod.ts",
  "lib/cli",
  "examples",
];

/** These import from no other layer at all. */
const IMPORTS_NOTHING: readonly string[] = ["ffi", "lib/wire", "lib/stream.ts", "lib/lost_event.ts"];

/** Packages and built-in modules that a layer may use; the rest of the library uses none. */
const MAY_USE: Readonly<Record<string, RegExp>> = {
  // In the text of a worker's program; nowhere else may it be written out.
  "ffi": /^bun:ffi$/,
  "lib/history": /^node:/,
  "lib/fleet": /^(@nats-io\/(jetstream|transport-node)$|node:)/,
  "lib/cli": /^(commander$|get-east-asian-width$|node:)/,
  "examples": /^(kernel-connector$|node:)/,
};

/** An import or a re-export, at the start of a line, or an import by call. */
const IMPORT =
  /^(?:import|export)\b[\w\s{},*$]*?\bfrom\s*"([^"]+)"|^import\s*"([^"]+)"|\bimport\(\s*"([^"]+)"/gm;

function layerOf(path: string): string | undefined {
  return LAYERS.find((layer) => path === layer || path.startsWith(`${layer}/`));
}

/** The folder of a protocol, which imports none of its siblings. */
function protocolOf(path: string): string | undefined {
  return /^lib\/protocols\/(\w+)\//.exec(path)?.[1];
}

/** What is wrong with the import of `specifier` in `path`, or undefined. */
function violation(path: string, specifier: string): string | undefined {
  const layer = layerOf(path)!;
  if (!specifier.startsWith(".")) return MAY_USE[layer]?.test(specifier) ? undefined : "not of this project";
  const target = normalize(join(dirname(path), specifier));
  const targetLayer = layerOf(target);
  if (targetLayer === undefined) return "of no layer";
  if (targetLayer === layer) {
    const [from, to] = [protocolOf(path), protocolOf(target)];
    return from === undefined || to === undefined || from === to ? undefined : "of a sibling";
  }
  if (layer === "examples" && !/(^|\/)mod\.ts$/.test(target)) return "not public";
  if (IMPORTS_NOTHING.includes(layer)) return "of another layer";
  return LAYERS.indexOf(targetLayer) < LAYERS.indexOf(layer) ? undefined : "of a later layer";
}

test("imports point back to the kernel", () => {
  const violations: string[] = [];
  const sources = ["ffi", "lib", "examples"].flatMap((folder) =>
    filesBelow(folder, (path) => path.endsWith(".ts"))
  );
  for (const path of [...sources, "mod.ts"]) {
    if (layerOf(path) === undefined) {
      violations.push(`${path} is in no layer`);
      continue;
    }
    // Examples in comments import what they like.
    const code = readFileSync(join(root, path), "utf8").replace(/^\s*(\*|\/\/).*$/gm, "");
    for (const match of code.matchAll(IMPORT)) {
      const specifier = (match[1] ?? match[2] ?? match[3])!;
      const wrong = violation(path, specifier);
      if (wrong !== undefined) violations.push(`${path} imports ${specifier}: ${wrong}`);
    }
  }
  assert.deepEqual(violations, []);
});

test("no command waits for modules that only another one needs", () => {
  // At the top of a module: type imports are not there when it runs.
  const slow = /^import (?!type\b)[^;]*?"(node:(?:crypto|http|http2|https|net|sqlite|tls|zlib))"/gm;
  const found = filesBelow("lib", (path) => path.endsWith(".ts")).flatMap((path) =>
    [...readFileSync(join(root, path), "utf8").matchAll(slow)].map(([, name]) => `${path} imports ${name}`)
  );
  assert.deepEqual(found, []);
});

test("CONTRIBUTING.md lists the layers in their order", () => {
  const text = readFileSync(join(root, "CONTRIBUTING.md"), "utf8");
  const rows = [...text.matchAll(/^\| `((?:ffi|lib|mod|examples)[^`]*)` \|/gm)].map(([, path]) => path!);
  assert.deepEqual(rows.map((path) => path.replace(/\/(NAME\/)?$/, "")), LAYERS);
});

test("mod.ts re-exports and holds no code", () => {
  const text = readFileSync(join(root, "mod.ts"), "utf8").replace(/\/\*[\s\S]*?\*\//g, "");
  assert.equal(text.replace(/export (?:type )?\{[^}]*\} from "[^"]+";/g, "").trim(), "");
});
