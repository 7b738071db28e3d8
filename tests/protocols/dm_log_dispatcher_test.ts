import assert from "node:assert/strict";
import { test } from "node:test";
import fc from "fast-check";
import type { CnMsg } from "../../lib/connector/message.ts";
import { DecodeError } from "../../lib/errors/decode_error.ts";
import { ERRNO } from "../../lib/errors/errno.ts";
import { SyscallError } from "../../lib/errors/syscall_error.ts";
import { DirtyLogDispatcher } from "../../lib/protocols/dm_log/dispatcher.ts";
import { DM_ULOG_NAMES } from "../../lib/protocols/dm_log/constants.ts";
import { coreLogs } from "../../lib/protocols/dm_log/core.ts";
import { type DirtyLog, DirtyLogError, type DirtyLogs } from "../../lib/protocols/dm_log/log.ts";
import { DM_ULOG_REQUEST, type DmLogRequest } from "../../lib/protocols/dm_log/message.ts";
import { decodeDmLogReply, type DmLogReply } from "../../lib/protocols/dm_log/reply.ts";
import { dmLog } from "../../lib/protocols/dm_log/protocol.ts";
import { LITTLE, viewOf } from "../../lib/wire/bytes.ts";
import { encodeDmLogRequest } from "./kernel/dm_log.ts";

const common = { luid: 7n, uuid: "LOG-1", version: 3 };
const REGIONS = 32;

/** Simulates the kernel: sends requests with increasing numbers and checks that each reply has the number. */
class Kernel {
  readonly answerer: DirtyLogDispatcher;
  readonly errors: unknown[] = [];
  seq = 0;

  constructor(logs: DirtyLogs) {
    this.answerer = new DirtyLogDispatcher(logs, (error) => this.errors.push(error));
  }

  async ask(request: Request): Promise<DmLogReply> {
    const whole = { ...common, seq: ++this.seq, ...request } as DmLogRequest;
    return readAnswer(whole, await this.answerer.answer(messageOf(whole)));
  }

  async start(...args: string[]): Promise<void> {
    const ctr = await this.ask({ type: "ctr", args: [`${1024 * REGIONS}`, ...args], again: false });
    assert.deepEqual(ctr, { type: "ctr", error: 0, device: undefined });
    assert.deepEqual(await this.ask({ type: "resume" }), { type: "resume", error: 0 });
  }
}

/** A request without the common fields. */
type Request = DmLogRequest extends infer R
  ? R extends DmLogRequest ? Omit<R, keyof typeof common | "seq"> : never
  : never;

function messageOf(request: DmLogRequest): CnMsg {
  return { id: dmLog.id, seq: request.seq, ack: 0, flags: 0, data: encodeDmLogRequest(request) };
}

function readAnswer(request: DmLogRequest, answer: CnMsg): DmLogReply {
  const view = viewOf(answer.data);
  assert.equal(view.getUint32(DM_ULOG_REQUEST.seq, LITTLE), request.seq);
  assert.equal(view.getBigUint64(DM_ULOG_REQUEST.luid, LITTLE), request.luid);
  assert.deepEqual([answer.id, answer.seq], [dmLog.id, request.seq]);
  return decodeDmLogReply(answer.data);
}

/** A log whose methods a test replaces. */
function logsOf(methods: Partial<DirtyLog>, device?: string): DirtyLogs {
  const unexpected = () => assert.fail("not expected");
  const log: DirtyLog = {
    regionSize: 1024,
    isClean: unexpected,
    inSync: unexpected,
    markRegions: unexpected,
    clearRegions: unexpected,
    flush: unexpected,
    resyncWork: unexpected,
    setRegionSync: unexpected,
    syncCount: unexpected,
    status: unexpected,
    resume: () => {},
    destroy: () => {},
    ...methods,
  };
  return { create: () => ({ log, device }) };
}

