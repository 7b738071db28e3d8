import assert from "node:assert/strict";
import { spawnSync } from "node:child_process";
import { join } from "node:path";
import process from "node:process";
import { test } from "node:test";
import { type HistoryImage, openHistory } from "../../lib/history/mod.ts";
import { cnctl, end, LIMIT_MS, type Run } from "../support/cnctl.ts";
import { testFolder } from "../support/folder.ts";
import { eventually, sleep, whyNoProcessEvents } from "../support/kernel.ts";
import { noNats, startNats } from "../support/nats.ts";

const skip = await whyNoProcessEvents() || noNats;
/** More for a soak: of each round, one of the three is killed. */
const ROUNDS = Number(process.env.FLEET_KILLS ?? 3);
const HOST = "web1.example.com";

/** A process that ran. */
interface Ran {
  readonly pid: number;
  readonly fromMs: number;
  readonly toMs: number;
}

function ran(): Ran {
  const fromMs = Date.now();
  const { pid } = spawnSync("/bin/sh", ["-c", "exit 3"], { cwd: "/tmp" });
  return { pid, fromMs, toMs: Date.now() };
}

/** Its rows: two clocks may differ by milliseconds, and no number is used again so soon. */
function rowsOf(
  images: ReadonlyMap<number, readonly HistoryImage[]>,
  { pid, fromMs, toMs }: Ran,
): HistoryImage[] {
  return (images.get(pid) ?? []).filter((row) => row.startMs > fromMs - 20 && row.startMs < toMs + 20);
}

/** Starts the command, and returns when it says that it works. */
async function started(args: readonly string[], says: string): Promise<Run> {
  const run = cnctl(args);
  const { said, child } = run;
  await eventually(
    says,
    () => said.error.includes(says) || said.error.includes("cnctl: Cannot") || child.exitCode !== null,
    LIMIT_MS,
  );
  assert(said.error.includes(says), said.error);
  return run;
}

async function killed(run: Run): Promise<void> {
  process.kill(run.child.pid!, "SIGKILL");
  await run.ended;
}

test("whatever is killed, each process is in the table once, or in a gap", { skip }, async (t) => {
  const folder = testFolder(t);
  const db = join(folder, "fleet.db");
  const server = await startNats(t, folder, { hosts: ["web1%2Eexample%2Ecom"] });
  const tls = (
    user: string,
  ): string[] => [server.url, "--ca", server.ca, "--credentials", server.credentials(user)];
  const startCollect = (): Promise<Run> =>
    started(["collect", ...tls("admin"), "--db", db, "--stream-size", "500M"], "Collecting from");
  const startShip = (): Promise<Run> =>
    started(
      ["ship", ...tls("web1%2Eexample%2Ecom"), "--host", HOST, "--spool", join(folder, "spool.db")],
      "Recording into",
    );
  let collector = await startCollect();
  let shipper = await startShip();
  t.after(() => {
    for (const { child } of [collector, shipper]) if (child.exitCode === null) child.kill("SIGKILL");
  });
  const known: Ran[] = [];
  const counts = { ship: 0, serve: 0, collect: 0 };
  const first = Math.floor(Math.random() * 3);
  for (let round = 0; round < ROUNDS; round++) {
    const endMs = performance.now() + Math.random() * 1000;
    do {
      known.push(ran());
      await sleep(Math.random() * 20);
    } while (performance.now() < endMs);
    // Each once in a short run, at random in a long one.
    const which = ROUNDS > 3 ? Math.floor(Math.random() * 3) : (first + round) % 3;
    if (which === 0) {
      await killed(shipper);
      known.push(ran());
      shipper = await startShip();
      counts.ship++;
    } else if (which === 1) {
      await server.kill("SIGKILL");
      known.push(ran());
      await server.start();
      counts.serve++;
    } else {
      await killed(collector);
      known.push(ran());
      collector = await startCollect();
      counts.collect++;
    }
  }
  known.push(ran());
  await eventually("that it ships", () => shipper.said.error.includes("Shipping to"), LIMIT_MS);
  end(shipper, "SIGTERM");
  assert.equal(await shipper.ended, 0, shipper.said.error);
  assert.match(shipper.said.error, / segments sent, 0 wait in the spool, /);
  const last = known.at(-1)!;
  await eventually("that all is collected", () => {
    using history = openHistory(db);
    return (history.recordedMs() ?? 0) >= last.toMs;
  }, LIMIT_MS);
  end(collector, "SIGTERM");
  assert.equal(await collector.ended, 0, collector.said.error);
  assert.match(collector.said.error, / 0 were no segments, 0 processes did not arrive/);

  using history = openHistory(db);
  const gaps = history.gaps({ host: HOST });
  assert.deepEqual(gaps.filter(({ reason }) => reason !== "off" && reason !== "lost"), []);
  // One for each start after a kill, but that one that was killed at once has sealed nothing, and the next one's is wider.
  const off = gaps.filter(({ reason }) => reason === "off").length;
  assert(off <= counts.ship && off >= Math.min(1, counts.ship), `${off} of ${counts.ship}`);
  const images = Map.groupBy(history.query({ host: HOST }), ({ pid }) => pid);
  let missing = 0;
  for (const each of known) {
    const own = rowsOf(images, each);
    assert(own.length <= 1, `${each.pid}: ${JSON.stringify(own)}`);
    if (own[0]?.ended === "exit" && own[0].exitCode === 3) continue;
    missing++;
    assert(
      gaps.some((gap) => gap.fromMs <= each.toMs + 1 && gap.toMs >= each.fromMs - 1),
      `${each.pid}: ${each.fromMs} to ${each.toMs} is neither there nor in a gap: ${
        JSON.stringify([own, gaps])
      }`,
    );
  }
  assert(counts.ship === 0 || missing < known.length);
  t.diagnostic?.(
    `killed ${
      JSON.stringify(counts)
    }; ${known.length} processes, of which ${missing} lie in ${gaps.length} gaps`,
  );

  // A machine of the fleet, as a person asks for it.
  const shown = cnctl(["history", "--db", db, "--host", HOST, "--failed", "--limit", "3"]);
  assert.equal(await shown.ended, 0, shown.said.error);
  assert(shown.said.out.split("\n").length > 3, shown.said.out);
});
