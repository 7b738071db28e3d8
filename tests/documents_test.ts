import assert from "node:assert/strict";
import { spawn, spawnSync } from "node:child_process";
import {
  chmodSync,
  existsSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmSync,
  writeFileSync,
} from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import process from "node:process";
import { after, test } from "node:test";
import * as mod from "../mod.ts";
import { filesBelow } from "./support/files.ts";
import { whyNoProcessEvents } from "./support/kernel.ts";
import { binary, command, root, runtime } from "./support/runtimes.ts";

/**
 * Every TypeScript block of README, of the other documents and of docs/ is a program of its own:
 *
 * - "```ts" is type-checked, and run to its end on each runtime: it must end by itself, with status 0;
 * - "```ts ignore" is type-checked only: it would not end, or wants a device or a process that is not here.
 *
 * A block without an import gets the names of the root that it uses.
 *
 * The blocks "```sh" of docs/cookbook.md are run as well; what does not end by itself is ended as by Ctrl-C.
 */
interface Block {
  /** Where it is: "README.md:12". */
  readonly place: string;
  readonly runs: boolean;
  /** Its text, with absolute paths in place of the package's name. */
  readonly program: string;
}

const LIMIT_MS = 60_000;
const folder = mkdtempSync(join(tmpdir(), "connector-documents-"));
after(() => rmSync(folder, { recursive: true, force: true }));
writeFileSync(join(folder, "package.json"), '{ "type": "module" }\n');

const { imports } = JSON.parse(readFileSync(join(root, "deno.json"), "utf8")) as {
  readonly imports: Readonly<Record<string, string>>;
};

const FENCE = /^```(\S*)(.*)\n([\s\S]*?)^```$/gm;

/** The program that `code` stands for. */
function programOf(code: string): string {
  const used = Object.keys(mod).filter((name) => new RegExp(`\\b${name}\\b`).test(code));
  const imported = /^import\b/m.test(code);
  const whole = imported || used.length === 0
    ? code
    : `import { ${used.join(", ")} } from "kernel-connector";\n${code}`;
  const source = whole.replace(/ from "(kernel-connector[^"]*)"/g, (_all, name: string) => {
    const path = imports[name];
    assert(path !== undefined, `there is no ${name}`);
    return ` from ${JSON.stringify(join(root, path))}`;
  });
  return `${source}\nexport {};\n`;
}

function blocksOf(path: string): Block[] {
  const text = readFileSync(join(root, path), "utf8");
  return [...text.matchAll(FENCE)].filter(([, language]) => language === "ts").map((match) => {
    const line = text.slice(0, match.index).split("\n").length;
    const mark = match[2]!.trim();
    assert(mark === "" || mark === "ignore", `${path}:${line}: "${mark}" is neither nothing nor "ignore"`);
    return { place: `${path}:${line}`, runs: mark === "", program: programOf(match[3]!) };
  });
}

const documents = [
  ...readdirSync(root).filter((name) => name.endsWith(".md")),
  ...filesBelow("docs", (path) => path.endsWith(".md")),
];
const blocks = documents.flatMap(blocksOf);

/** The file of the block number `i`. */
function fileOf(i: number): string {
  const file = join(folder, `block${i}.ts`);
  writeFileSync(file, blocks[i]!.program);
  return file;
}

test("README has TypeScript, and something of it is run", () => {
  assert(blocks.some(({ place, runs }) => place.startsWith("README.md:") && runs));
});

test("the TypeScript in the documents is what the compiler accepts", {
  skip: runtime !== "bun" && "is checked once, by Bun's tests",
  timeout: LIMIT_MS,
}, () => {
  const files = blocks.map((_block, i) => fileOf(i));
  const tsconfig = join(folder, "tsconfig.json");
  const compilerOptions = {
    typeRoots: [join(root, "node_modules/@types")],
    rewriteRelativeImportExtensions: false,
  };
  writeFileSync(
    tsconfig,
    JSON.stringify({ extends: join(root, "tsconfig.json"), compilerOptions, files, include: [] }),
  );
  const { status, stdout } = spawnSync(binary("node"), [binary("tsc"), "-p", tsconfig, "--pretty", "false"], {
    encoding: "utf8",
    cwd: folder,
  });
  const named = stdout.replace(/^\S*?block(\d+)\.ts/gm, (_all, i: string) => blocks[Number(i)]!.place);
  assert.equal(status, 0, named);
});

const noEvents = await whyNoProcessEvents();

for (const [i, { place, runs }] of blocks.entries()) {
  if (!runs) continue;
  test(`the program of ${place} runs to its end`, { skip: noEvents, timeout: LIMIT_MS }, () => {
    const [program, ...args] = command(runtime, fileOf(i));
    const { status, signal, stdout, stderr } = spawnSync(program!, args, {
      encoding: "utf8",
      cwd: root,
      timeout: LIMIT_MS / 2,
    });
    assert.equal(status, 0, `${place}: ${signal ?? ""}\n${stdout}${stderr}`);
  });
}

const cnctl = join(folder, "cnctl");
const started = join(folder, "started");

/** Puts a command `cnctl` into the folder, which leaves its process id behind. */
function writeCommand(): void {
  const words = command(runtime, join(root, "lib/cli/main.ts")).map((word) => `'${word}'`).join(" ");
  writeFileSync(
    cnctl,
    `#!/bin/sh\necho $$ > '${started}.new' && mv '${started}.new' '${started}'\nexec ${words} "$@"\n`,
  );
  chmodSync(cnctl, 0o755);
}

/** Ends the command as Ctrl-C does, once it handles that: a second one would end it without a summary. */
function interrupt(): void {
  if (!existsSync(started)) return;
  const pid = Number(readFileSync(started, "utf8"));
  try {
    const caught = /^SigCgt:\s*(\w+)$/m.exec(readFileSync(`/proc/${pid}/status`, "utf8"))?.[1] ?? "0";
    if ((BigInt(`0x${caught}`) & 2n) === 0n) return;
    rmSync(started);
    process.kill(pid, "SIGINT");
  } catch {
    // It has ended.
  }
}

const COOKBOOK = "docs/cookbook.md";
const recipes = [...readFileSync(join(root, COOKBOOK), "utf8").matchAll(FENCE)].filter(([, language]) =>
  language === "sh"
).map(([, , , code]) => code!);

for (const code of recipes) {
  const skip = runtime !== "bun" ? "the commands are run once, by Bun's tests" : noEvents;
  test(
    `the recipe runs to its end: ${code.trimEnd().split("\n").at(-1)}`,
    { skip, timeout: LIMIT_MS },
    async () => {
      writeCommand();
      rmSync(started, { force: true });
      const env = { ...process.env, PATH: `${folder}:${process.env.PATH}` };
      const child = spawn("/bin/sh", ["-eu", "-c", code], {
        cwd: folder,
        env,
        stdio: ["ignore", "pipe", "pipe"],
      });
      let output = "";
      for (const stream of [child.stdout, child.stderr]) stream.on("data", (text) => output += text);
      const endsByItself = !/^cnctl (watch|listen)/m.test(code);
      const timer = endsByItself ? undefined : setInterval(interrupt, 200);
      const status = await new Promise((resolve) => child.on("close", resolve));
      clearInterval(timer);
      assert.equal(status, 0, output);
    },
  );
}