test("a mirror starts, resyncs, is written and removed", async () => {
  const kernel = new Kernel(coreLogs());
  await kernel.start("core", "1024");
  const size = await kernel.ask({ type: "get_region_size" });
  assert.deepEqual(size, { type: "get_region_size", error: 0, regionSize: 1024n });
  let recovered = 0n;
  while (true) {
    const work = await kernel.ask({ type: "get_resync_work" });
    assert.ok(work.type === "get_resync_work" && work.error === 0);
    if (work.region === undefined) break;
    assert.equal(work.region, recovered++);
    await kernel.ask({ type: "clear_region", regions: [work.region] });
    await kernel.ask({ type: "set_region_sync", region: work.region, inSync: true });
  }
  assert.equal(recovered, BigInt(REGIONS));
  const count = await kernel.ask({ type: "get_sync_count" });
  assert.deepEqual(count, { type: "get_sync_count", error: 0, count: BigInt(REGIONS) });
  await kernel.ask({ type: "mark_region", regions: [3n, 4n] });
  await kernel.ask({ type: "flush", regions: [5n] }); // integrated_flush
  for (const [region, value] of [[2n, true], [3n, false], [4n, false], [5n, false]] as const) {
    assert.deepEqual(await kernel.ask({ type: "is_clean", region }), { type: "is_clean", error: 0, value });
    assert.deepEqual(await kernel.ask({ type: "in_sync", region }), {
      type: "in_sync",
      error: 0,
      value: true,
    });
  }
  const status = await kernel.ask({ type: "status_info" });
  assert.deepEqual(status, { type: "status_info", error: 0, text: "1 core" });
  await kernel.ask({ type: "set_region_sync", region: 9n, inSync: false });
  assert.deepEqual(await kernel.ask({ type: "is_remote_recovering", region: 9n }), {
    type: "is_remote_recovering",
    error: 0,
    recovering: false,
    inSyncHint: 9n,
  });
  for (const type of ["presuspend", "postsuspend", "resume", "dtr"] as const) {
    const request: Request = type === "dtr" ? { type, args: [] } : { type };
    assert.deepEqual(await kernel.ask(request), { type, error: 0 });
  }
  const { failed, malformed, logs, answered } = kernel.answerer.stats();
  assert.deepEqual([failed, malformed, logs, answered["get_resync_work"]], [0, 0, 0, REGIONS + 1]);
});

test("a request repeated with a new number gets the same reply again", async () => {
  const kernel = new Kernel(coreLogs());
  await kernel.start("core", "1024");
  const twice = [
    { type: "get_resync_work" },
    { type: "set_region_sync", region: 0n, inSync: true },
    { type: "mark_region", regions: [1n] },
    { type: "get_sync_count" },
    { type: "flush", regions: [] },
    { type: "dtr", args: [] },
    { type: "dtr", args: [] },
  ] as const;
  for (const request of twice) assert.deepEqual(await kernel.ask(request), await kernel.ask(request));
  assert.deepEqual(kernel.errors, []);
});

test("every request for an unknown log is refused with ESRCH, so that the kernel creates it again", async () => {
  const kernel = new Kernel(coreLogs());
  const reply = await kernel.ask({ type: "in_sync", region: 0n });
  assert.deepEqual(reply, { type: "in_sync", error: -ERRNO.ESRCH! });
  assert.deepEqual(await kernel.ask({ type: "dtr", args: [] }), { type: "dtr", error: 0 });
});

