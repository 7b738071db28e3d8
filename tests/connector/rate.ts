// How many requests a second two programs hold on the bus: this library on each runtime, beside a C program that does
// the same (bench/c/cn_echo.c), in the same run. Not a test: `bun tests/connector/rate.ts [rounds]`

import { spawnSync } from "node:child_process";
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import process from "node:process";
import { command, root } from "../support/runtimes.ts";
import { Peer, randomId } from "./kernel.ts";

const rounds = Number(process.argv[2] ?? 3);
const folder = mkdtempSync(join(tmpdir(), "cn-echo-"));
const program = join(folder, "cn_echo");

type Side = "c" | "bun" | "deno" | "node";

interface Rate {
  readonly perSecond: number;
  readonly cpuUsPerRequest: number;
}

function start(side: Side, role: "service" | "client", ...args: number[]): Peer {
  if (side === "c") return Peer.run([program, role, ...args.map(String)]);
  return Peer.run([
    ...command(side, join(root, "tests/connector/programs", role === "service" ? "echo.ts" : "rate.ts")),
    ...args.map(String),
  ]);
}

async function measure(client: Side, service: Side, count: number, atOnce: number): Promise<Rate> {
  const { idx, val } = randomId();
  await using its = start(service, "service", idx, val);
  const { port } = await its.line<{ port: number }>();
  await using asking = start(client, "client", idx, val, port, count, atOnce);
  return await asking.line<Rate>(120_000);
}

function median(values: readonly number[]): number {
  return values.toSorted((a, b) => a - b)[values.length >> 1]!;
}

try {
  const source = join(root, "bench/c/cn_echo.c");
  const built = spawnSync("gcc", ["-O2", "-pthread", "-o", program, source], { encoding: "utf8" });
  if (built.status !== 0) throw new Error(`Cannot build cn_echo.c: ${built.stderr}`);
  const pairs: readonly (readonly [Side, Side])[] = [
    ["c", "c"],
    ["bun", "bun"],
    ["deno", "deno"],
    ["node", "node"],
    ["bun", "c"],
    ["c", "bun"],
  ];
  for (const atOnce of [64, 1]) {
    for (const [client, service] of pairs) {
      const rates: Rate[] = [];
      for (let round = 0; round < rounds; round++) {
        rates.push(await measure(client, service, atOnce === 1 ? 20_000 : 100_000, atOnce));
      }
      const [perSecond, cpu] = [
        median(rates.map((it) => it.perSecond)),
        median(rates.map((it) => it.cpuUsPerRequest)),
      ];
      console.log(
        `${atOnce} in flight, ${client} asks ${service}: ${perSecond} requests/s, ` +
          `${cpu.toFixed(1)} µs of the client's CPU each`,
      );
    }
  }
} finally {
  rmSync(folder, { recursive: true });
}
