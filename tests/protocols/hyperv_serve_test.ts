import assert from "node:assert/strict";
import { test } from "node:test";
import type { Connector } from "../../lib/connector/connector.ts";
import type { CbId } from "../../lib/connector/message.ts";
import * as c from "../../lib/protocols/hyperv/constants.ts";
import {
  decodeVssStatus,
  type KvpReply,
  type KvpRequest,
  NO_IP_INFO,
  type VssRequest,
} from "../../lib/protocols/hyperv/message.ts";
import { kvp, vss } from "../../lib/protocols/hyperv/protocol.ts";
import { HypervError, type KvpImplementation, serveKvp, serveVss } from "../../lib/protocols/hyperv/serve.ts";
import { decodeKvpReply, encodeKvpRequest, encodeVssRequest } from "./kernel/hyperv.ts";
import { Pair, whyNoBus } from "./vectors/pair.ts";

/** HV_ERROR_DISK_FULL: any status that the implementation chooses. */
const DISK_FULL = 0x8007_0070;

const skip = await whyNoBus(kvp.id);

/**
 * Simulates the kernel: it replies to the registration by the group, with arbitrary numbers, and sends requests to
 * the group as well. The reply is whatever the daemon sends next.
 */
class Host {
  readonly connector: Connector;
  readonly id: CbId;
  readonly #welcome: Uint8Array | undefined;
  #waiting: ((data: Uint8Array) => void) | undefined;
  registration: Uint8Array | undefined;

