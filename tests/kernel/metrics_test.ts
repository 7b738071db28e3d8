import assert from "node:assert/strict";
import { spawn, spawnSync } from "node:child_process";
import { chmodSync, copyFileSync, existsSync, readFileSync, writeFileSync } from "node:fs";
import { createServer } from "node:net";
import type { AddressInfo } from "node:net";
import { join } from "node:path";
import process from "node:process";
import { test } from "node:test";
import { cnctl, end, LIMIT_MS, type Run } from "../support/cnctl.ts";
import { testFolder } from "../support/folder.ts";
import { eventually, sleep, whyNoProcessEvents } from "../support/kernel.ts";
import { findProgram } from "../support/programs.ts";

const skip = await whyNoProcessEvents();
const prometheus = findProgram("prometheus");
const promtool = findProgram("promtool");
const noPrometheus = skip ||
  (prometheus === undefined || promtool === undefined
    ? "prometheus is not installed (Debian: prometheus)"
    : false);

/** Starts to serve metrics; answers with their address. */
async function serve(...args: readonly string[]): Promise<{ run: Run; url: string }> {
  const run = cnctl(["metrics", "--listen", "127.0.0.1:0", ...args]);
  await eventually(
    "the server",
    () => /Serving \S+/.test(run.said.error) || run.child.exitCode !== null,
    LIMIT_MS,
  );
  const url = /Serving (\S+);/.exec(run.said.error)?.[1];
  assert(url !== undefined, run.said.error);
  return { run, url };
}

/** A copy of /bin/true that nobody else runs. */
function ownProgram(
  t: { after(action: () => void): void },
): { readonly name: string; readonly path: string } {
  const name = `mt${process.pid}-${Math.floor(Math.random() * 1e5)}`.slice(0, 15);
  const path = join(testFolder(t), name);
  copyFileSync("/bin/sh", path);
  chmodSync(path, 0o755);
  return { name, path };
}

function sample(text: string, series: string): number | undefined {
  const line = text.split("\n").find((each) => each.startsWith(`${series} `));
  return line === undefined ? undefined : Number(line.slice(series.length + 1));
}

test("cnctl metrics serves what processes do, as promtool wants it", { skip }, async (t) => {
  const { name, path } = ownProgram(t);
  const { run, url } = await serve("--group", `wanted=${name}`, "--group", "absent=no-such-program");
  const fetched = async (): Promise<string> => await (await fetch(url)).text();
  assert.equal(sample(await fetched(), 'cnctl_process_starts_total{group="wanted"}'), 0);
  spawnSync(path, ["-c", "exit 3"]);
  spawnSync(path, ["-c", "kill -KILL $$"]);
  let text = "";
  const endMs = performance.now() + LIMIT_MS;
  do {
    await sleep(50);
    text = await fetched();
  } while (
    (sample(text, 'cnctl_process_lifetime_seconds_count{group="wanted"}') ?? 0) < 2 &&
    sample(text, "cnctl_lost_events_total") === 0 && performance.now() < endMs
  );
  if (sample(text, "cnctl_lost_events_total") === 0) {
    assert.equal(sample(text, 'cnctl_process_starts_total{group="wanted"}'), 2);
    assert.equal(sample(text, 'cnctl_process_failures_total{group="wanted",how="3"}'), 1);
    assert.equal(sample(text, 'cnctl_process_ends_total{group="wanted",result="signal"}'), 1);
    if (sample(text, "cnctl_usage_known") === 1) {
      assert(sample(text, 'cnctl_process_ended_cpu_seconds_total{group="wanted"}')! > 0);
    }
  }
  assert.equal(sample(text, 'cnctl_process_running{group="absent"}'), 0);
  assert(!text.includes(path));
  if (promtool !== undefined) {
    const { status, stderr } = spawnSync(promtool, ["check", "metrics"], { input: text, encoding: "utf8" });
    assert.equal(status, 0, stderr);
  }
  const response = await fetch(url);
  assert.equal(response.headers.get("content-type"), "text/plain; version=0.0.4; charset=utf-8");
  await response.text();
  for (const [wrong, status] of [[{ method: "POST" }, 405], [{}, 404]] as const) {
    const answer = await fetch(status === 404 ? `${url}/no` : url, wrong);
    assert.equal(answer.status, status);
    await answer.text();
  }
  end(run, "SIGTERM");
  assert.equal(await run.ended, 0, run.said.error);
});

