import assert from "node:assert/strict";
import { test } from "node:test";
import type { ConnectorStats } from "../../mod.ts";
import { emulated, Peer, randomId, whyNoBus } from "../connector/kernel.ts";
import { sleep } from "../support/kernel.ts";

const skip = await whyNoBus();
const COUNT = emulated ? 200 : 10_000;
const LATE = 100;

interface Port {
  readonly port: number;
}

test(
  `${COUNT} requests between two runtimes, 64 in flight, while a third process forges replies: all correct, all counted`,
  { skip, timeout: 300_000 },
  async () => {
    const { idx, val } = randomId();
    await using intruder = Peer.start("node", "intruder", idx, val);
    const spy = await intruder.line<Port>();
    await using service = Peer.start("deno", "service", idx, val, spy.port);
    const { port } = await service.line<Port>();
    await using client = Peer.start("bun", "client", idx, val, port, COUNT, 64, LATE);
    const outcome = await client.line<{ right: number; wrong: number; timedOut: number; seconds: number }>(
      250_000,
    );
    assert.deepEqual([outcome.right, outcome.wrong, outcome.timedOut], [COUNT, 0, LATE]);

    await sleep(emulated ? 3000 : 800); // the late answers
    intruder.tell({});
    service.tell({});
    client.tell({});
    const done = await intruder.line<Record<string, number>>();
    const said = await service.line<{ answered: number; twice: number; late: number }>();
    const stats = await client.line<ConnectorStats>();
    assert.deepEqual(said, { answered: COUNT, twice: COUNT / 10, late: LATE });
    for (const [kind, count] of Object.entries(done)) assert.ok(count > COUNT / 10, `${kind}: ${count}`);
    const { replies, forged, late, duplicates, untrusted, malformed, stray, unclaimed, lost, inFlight } =
      stats;
    assert.deepEqual(
      { replies, forged, late, duplicates, untrusted, malformed, stray, unclaimed, lost, inFlight },
      {
        replies: COUNT,
        forged: done.forged! + done.late!, // both have the correct numbers and the wrong port
        late: LATE,
        duplicates: COUNT / 10,
        untrusted: done.kernels!,
        malformed: done.malformed!,
        stray: done.stray!,
        unclaimed: done.wrongNumbers!,
        lost: 0,
        inFlight: 0,
      },
    );
  },
);
