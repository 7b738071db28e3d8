import assert from "node:assert/strict";
import { type ChildProcess, execFileSync, spawn } from "node:child_process";
import { join } from "node:path";
import process from "node:process";
import { after, test } from "node:test";
import { encodeText } from "../../lib/wire/text.ts";
import { sleep, whyNoProcessEvents } from "../support/kernel.ts";
import { command, root, runtime } from "../support/runtimes.ts";

/** Names that only bash can pass: the arguments of spawn() are text. */
function whyNoBash(): string | false {
  try {
    execFileSync("bash", ["-c", "exec -a x true"], { stdio: "ignore" });
    return false;
  } catch {
    return "there is no bash";
  }
}

const skip = await whyNoProcessEvents() || whyNoBash();

const LIMIT_MS = 60_000;

/** Terminal control sequences, and bytes that are not UTF-8. */
const OBEYED = /[\p{Cc}\p{Cf}\p{Cs}\p{Zl}\p{Zp}]/u;

interface Watch {
  readonly child: ChildProcess;
  /** Its output, byte for byte. */
  readonly bytes: Uint8Array[];
  readonly ended: Promise<unknown>;
}

const running = new Set<ChildProcess>();

function watch(...args: string[]): Watch {
  const [program, ...before] = command(runtime, join(root, "lib/cli/main.ts"));
  const child = spawn(program!, [...before, "watch", ...args], { stdio: ["ignore", "pipe", "inherit"] });
  const bytes: Uint8Array[] = [];
  child.stdout!.on("data", (chunk: Uint8Array) => bytes.push(chunk));
  running.add(child);
  const ended = new Promise((resolve) =>
    child.on("close", (status) => {
      running.delete(child);
      resolve(status);
    })
  );
  return { child, bytes, ended };
}

/** Ends processes that a failed test left running. */
function killAll(): void {
  for (const child of running) child.kill("SIGKILL");
}
after(killAll);

/** The complete lines of the output. Throws if it is not UTF-8. */
function lines({ bytes }: Watch): string[] {
  const whole = new Uint8Array(bytes.reduce((sum, { length }) => sum + length, 0));
  let at = 0;
  for (const chunk of bytes) {
    whole.set(chunk, at);
    at += chunk.length;
  }
  const end = whole.lastIndexOf(10) + 1;
  return new TextDecoder("utf-8", { fatal: true }).decode(whole.subarray(0, end)).split("\n").slice(0, -1);
}

/** Bytes as bash's `$'…'`. */
function quoted(bytes: Uint8Array): string {
  return `$'${[...bytes].map((byte) => `\\x${byte.toString(16).padStart(2, "0")}`).join("")}'`;
}

const bytesOf = (text: string): Uint8Array => new TextEncoder().encode(text);

function joined(parts: readonly Uint8Array[]): Uint8Array {
  return Uint8Array.from(parts.flatMap((part) => [...part, 0]));
}

/** The arguments of a hostile process, its name first. Empty ones appear as consecutive NULs. */
const HOSTILE: readonly Uint8Array[] = [
  bytesOf("\x1b]0;pwned\x07\x1b[2J\r\nroot   exec   1"),
  bytesOf("-c"),
  bytesOf("sleep 0.3; exit 7"),
  Uint8Array.of(0xff, 0xfe, 0x80, 0xc3),
  Uint8Array.of(0xed, 0xa0, 0x80, 0x61),
  bytesOf(""),
  bytesOf(""),
  bytesOf("\u202egnp.exe \u200b\u2028 \u{e0041} 😀 日本"),
  bytesOf('it\'s "quoted" \\ $HOME `id` \t'),
  bytesOf("\x7f\x9b31m"),
];

/** Runs the hostile process until `seen` returns true; returns its pid. */
async function runUntil(script: string, seen: (pid: number) => boolean): Promise<number> {
  const end = performance.now() + LIMIT_MS / 4;
  while (performance.now() < end) {
    const child = spawn("bash", ["-c", script], { stdio: "ignore" });
    await new Promise((resolve) => child.on("close", resolve));
    for (let wait = 0; wait < 20; wait++) {
      if (seen(child.pid!)) return child.pid!;
      await sleep(25);
    }
  }
  throw new Error("the watch saw nothing of the process");
}

/** The JSON lines of a process. */
function eventsOf(json: Watch, pid: number, type: string): Record<string, unknown>[] {
  return lines(json).filter((line) => line.includes(String(pid))).map((line) => JSON.parse(line)).filter((
    event,
  ) => event.pid === pid && event.type === type);
}