test("a Prometheus scrapes cnctl metrics", { skip: noPrometheus }, async (t) => {
  const folder = testFolder(t);
  const { run, url } = await serve("--group", "absent=no-such-program");
  const config = join(folder, "prometheus.yml");
  writeFileSync(
    config,
    `global: { scrape_interval: 1s }\nscrape_configs:\n- job_name: cnctl\n  static_configs: [{ targets: ["${
      new URL(url).host
    }"] }]\n`,
  );
  const port = await freePort();
  const server = spawn(prometheus!, [
    `--config.file=${config}`,
    `--storage.tsdb.path=${join(folder, "data")}`,
    `--web.listen-address=127.0.0.1:${port}`,
    "--log.level=error",
  ], { stdio: "ignore" });
  const ended = new Promise((resolve) => server.once("exit", resolve));
  try {
    const query = async (text: string): Promise<readonly { readonly value: readonly [number, string] }[]> => {
      const answer = await fetch(`http://127.0.0.1:${port}/api/v1/query?query=${encodeURIComponent(text)}`);
      return ((await answer.json()) as { data?: { result?: [] } }).data?.result ?? [];
    };
    const endMs = performance.now() + LIMIT_MS;
    let result: Awaited<ReturnType<typeof query>> = [];
    while (result.length === 0 && performance.now() < endMs) {
      await sleep(200);
      result = await query('up{job="cnctl"} == 1').catch(() => []);
    }
    assert.equal(result.length, 1, "it is scraped");
    assert.equal((await query('cnctl_process_running{group="absent"}'))[0]?.value[1], "0");
    assert(Number((await query("sum(cnctl_process_running)"))[0]?.value[1]) > 0);
  } finally {
    server.kill("SIGTERM");
    await ended;
  }
  end(run, "SIGINT");
  assert.equal(await run.ended, 0, run.said.error);
});

async function freePort(): Promise<number> {
  const server = createServer();
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  const { port } = server.address() as AddressInfo;
  await new Promise((resolve) => server.close(resolve));
  return port;
}

test("cnctl metrics --textfile replaces a file, and removes it at the end", { skip }, async (t) => {
  const file = join(testFolder(t), "cnctl.prom");
  const run = cnctl(["metrics", "--textfile", file, "--interval", "0.1"]);
  await eventually("the file", () => existsSync(file), LIMIT_MS);
  const first = readFileSync(file, "utf8");
  assert.match(first, /^cnctl_subscribed 1$/m);
  await eventually("another one", () => readFileSync(file, "utf8") !== first, LIMIT_MS);
  assert(readFileSync(file, "utf8").endsWith("\n"));
  end(run, "SIGINT");
  assert.equal(await run.ended, 0, run.said.error);
  assert(!existsSync(file));
});

test("cnctl metrics rejects wrong arguments with a sentence", { skip }, async () => {
  for (
    const [args, status, message] of [
      [["--listen", "nonsense"], 2, /It must be an address and a port/],
      [["--listen", "127.0.0.1:99999"], 2, /It must be an address and a port/],
      [["--group", "nginx"], 2, /It must be NAME=PATTERN/],
      [["--max-groups", "0"], 2, /whole number above 0/],
      [["--listen", "127.0.0.1:1", "--textfile", "x"], 2, /cannot be used with/],
      [["--textfile", "/no/such/folder/x.prom"], 1, /Cannot write \/no\/such\/folder\/x.prom: ENOENT/],
      [
        ["--listen", "192.0.2.1:9469"],
        1,
        /Cannot listen on 192.0.2.1, port 9469: this machine has no such address/,
      ],
    ] as const
  ) {
    const run = cnctl(["metrics", ...args]);
    assert.equal(await run.ended, status, run.said.error);
    assert.match(run.said.error, message);
  }
});
