import assert from "node:assert/strict";
import { execFile } from "node:child_process";
import { mkdirSync, readFileSync, symlinkSync, writeFileSync } from "node:fs";
import { dirname, join } from "node:path";
import { after, test } from "node:test";
import { pathToFileURL } from "node:url";
import { promisify } from "node:util";
import { built, emptyFolder, ENTRY_POINTS, LIMIT_MS, removeAll, run } from "./support/package.ts";
import { binary, root, runtime } from "./support/runtimes.ts";

/** The types that are shipped. They are the same for every runtime: checked once. */
const notHere: string | false = runtime === "bun"
  ? false
  : "the types of the package are checked once, by Bun's tests";

after(removeAll);

/** The most names that the root may have: one screen of completions, processes and the bus. */
const MOST_NAMES = 75;

/** The names that the declarations of an entry point export, with the files that declare them. */
function exportsOf(types: string): Map<string, string> {
  const path = join(built(), types);
  const names = new Map<string, string>();
  for (
    const [, list, from] of readFileSync(path, "utf8").matchAll(
      /^export (?:type )?\{([^}]*)\} from "([^"]+)"/gm,
    )
  ) {
    const file = join(dirname(path), from!.replace(/\.ts$/, ".d.ts"));
    for (const name of list!.split(",")) {
      if (name.trim() !== "") names.set(name.replace("type ", "").trim(), file);
    }
  }
  return names;
}

/** A public class, by its name, with its declaration. */
interface PublicClass {
  readonly name: string;
  readonly extendsError: boolean;
  readonly body: string;
}

/** The classes among what an entry point exports. */
function classesOf(types: string): PublicClass[] {
  return [...exportsOf(types)].flatMap(([name, file]) => {
    const found = new RegExp(`^export declare (?:abstract )?class ${name}\\b(.*)\\{\n([\\s\\S]*?)^\\}`, "m")
      .exec(readFileSync(file, "utf8"));
    return found === null
      ? []
      : [{ name, extendsError: /\bextends \w*Error\b/.test(found[1]!), body: found[2]! }];
  });
}

test("the root exports few names", { skip: notHere, timeout: LIMIT_MS }, () => {
  const names = [...exportsOf(ENTRY_POINTS["kernel-connector"]!.types).keys()];
  assert(names.length > 40 && names.length <= MOST_NAMES, `${names.length} names: ${names.sort().join(" ")}`);
});

test("no class that users only receive can be constructed", { skip: notHere, timeout: LIMIT_MS }, () => {
  const open = Object.values(ENTRY_POINTS).flatMap(({ types }) => classesOf(types)).filter((
    { extendsError, body },
  ) => !extendsError && !/^ +private constructor\(\);$/m.test(body));
  assert.deepEqual(open.map(({ name }) => name), []);
});

test("no declaration that is exported names what is internal", { skip: notHere, timeout: LIMIT_MS }, () => {
  const names = Object.values(ENTRY_POINTS).flatMap(({ types }) => [...exportsOf(types)]);
  const found = names.flatMap(([name, file]) => {
    const text = readFileSync(file, "utf8");
    const start = text.search(
      new RegExp(`^export (?:declare )?(?:abstract )?\\w+ (?:function )?${name}\\b`, "m"),
    );
    assert.notEqual(start, -1, `${file} does not declare ${name}`);
    const code = text.slice(start).split(/^(?:export |declare |\/\*\*)/m)[1]!.replace(
      /\/\*[\s\S]*?\*\//g,
      "",
    );
    return [...code.matchAll(/\b(System|Libc|NetlinkSocket|DatagramBatch|Receiver|ProcFs|Stage)\b/g)]
      .map(([internal]) => `${name}: ${internal}`);
  });
  assert.deepEqual(found, []);
});

