import assert from "node:assert/strict";
import { spawn } from "node:child_process";
import { join } from "node:path";
import process from "node:process";
import { test } from "node:test";
import type { Libc } from "../../ffi/libc.ts";
import { openSystem } from "../../lib/system.ts";
import { SOCKADDR_NL, sockaddrNl } from "../../lib/netlink/message.ts";
import type { ProcessEvent } from "../../lib/processes/event.ts";
import { viewOf } from "../../lib/wire/bytes.ts";
import { eventually, whyNoProcessEvents } from "../support/kernel.ts";
import { command, root, runtime } from "../support/runtimes.ts";
import { type EventWatchOptions, openEventWatch } from "../processes/open_watch.ts";

const skip = await whyNoProcessEvents() || (process.getuid!() === 0 ? false : "wants root");

for (
  const [name, options] of Object.entries<EventWatchOptions>({
    "unfiltered": {},
    "filtered": { events: ["exit"] },
  })
) {
  test(
    `forged messages of another process are never shown, and all are counted: ${name}`,
    { skip },
    async () => {
      const system = await openSystem("test forgeries");
      let fd = -1;
      const libc: Libc = { ...system.libc, socket: (...args) => fd = system.libc.socket(...args) };
      await using watch = openEventWatch({ ...system, libc }, options);
      const address = sockaddrNl(0, 0);
      system.libc.getsockname(fd, address);
      const port = viewOf(address).getUint32(SOCKADDR_NL.pid, true);

      const seen: ProcessEvent[] = [];
      const followed = (async () => {
        for await (const event of watch) seen.push(event);
      })();
      const [file, ...args] = command(runtime, join(root, "tests/kernel/programs/forges.ts"));
      const forger = spawn(file!, [...args, String(port)], { stdio: ["pipe", "pipe", "inherit"] });
      let text = "";
      for await (const chunk of forger.stdout!.setEncoding("utf8")) {
        text += chunk;
        if (text.endsWith("\n")) break;
      }
      const report = JSON.parse(text) as { port: number; multicast: number; unicast: number };
      const sent = report.multicast + report.unicast;
      assert(report.multicast > 50 && report.unicast > 50, text);

      // A filter drops most of them before the queue; those that it accepts must be counted here.
      const sender = () => watch.stats().untrustedSenders.find(({ port }) => port === report.port);
      const least = name === "unfiltered" ? sent : 2;
      await eventually(
        "every forgery",
        () => (sender()?.count ?? 0) >= least,
      );
      const { untrusted } = watch.stats();
      const { count, pid, comm } = sender()!;
      assert(count <= sent && untrusted >= count);
      assert.equal(pid, forger.pid, `the forger is known: it is ${comm}`);
      forger.stdin!.end();
      watch.close();
      await followed;
      const texts = seen.map((event) =>
        JSON.stringify(event, (_, value) => typeof value === "bigint" ? 0 : value)
      );
      assert.deepEqual(texts.filter((text) => text.includes("2000000001")), []);
      assert(!seen.some(({ type }) => type === "unknown" || type === "lost"));
      console.log(`${sent} forgeries, ${count} counted, from ${comm}, none shown`);
    },
  );
}
