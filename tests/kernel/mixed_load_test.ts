import assert from "node:assert/strict";
import { spawn } from "node:child_process";
import { join } from "node:path";
import process from "node:process";
import { test } from "node:test";
import { whyNoProcessEvents } from "../support/kernel.ts";
import { command, root, runtime } from "../support/runtimes.ts";

const skip = await whyNoProcessEvents();
/** A longer run, for example MIXED_LOAD_SECONDS=600, finds more. */
const seconds = Number(process.env.MIXED_LOAD_SECONDS ?? 4);

/** In shorter runs the memory of the runtime is still growing. */
const SETTLED_SECONDS = 300;

test("four watchers that open and close under a mixed load leave nothing behind", {
  skip,
  timeout: seconds * 1000 + 60_000,
}, async () => {
  const [file, ...args] = command(runtime, join(root, "tests/kernel/programs/mixed_load.ts"));
  const child = spawn(file!, [...args, String(seconds)], { stdio: ["ignore", "pipe", "inherit"] });
  let text = "";
  for await (const chunk of child.stdout!.setEncoding("utf8")) text += chunk;
  const { turns, events, endings, asked, states, status } = JSON.parse(text);
  assert.equal(status, 0, "the load");
  assert(turns > 10 * seconds && events > 100 * seconds, text);
  assert.equal(Object.keys(endings).length, 6, "every way to end");
  assert(asked.listened >= turns);
  const { listened } = asked;
  assert.deepEqual(
    asked,
    { listened, ignored: listened, ignoredTwice: 0, closedListening: 0 },
    "each taken back",
  );
  const last = states.at(-1);
  // The thread pool of the runtime may gain one thread; a leak in every watch, or in some, keeps growing.
  for (const resource of ["descriptors", "threads"]) {
    const before = states.slice(0, states.length / 2).map((state: Record<string, number>) =>
      state[resource]!
    );
    assert(last[resource] <= Math.max(...before), `${resource}: ${text}`);
  }
  const rss = states.map(({ rssBytes }: { rssBytes: number }) => Math.round(rssBytes / 1e6));
  if (seconds >= SETTLED_SECONDS) {
    const half = rss.slice(4);
    assert(Math.min(...half.slice(-3)) <= Math.max(...half.slice(0, 3)), `memory: ${rss} MB`);
  }
  const { descriptors, threads } = last;
  console.log(
    `${turns} watches in ${seconds} s, ${events} events, ${listened} subscribed and taken back, ` +
      `${descriptors} descriptors, ${threads} threads, ${rss.join(" ")} MB`,
  );
});