test(
  "hostile names and arguments: JSON keeps every byte, and text contains no control sequence",
  { skip },
  async () => {
    const [json, text] = [
      watch("--json", "--events", "exec,exit"),
      watch("--events", "exec,exit", "--color", "never"),
    ];
    const [name, ...args] = HOSTILE;
    const script = `exec -a ${quoted(name!)} bash ${args.map(quoted).join(" ")}`;
    const isExec = (event: Record<string, unknown>): boolean => {
      const info = event.process as { commandLine: readonly string[] | null } | null;
      return info?.commandLine?.length === HOSTILE.length;
    };
    // The command, not the shell that executed it.
    const row = (pid: number, kind: string): string | undefined =>
      lines(text).find((line) =>
        new RegExp(`^\\S+ ${kind} +${pid} `).test(line) && line.includes("$'") && !line.includes("bash")
      );
    const pid = await runUntil(
      script,
      (pid) =>
        eventsOf(json, pid, "exec").some(isExec) && eventsOf(json, pid, "exit").length > 0 &&
        row(pid, "exec") !== undefined && row(pid, "exit") !== undefined,
    );

    const exec = eventsOf(json, pid, "exec").find(isExec)!;
    const { commandLine } = exec.process as { commandLine: string[] };
    assert.deepEqual(commandLine.map((arg) => [...encodeText(arg)]), HOSTILE.map((arg) => [...arg]));
    const [exit] = eventsOf(json, pid, "exit");
    assert.equal(exit!.exitCode, 7);
    assert.deepEqual(
      (exit!.process as { commandLine: string[] }).commandLine,
      commandLine,
      "at its end, too",
    );

    for (const line of [...lines(json), ...lines(text)]) assert.doesNotMatch(line, OBEYED);
    // The text can be pasted: bash turns it into the same bytes.
    const shown = row(pid, "exec")!;
    const pasted = execFileSync("bash", ["-c", `printf '%s\\0' ${shown.slice(shown.indexOf("$'"))}`]);
    assert.deepEqual([...pasted], [...joined(HOSTILE)]);

    for (const { child, ended } of [json, text]) {
      process.kill(child.pid!, "SIGINT");
      assert.equal(await ended, 0);
    }
  },
);

test(
  "hostile thread names: JSON keeps every byte, and text contains no control sequence",
  { skip },
  async () => {
    const [json, text] = [watch("--json", "--events", "comm"), watch("--events", "comm")];
    // The newline comes last: bash writes what precedes one separately.
    const name = Uint8Array.of(...bytesOf("\x1b[2J"), 0xff, 0xe2, 0x80, 0xae, ...bytesOf("'\\) S \n"));
    const script = `printf %s ${quoted(name)} > /proc/$$/comm; sleep 0.2; exit 0`;
    const wanted = [...name].join();
    const isComm = (event: Record<string, unknown>): boolean =>
      [...encodeText(event.comm as string)].join() === wanted;
    const rowsOf = (pid: number): string[] =>
      lines(text).filter((line) => new RegExp(`^\\S+ comm +${pid} `).test(line));
    const pid = await runUntil(
      script,
      (pid) => eventsOf(json, pid, "comm").some(isComm) && rowsOf(pid).length > 0,
    );
    for (const line of [...lines(json), ...lines(text)]) assert.doesNotMatch(line, OBEYED);
    assert(rowsOf(pid).some((line) => line.includes("\\x1b[2J\\xff\\u202e")), rowsOf(pid).join("\n"));
    for (const { child, ended } of [json, text]) {
      process.kill(child.pid!, "SIGINT");
      assert.equal(await ended, 0);
    }
  },
);

test(
  "arguments of two megabytes: the kept part is exact, and the rest is reported as missing",
  { skip },
  async () => {
    const [json, text] = [watch("--json", "--events", "exec"), watch("--events", "exec")];
    // The kernel allows 128 KiB for one argument, and 2 MiB in total.
    const script = `a=$'\\x1b[2J\\xff'$(printf '%0130000d' 7)
exec -a $'\\x1bbig' bash -c 'sleep 0.5; exit 0' ${'"$a" '.repeat(15)}`;
    const isBig = (event: Record<string, unknown>): boolean =>
      ((event.process as { commandLine: string[] | null } | null)?.commandLine ?? [])[0] === "\x1bbig";
    const rowOf = (pid: number): string | undefined =>
      lines(text).find((line) => new RegExp(`^\\S+ exec +${pid} .*x1bbig`).test(line));
    const pid = await runUntil(
      script,
      (pid) => eventsOf(json, pid, "exec").some(isBig) && rowOf(pid) !== undefined,
    );
    const info = eventsOf(json, pid, "exec").find(isBig)!.process as {
      commandLine: string[];
      commandLineTruncated: boolean;
    };
    assert.equal(info.commandLineTruncated, true);
    const kept = joined(info.commandLine.map((arg) => encodeText(arg))).slice(0, -1);
    const argument = Uint8Array.from([0x1b, 0x5b, 0x32, 0x4a, 0xff, ...bytesOf("7".padStart(130_000, "0"))]);
    const whole = joined([bytesOf("\x1bbig"), bytesOf("-c"), bytesOf("sleep 0.5; exit 0"), argument]);
    assert(kept.length >= 4096 && kept.length < 2 << 20, `${kept.length} bytes`);
    assert.deepEqual(kept, whole.slice(0, kept.length));
    for (const line of [...lines(json), ...lines(text)]) assert.doesNotMatch(line, OBEYED);
    for (const { child, ended } of [json, text]) {
      process.kill(child.pid!, "SIGINT");
      assert.equal(await ended, 0);
    }
  },
);