test("after a reconnect an open log is kept, an unknown one is created, and neither reply names a device", async () => {
  const resumed: boolean[] = [];
  let created = 0;
  const logs = logsOf({ resume: (again) => void resumed.push(again) }, "/dev/log");
  const kernel = new Kernel({ create: (request) => (created++, logs.create(request)) });
  const args = ["32768", "own"];
  const first = await kernel.ask({ type: "ctr", args, again: false });
  assert.deepEqual(first, { type: "ctr", error: 0, device: "/dev/log" });
  await kernel.ask({ type: "resume" });
  const again = await kernel.ask({ type: "ctr", args, again: true });
  assert.deepEqual(again, { type: "ctr", error: 0, device: undefined });
  await kernel.ask({ type: "resume" });
  await kernel.ask({ type: "resume" });
  assert.deepEqual(resumed, [false, true, false]);
  assert.equal(created, 1);
  const other = new Kernel(logs);
  const returned = await other.ask({ type: "ctr", args, again: true });
  assert.deepEqual(returned, { type: "ctr", error: 0, device: undefined });
  await other.ask({ type: "resume" });
  assert.deepEqual(resumed, [false, true, false, true]);
});

test("a device is only sent to kernels of version 2 and later", async () => {
  const ctr: DmLogRequest = { ...common, type: "ctr", seq: 1, args: ["32768", "own"], again: false };
  for (const [version, device] of [[1, undefined], [2, "8:1"], [3, "8:1"]] as const) {
    const { answerer } = new Kernel(logsOf({}, "8:1"));
    const request = { ...ctr, version };
    const reply = readAnswer(request, await answerer.answer(messageOf(request)));
    assert.deepEqual(reply, { type: "ctr", error: 0, device });
  }
});

test("a reused address gets a new log, and the old one is destroyed", async () => {
  let destroyed = 0;
  const kernel = new Kernel(logsOf({ destroy: () => void destroyed++ }));
  for (let i = 0; i < 3; i++) await kernel.ask({ type: "ctr", args: ["32768", "own"], again: false });
  assert.equal(destroyed, 2);
  assert.equal(kernel.answerer.stats().logs, 1);
  await kernel.answerer.close();
  assert.equal(destroyed, 3);
});

test("an exception of the implementation is answered with its errno, or EIO", async () => {
  const cases: readonly (readonly [unknown, number])[] = [
    [new Error("a bug"), ERRNO.EIO!],
    [undefined, ERRNO.EIO!],
    [new DirtyLogError("do it", ERRNO.ENOSPC!, "no room"), ERRNO.ENOSPC!],
    [new SyscallError("write", "pwrite", ERRNO.EROFS!), ERRNO.EROFS!],
  ];
  for (const [error, errno] of cases) {
    for (
      const flush of [() => {
        throw error;
      }, () => Promise.reject(error)]
    ) {
      const kernel = new Kernel(logsOf({ flush }));
      await kernel.ask({ type: "ctr", args: [], again: false });
      assert.deepEqual(await kernel.ask({ type: "flush", regions: [] }), { type: "flush", error: -errno });
      assert.deepEqual(kernel.errors, [error]);
      assert.equal(kernel.answerer.stats().failed, 1);
    }
  }
  const refusing = new Kernel({ create: () => Promise.reject(new Error("no")) });
  const refused = await refusing.ask({ type: "ctr", args: [], again: false });
  assert.deepEqual(refused, { type: "ctr", error: -ERRNO.EIO! });
  assert.equal(refusing.answerer.stats().logs, 0);
});

test("an onError that throws does not prevent replies", async (context) => {
  context.mock.method(console, "error", () => {});
  const answerer = new DirtyLogDispatcher(coreLogs(), () => {
    throw new Error("a bug in onError");
  });
  const request = { ...common, type: "in_sync", seq: 5, region: 0n } as const;
  const reply = readAnswer(request, await answerer.answer(messageOf(request)));
  assert.deepEqual(reply, { type: "in_sync", error: -ERRNO.ESRCH! });
  const malformed = { ...messageOf(request), data: new Uint8Array(1) };
  assert.equal((await answerer.answer(malformed)).ack, ERRNO.EBADMSG!);
});

test("a text that cannot be sent is answered with EIO", async () => {
  const kernel = new Kernel(logsOf({ status: () => "1 a\0b" }));
  await kernel.ask({ type: "ctr", args: [], again: false });
  assert.deepEqual(await kernel.ask({ type: "status_info" }), { type: "status_info", error: -ERRNO.EIO! });
});