  constructor(connector: Connector, id: CbId, welcome: Uint8Array | undefined) {
    this.connector = connector;
    this.id = id;
    this.#welcome = welcome;
    connector.addCallback(id, "host", (message) => {
      if (this.registration === undefined) {
        this.registration = message.data;
        if (this.#welcome !== undefined) connector.send(id, this.#welcome, { group: id.idx, seq: 0, ack: 0 });
        return;
      }
      this.#waiting?.(message.data);
    });
  }

  async ask(data: Uint8Array): Promise<Uint8Array> {
    const { promise, resolve } = Promise.withResolvers<Uint8Array>();
    this.#waiting = resolve;
    this.connector.send(this.id, data, { group: this.id.idx, seq: 0, ack: 0 });
    return await promise;
  }
}

const KVP_WELCOME = encodeKvpRequest({ type: "register", operation: c.KVP_OP_REGISTER1, version: "3.1" });
const VSS_WELCOME = encodeVssRequest({ type: "register", operation: c.VSS_OP_REGISTER1 });

async function withKvp(
  implementation: KvpImplementation,
  run: (ask: (request: KvpRequest) => Promise<KvpReply>, errors: unknown[]) => Promise<void>,
): Promise<void> {
  await using pair = await Pair.open();
  const { kernel, program: connector } = pair;
  const host = new Host(kernel, kvp.id, KVP_WELCOME);
  const errors: unknown[] = [];
  const options = { connector, port: kernel.port, onError: (error: unknown) => errors.push(error) };
  await using server = await serveKvp(implementation, options);
  assert.equal(server.version, "3.1");
  assert.equal(host.registration![0], c.KVP_OP_REGISTER1);
  assert.equal(host.registration!.length, 7432);
  await run(async (request) => {
    assert.ok(request.type !== "register");
    return decodeKvpReply(request.type, await host.ask(encodeKvpRequest(request)));
  }, errors);
}

test("serveKvp() registers, and answers every operation", { skip }, async () => {
  const values = new Map([["colour", "blue"]]);
  const info = { ...NO_IP_INFO, adapterId: "{1}", ipAddr: "192.0.2.1" };
  let given: unknown;
  const implementation: KvpImplementation = {
    get: (_pool, key) => values.get(key),
    set: (_pool, key, value) => void values.set(key, value),
    delete: (_pool, key) => void values.delete(key),
    enumerate: (_pool, index) => [...values].map(([key, value]) => ({ key, value }))[index],
    getIpInfo: ({ adapterId }) => ({ ...info, adapterId }),
    setIpInfo: (info) => void (given = info),
  };
  await withKvp(implementation, async (ask) => {
    const pool = 1;
    const got = { type: "get", error: c.HV_S_OK, value: "blue" };
    assert.deepEqual(await ask({ type: "get", pool, key: "colour" }), got);
    assert.deepEqual(await ask({ type: "get", pool, key: "shape" }), { type: "get", error: c.HV_S_CONT });
    assert.deepEqual(await ask({ type: "set", pool, key: "shape", value: "round" }), {
      type: "set",
      error: 0,
    });
    const second = { type: "enumerate", error: 0, key: "shape", value: "round" };
    assert.deepEqual(await ask({ type: "enumerate", pool, index: 1 }), second);
    assert.deepEqual(await ask({ type: "enumerate", pool, index: 2 }), {
      type: "enumerate",
      error: c.HV_S_CONT,
    });
    assert.deepEqual(await ask({ type: "delete", pool, key: "shape" }), { type: "delete", error: 0 });
    assert.equal(values.has("shape"), false);
    const asked = { type: "get_ip_info", pool, info: { ...NO_IP_INFO, adapterId: "{1}" } } as const;
    assert.deepEqual(await ask(asked), { type: "get_ip_info", error: 0, info });
    assert.deepEqual(await ask({ type: "set_ip_info", pool, info }), { type: "set_ip_info", error: 0 });
    assert.deepEqual(given, info);
  });
});

test("serveKvp() replies to missing, unknown and failing operations with a status", { skip }, async () => {
  const implementation: KvpImplementation = {
    get: () => {
      throw new Error("a bug");
    },
    set: () => Promise.reject(new HypervError("keep it", DISK_FULL, "the disk is full")),
    enumerate: () => ({ key: "k".repeat(600), value: "" }),
  };
  await withKvp(implementation, async (ask, errors) => {
    const pool = 0;
    assert.equal((await ask({ type: "get", pool, key: "a" })).error, c.HV_E_FAIL);
    assert.equal((await ask({ type: "set", pool, key: "a", value: "b" })).error, DISK_FULL);
    assert.equal((await ask({ type: "enumerate", pool, index: 0 })).error, c.HV_E_FAIL);
    assert.equal(errors.length, 3);
    assert.equal((await ask({ type: "delete", pool, key: "a" })).error, c.HV_ERROR_NOT_SUPPORTED);
    assert.equal((await ask({ type: "unknown", pool, operation: 42 })).error, c.HV_ERROR_NOT_SUPPORTED);
  });
});

test("serveVss() registers, freezes and thaws", { skip }, async () => {
  await using pair = await Pair.open();
  const { kernel, program: connector } = pair;
  const host = new Host(kernel, vss.id, VSS_WELCOME);
  const done: string[] = [];
  const options = { connector, port: kernel.port, onError: () => {} };
  await using server = await serveVss({
    freeze: () => void done.push("freeze"),
    thaw: () => {
      done.push("thaw");
      throw new Error("a file system is broken");
    },
  }, options);
  assert.equal(server.version, "129");
  assert.deepEqual([host.registration![0], host.registration!.length], [c.VSS_OP_REGISTER1, 12]);
  const ask = async (request: VssRequest) => decodeVssStatus(await host.ask(encodeVssRequest(request)));
  assert.equal(await ask({ type: "freeze" }), c.HV_S_OK);
  assert.equal(await ask({ type: "thaw" }), c.HV_E_FAIL);
  assert.equal(await ask({ type: "hot_backup" }), c.HV_S_OK);
  assert.equal(await ask({ type: "auto_recover" }), c.HV_ERROR_NOT_SUPPORTED);
  assert.deepEqual(done, ["freeze", "thaw"]);
  assert.equal(server.stats().answered, 4);
});

test(
  "a kernel that does not reply to the registration is a TimeoutError, and nothing is left open",
  { skip },
  async () => {
    await using pair = await Pair.open();
    const { kernel, program: connector } = pair;
    new Host(kernel, kvp.id, undefined);
    const registering = serveKvp({}, { connector, port: kernel.port, timeoutMs: 50 });
    await assert.rejects(registering, { name: "TimeoutError", message: /register as kvp daemon/ });
    assert.deepEqual(connector.callbacks(), []);
  },
);

test("a kernel without the driver is an error that says so", { skip }, async () => {
  await assert.rejects(serveVss({ freeze: () => {}, thaw: () => {} }), {
    name: "SyscallError",
    code: "ENODEV",
  });
});

test("a signal ends a daemon, even during its registration", { skip }, async () => {
  await using pair = await Pair.open();
  const { kernel, program: connector } = pair;
  const host = new Host(kernel, kvp.id, undefined);
  const reason = new Error("enough");
  const abort = new AbortController();
  const registering = serveKvp({}, {
    connector,
    port: host.connector.port,
    timeoutMs: 60_000,
    signal: abort.signal,
  });
  abort.abort(reason);
  await assert.rejects(registering, reason);
  assert.deepEqual(connector.callbacks(), []);
  await assert.rejects(serveKvp({}, { connector, signal: abort.signal }), reason);
});
