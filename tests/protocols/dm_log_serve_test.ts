import assert from "node:assert/strict";
import { test } from "node:test";
import { openConnector } from "../../lib/connector/connector.ts";
import { ERRNO } from "../../lib/errors/errno.ts";
import { coreLogs } from "../../lib/protocols/dm_log/core.ts";
import { DirtyLogError } from "../../lib/protocols/dm_log/log.ts";
import { type DmLogRequest } from "../../lib/protocols/dm_log/message.ts";
import { decodeDmLogReply, type DmLogReply } from "../../lib/protocols/dm_log/reply.ts";
import { dmLog } from "../../lib/protocols/dm_log/protocol.ts";
import { logsByName, serveDirtyLog } from "../../lib/protocols/dm_log/serve.ts";
import { Pair, whyNoBus } from "./vectors/pair.ts";
import { encodeDmLogRequest } from "./kernel/dm_log.ts";

const skip = await whyNoBus(dmLog.id);
const common = { luid: 7n, uuid: "LOG-1", version: 3 };

type Ask = (request: DmLogRequest) => Promise<DmLogReply>;

/** A server, and a program that simulates the kernel: it sends to the group, and gets the reply by its number. */
async function withServer(
  run: (ask: Ask, kernel: Awaited<ReturnType<typeof openConnector>>) => Promise<void>,
): Promise<void> {
  await using pair = await Pair.open();
  const { kernel, program: connector } = pair;
  await using _server = await serveDirtyLog(coreLogs(), { connector, onError: () => {} });
  await run(async (request) => {
    const { data, ack, flags } = await kernel.request(dmLog.id, encodeDmLogRequest(request), {
      group: dmLog.id.idx,
      seq: request.seq,
      ack: 0,
      isReply: () => true,
      timeoutMs: 2000,
    });
    assert.deepEqual([ack, flags], [0, 0]);
    return decodeDmLogReply(data);
  }, kernel);
}

test("serveDirtyLog() replies to the sender, with the number of its request", { skip }, async () => {
  await withServer(async (ask, kernel) => {
    const args = ["32768", "core", "1024"];
    assert.deepEqual(await ask({ ...common, type: "ctr", seq: 0, args, again: false }), {
      type: "ctr",
      error: 0,
      device: undefined,
    });
    assert.deepEqual(await ask({ ...common, type: "get_region_size", seq: 1 }), {
      type: "get_region_size",
      error: 0,
      regionSize: 1024n,
    });
    assert.deepEqual(
      await ask({ ...common, type: "unknown", seq: 2, requestType: 99, data: new Uint8Array() }),
      {
        type: "unknown",
        error: -ERRNO.EOPNOTSUPP!,
      },
    );
    const ack = await kernel.request(dmLog.id, new Uint8Array(10), {
      group: 7,
      seq: 3,
      ack: 0,
      isReply: () => true,
    });
    assert.deepEqual([ack.seq, ack.ack, ack.data.length], [3, ERRNO.EBADMSG!, 0]);
  });
});

test("serveDirtyLog() trusts only the kernel by default", { skip }, async () => {
  await using kernel = await openConnector({ trust: "anyone" });
  await using server = await serveDirtyLog(coreLogs());
  const data = encodeDmLogRequest({ ...common, type: "dtr", seq: 9, args: [] });
  await assert.rejects(kernel.request(dmLog.id, data, { group: 7, timeoutMs: 100 }), {
    name: "TimeoutError",
  });
  assert.deepEqual(server.stats().answered, {});
});

test("a signal ends the server, which leaves its group", { skip }, async () => {
  await using connector = await openConnector();
  const abort = new AbortController();
  const server = await serveDirtyLog(coreLogs(), { connector, signal: abort.signal });
  assert.ok(connector.groups().includes(7));
  await assert.rejects(serveDirtyLog(coreLogs(), { connector }), { name: "SyscallError" });
  abort.abort(new Error("enough"));
  await assert.rejects(server.closed, /enough/);
  assert.ok(!connector.groups().includes(7));
  connector.join(12); // it is still open
  await server.close();
  await assert.rejects(serveDirtyLog(coreLogs(), { connector, signal: abort.signal }), {
    message: "enough",
  });
});

test("logsByName() selects by the name in the table line only", () => {
  const logs = logsByName({ core: coreLogs() });
  const request = (name: string) =>
    ({ ...common, type: "ctr", seq: 1, args: ["32768", name, "1024"], again: false }) as const;
  assert.doesNotThrow(() => logs.create(request("core")));
  for (const name of ["disk", "toString", ""]) assert.throws(() => logs.create(request(name)), DirtyLogError);
});
