import assert from "node:assert/strict";
import { test } from "node:test";
import type { Connector } from "../../lib/connector/connector.ts";
import type { Server, ServerOptions } from "../../lib/connector/server.ts";
import { type DirtyLogServer, serveDirtyLog } from "../../lib/protocols/dm_log/serve.ts";
import { coreLogs } from "../../lib/protocols/dm_log/core.ts";
import { dmLog } from "../../lib/protocols/dm_log/protocol.ts";
import { KVP_OP_REGISTER1 } from "../../lib/protocols/hyperv/constants.ts";
import { kvp } from "../../lib/protocols/hyperv/protocol.ts";
import { serveKvp } from "../../lib/protocols/hyperv/serve.ts";
import { serveV86d } from "../../lib/protocols/uvesafb/serve.ts";
import { countedSignal, isClosed, kernelList, settle, type Stage, stage } from "./support.ts";
import { encodeDmLogRequest } from "../protocols/kernel/dm_log.ts";
import { encodeKvpRequest } from "../protocols/kernel/hyperv.ts";

const limits = { timeout: 60_000 };

/** Each kind of server, on a connector whose kernel is a script. */
const SERVERS: Readonly<Record<string, (s: Stage, options: ServerOptions) => Promise<Server>>> = {
  serveDirtyLog: (_s, options) => serveDirtyLog(coreLogs(), options),
  serveV86d: (_s, options) => serveV86d(() => undefined, options),
  serveKvp: async (s, options) => {
    const serving = serveKvp({}, { ...options, port: 7, timeoutMs: 60_000 });
    const data = encodeKvpRequest({ type: "register", operation: KVP_OP_REGISTER1, version: "3.1" });
    s.arrive({ id: kvp.id, data }, { port: 0, group: kvp.id.idx });
    return await serving;
  },
};

for (const [name, serve] of Object.entries(SERVERS)) {
  test(`${name}(): a connector that fails ends the server, and closed rejects`, limits, async () => {
    await using s = stage();
    const server = await serve(s, { connector: s.bus });
    const { closed } = server;
    await settle();
    const error = new Error("the thread is gone");
    s.system.poller.die(error);
    await assert.rejects(closed, { cause: error });
    await server.close();
    assert.deepEqual(s.failures, [], "reported by closed only");
  });

  test(`${name}(): a connector that fails is reported where nobody waits`, limits, async () => {
    await using s = stage();
    await serve(s, { connector: s.bus });
    await settle();
    const error = new Error("the thread is gone");
    s.system.poller.die(error);
    await settle();
    assert.deepEqual(s.failures.map(([failure, failed]) => [(failure as Error).cause, failed]), [
      [error, "the connector"],
    ]);
  });

  test(`${name}(): a connector that is closed ends the server without an error`, limits, async () => {
    await using s = stage();
    const { signal, listeners } = countedSignal();
    const server = await serve(s, { connector: s.bus, signal });
    s.bus.close();
    await server.closed;
    await server.close();
    assert.equal(listeners(), 0);
  });

  test(`${name}(): its signal and close() end it, and leave nothing on the connector`, limits, async () => {
    await using s = stage();
    const abort = new AbortController();
    const server = await serve(s, { connector: s.bus, signal: abort.signal });
    abort.abort(new Error("enough"));
    await assert.rejects(server.closed, /enough/);
    const second = await serve(s, { connector: s.bus });
    await second.close();
    assert.deepEqual([s.bus.callbacks(), isClosed(s.bus)], [[], false]);
    s.system.poller.die(new Error("later"));
    await settle();
    await second.closed;
  });
}

test("serveDirtyLog() releases all logs when the connector fails", limits, async () => {
  await using s = stage();
  const destroyed: string[] = [];
  const logs = coreLogs();
  const server = await serveDirtyLog({
    create: async (request) => {
      const created = await logs.create(request);
      const { log } = created;
      return Object.assign(created, {
        log: Object.assign(Object.create(log), {
          destroy: () => void destroyed.push(request.uuid),
        }),
      });
    },
  }, { connector: s.bus });
  const args = ["32768", "core", "1024"];
  const data = encodeDmLogRequest({
    ...{ type: "ctr", luid: 7n, uuid: "LOG-1", version: 3, seq: 1 },
    ...{ args, again: false },
  });
  s.arrive({ id: dmLog.id, data, seq: 1 }, { port: 0, group: 7 });
  await settle();
  assert.equal(server.stats().logs, 1);
  s.system.poller.die(new Error("the thread is gone"));
  await assert.rejects(server.closed, /the thread is gone/);
  assert.deepEqual(destroyed, ["LOG-1"]);
});

test("serveKvp(): a connector that fails during the registration rejects at once", limits, async () => {
  await using s = stage();
  const serving = serveKvp({}, { connector: s.bus, port: 7, timeoutMs: 60_000 });
  await settle();
  s.system.poller.die(new Error("the thread is gone"));
  await assert.rejects(serving, /the thread is gone/);
});

test("a second server for one identifier is refused, and the connector stays open", limits, async () => {
  await using s = stage();
  const bus: Connector = s.bus;
  await using _first = await serveDirtyLog(coreLogs(), { connector: bus });
  await assert.rejects(serveDirtyLog(coreLogs(), { connector: bus }), { code: "EINVAL" });
  assert.equal(isClosed(bus), false);
});

/** Requests, each handled by a log that does `handle` when it is flushed. */
async function serveFlush(
  s: Stage,
  handle: (server: DirtyLogServer) => Promise<void>,
): Promise<DirtyLogServer> {
  s.system.libc.files.write("/proc/net/connector", kernelList([[7, 1, "dmlogusr"]]));
  const logs = coreLogs();
  const server: DirtyLogServer = await serveDirtyLog({
    create: async (request) => {
      const created = await logs.create(request);
      const log = Object.assign(Object.create(created.log), { flush: () => handle(server) });
      return Object.assign(created, { log });
    },
  }, { connector: s.bus });
  const common = { luid: 7n, uuid: "LOG-1", version: 3 };
  const args = ["32768", "core", "1024"];
  const requests = [
    encodeDmLogRequest({ ...common, type: "ctr", seq: 1, args, again: false }),
    encodeDmLogRequest({ ...common, type: "flush", seq: 2, regions: [] }),
  ];
  requests.forEach((data, i) => s.arrive({ id: dmLog.id, data, seq: i + 1 }, { port: 0, group: 7 }));
  return server;
}

for (const [when, turns] of [["at once", 0], ["after a while", 3]] as const) {
  test(`a request handler that awaits close() ${when} does not wait for itself`, limits, async () => {
    await using s = stage();
    let isHandled = false;
    const server = await serveFlush(s, async (server) => {
      for (let i = 0; i < turns; i++) await settle();
      await server.close();
      isHandled = true;
    });
    await server.closed;
    assert.deepEqual([isHandled, server.stats().logs, s.bus.callbacks()], [true, 0, []]);
    assert.deepEqual(s.sent().map(({ seq }) => seq), [1, 2], "the request was answered");
  });
}

test("a dispose waits for the requests that are being handled, close() does not", limits, async () => {
  await using s = stage();
  const { promise, resolve } = Promise.withResolvers<void>();
  const server = await serveFlush(s, () => promise);
  await settle();
  await server.close();
  assert.deepEqual([server.stats().logs, s.sent().length], [1, 1]);
  const disposed = server[Symbol.asyncDispose]();
  resolve();
  await disposed;
  assert.deepEqual([server.stats().logs, s.sent().length], [0, 2]);
});