test("an unknown request is answered with an error, and a malformed one is acknowledged with one", async () => {
  const kernel = new Kernel(coreLogs());
  const unknown = await kernel.ask({ type: "unknown", requestType: 99, data: new Uint8Array(3) });
  assert.deepEqual(unknown, { type: "unknown", error: -ERRNO.EOPNOTSUPP! });
  const message = { id: dmLog.id, seq: 41, ack: 0, flags: 0, data: new Uint8Array(159) };
  const ack = await kernel.answerer.answer(message);
  assert.deepEqual([ack.seq, ack.ack, ack.data.length], [41, ERRNO.EBADMSG!, 0]);
  assert.ok(kernel.errors[1] instanceof DecodeError);
});

test("requests for one log are answered in order, and do not wait for those of another", async () => {
  const order: string[] = [];
  let release: (() => void) | undefined;
  const slow = new Promise<void>((resolve) => release = resolve);
  const logs: DirtyLogs = {
    create: ({ uuid }) =>
      logsOf({
        flush: () => slow.then(() => void order.push(`flush ${uuid}`)),
        syncCount: () => {
          order.push(`count ${uuid}`);
          return 1n;
        },
      }).create({} as never),
  };
  const kernel = new Kernel(logs);
  const second = { luid: 8n, uuid: "LOG-2" };
  await kernel.ask({ type: "ctr", args: [], again: false });
  await kernel.ask({ type: "ctr", args: [], again: false, ...second } as Request);
  const first = [kernel.ask({ type: "flush", regions: [] }), kernel.ask({ type: "get_sync_count" })];
  await kernel.ask({ type: "get_sync_count", ...second } as Request);
  assert.deepEqual(order, ["count LOG-2"]);
  release!();
  await Promise.all(first);
  assert.deepEqual(order, ["count LOG-2", "flush LOG-1", "count LOG-1"]);
  const request = { ...common, type: "get_sync_count", seq: 99 } as const;
  assert.ok(!(kernel.answerer.answer(messageOf(request)) instanceof Promise), "nobody waits any more");
});

test("a synchronous implementation gives a synchronous reply", () => {
  const kernel = new Kernel(coreLogs());
  const ctr = { ...common, type: "ctr", seq: 1, args: ["32768", "core", "1024"], again: false } as const;
  assert.ok(!(kernel.answerer.answer(messageOf(ctr)) instanceof Promise));
});

test("every message gets one reply with its number, and nothing throws", async () => {
  const message = fc.record({
    data: fc.uint8Array({ maxLength: 250 }),
    type: fc.constantFrom(...Object.values(DM_ULOG_NAMES), 0, 18, 255),
    size: fc.nat(40),
    luid: fc.constantFrom(1n, 2n),
  }).map(({ data, type, size, luid }) => {
    if (data.length >= DM_ULOG_REQUEST.SIZE) {
      const view = viewOf(data);
      view.setUint32(DM_ULOG_REQUEST.request_type, type, LITTLE);
      view.setUint32(DM_ULOG_REQUEST.data_size, size, LITTLE);
      view.setBigUint64(DM_ULOG_REQUEST.luid, luid, LITTLE);
      view.setUint32(DM_ULOG_REQUEST.seq, 77, LITTLE);
    }
    return { id: dmLog.id, seq: 77, ack: 0, flags: 0, data };
  });
  await fc.assert(fc.asyncProperty(fc.array(message, { maxLength: 20 }), async (messages) => {
    const kernel = new Kernel(coreLogs());
    const answers = await Promise.all(messages.map((message) => kernel.answerer.answer(message)));
    for (const { seq, data } of answers) {
      assert.equal(seq, 77);
      if (data.length > 0) decodeDmLogReply(data);
    }
  }));
});