/** A program of a user's, with what must compile and what must not. */
const USES_TYPES = `
import { type CnMsg, openConnector, type ProcessWatch, watchProcesses, type WithProcessInfo } from "kernel-connector";
import { encodeCnMsg } from "kernel-connector/codec";
import { coreLogs, type DirtyLogs } from "kernel-connector/dm-log";
import { type HypervServer, serveKvp } from "kernel-connector/hyperv";
import { serveV86d, type V86d } from "kernel-connector/uvesafb";
import { crc8, openW1 } from "kernel-connector/w1";

export const logs: DirtyLogs = coreLogs();
export const helper: Parameters<typeof serveV86d>[0] | V86d | undefined = undefined;
export const sum: number = crc8(new Uint8Array(2));

export async function masters(): Promise<readonly number[]> {
  const w1 = await openW1();
  const server: HypervServer = await serveKvp({}, { connector: undefined });
  await server[Symbol.asyncDispose]();
  const found: readonly number[] = await w1.masters();
  await w1[Symbol.asyncDispose]();
  return found;
}

export async function failures(): Promise<number> {
  let count = 0;
  const events = await watchProcesses({ events: ["exit"] });
  for await (const event of events) {
    if (event.type !== "exit") continue;
    const code: number | null = event.exitCode;
    if (code !== 0) count++;
  }
  return count;
}

export async function commandOf(started: number, child: { pid?: number }): Promise<readonly string[] | undefined> {
  const events: ProcessWatch<WithProcessInfo> = await watchProcesses({ processInfo: { fields: ["commandLine"] } });
  for await (const event of events) {
    if (event.pid === child.pid) void event.process?.comm; // of every event, also of a loss
    if (event.pid === started) return event.process.commandLine;
  }
  await events.closed;
  return undefined;
}

export async function parentOf(child: { pid?: number }): Promise<number | undefined> {
  for await (const event of await watchProcesses({ events: ["fork"], latencyMs: 0 })) {
    const same: boolean = event.pid === child.pid && event.tid === child.pid;
    if (same && event.type === "fork") return event.parentPid;
    void event.process?.comm;
  }
  return undefined;
}

export async function first(message: CnMsg): Promise<number> {
  const bus = await openConnector();
  try {
    const bytes: Uint8Array = encodeCnMsg(message);
    const next = await bus.messages({ groups: [7] }).next();
    if (next.done) return bytes.length;
    const value: { readonly type: string } | { readonly data: Uint8Array } = next.value;
    return "data" in value ? value.data.length : 0;
  } finally {
    await bus[Symbol.asyncDispose]();
  }
}

// @ts-expect-error there is no such event
void watchProcesses({ events: ["exits"] });
`;

/** Options of programs that know of no other types than ours, and of such that have all. */
const TYPE_OPTIONS: Readonly<Record<string, object>> = {
  "the language alone": { lib: ["es2022"] },
  "an old target": { target: "es2018", lib: ["es2018"] },
  "a browser's types": { lib: ["esnext", "dom"] },
  "Node's types": { lib: ["es2022"], types: ["node"], typeRoots: [join(root, "node_modules/@types")] },
  "not strict": { lib: ["es2022"], strict: false },
  "a bundler's resolution": { module: "esnext", moduleResolution: "bundler" },
  "the resolution of Node 16": { module: "node16", moduleResolution: "node16" },
};

/** Checked by the oldest compiler, for which the newest types of Node are not, and which takes seconds for each. */
const OLDEST_CHECKS = [
  "the language alone",
  "a browser's types",
  "a bundler's resolution",
  "the resolution of Node 16",
];

/** The oldest TypeScript that the documentation names, and the newest. */
const COMPILERS = { "TypeScript 5.2": "typescript-5.2", "the newest TypeScript": "typescript" };

const execute = promisify(execFile);

for (const [compiler, name] of Object.entries(COMPILERS)) {
  test(
    `a program is checked against the package by ${compiler}`,
    { skip: notHere, timeout: LIMIT_MS },
    async () => {
      const cwd = emptyFolder(name);
      mkdirSync(join(cwd, "node_modules"));
      symlinkSync(built(), join(cwd, "node_modules/kernel-connector"));
      writeFileSync(join(cwd, "package.json"), '{ "type": "module" }\n');
      writeFileSync(join(cwd, "use.ts"), USES_TYPES);
      const checks = Object.entries(TYPE_OPTIONS).filter(([what]) =>
        name === "typescript" || OLDEST_CHECKS.includes(what)
      );
      await Promise.all(checks.map(async ([what, options], i) => {
        const compilerOptions = {
          ...{
            strict: true,
            noEmit: true,
            module: "nodenext",
            moduleResolution: "nodenext",
            target: "es2022",
          },
          ...{ types: [], skipLibCheck: false },
          ...options,
        };
        writeFileSync(
          join(cwd, `tsconfig.${i}.json`),
          JSON.stringify({ compilerOptions, files: ["use.ts"] }),
        );
        const tsc = join(root, "node_modules", name, "bin/tsc");
        await execute(binary("node"), [tsc, "-p", `tsconfig.${i}.json`], { cwd }).catch((error) => {
          assert.fail(`${what}: ${(error as { stdout?: string }).stdout}`);
        });
      }));
    },
  );
}

test("a program is checked against the source by Deno", { skip: notHere, timeout: LIMIT_MS }, () => {
  const cwd = emptyFolder("deno-types");
  writeFileSync(join(cwd, "use.ts"), USES_TYPES);
  const { exports } = JSON.parse(readFileSync(join(root, "deno.json"), "utf8"));
  const imports = Object.fromEntries(
    Object.entries(exports as Record<string, string>).map((
      [path, file],
    ) => [join("kernel-connector", path), pathToFileURL(join(root, file)).href]),
  );
  writeFileSync(join(cwd, "deno.json"), JSON.stringify({ imports })); // with Deno's own options, not with ours
  run(cwd, binary("deno"), "check", "use.ts");
});
