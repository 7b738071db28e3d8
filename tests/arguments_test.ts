import assert from "node:assert/strict";
import { Buffer } from "node:buffer";
import { test } from "node:test";
import * as codec from "../lib/codec.ts";
import * as dmLog from "../lib/protocols/dm_log/mod.ts";
import * as hyperv from "../lib/protocols/hyperv/mod.ts";
import * as uvesafb from "../lib/protocols/uvesafb/mod.ts";
import * as w1Module from "../lib/protocols/w1/mod.ts";
import * as rootModule from "../mod.ts";
import { stage } from "./connector/support.ts";

/** Everything that the entry points export. */
const mod = { ...rootModule, ...codec, ...w1Module, ...dmLog, ...uvesafb, ...hyperv };

const ID = { idx: 20, val: 1 };
const DATA = new Uint8Array(2);
const VIEW = new DataView(new ArrayBuffer(64));

/** A call that gives one argument nonsense, and the name by which the error must call that argument. */
type Call = readonly [names: string, call: () => unknown];

/** Values that are of no type that anything takes, but what is named. */
const NOTHING = { number: 7, text: "a", list: [], nothing: null, big: 1n, symbol: Symbol("s") } as const;

/** One call for each value, except those of the types that are right. */
function wrong(names: string, call: (value: never) => unknown, ...right: (keyof typeof NOTHING)[]): Call[] {
  return Object.entries(NOTHING).filter(([type]) => !right.includes(type as never))
    .map(([, value]): Call => [names, () => call(value as never)]);
}

/** As {@linkcode wrong}, for each of several options. */
function options(
  call: (options: never) => unknown,
  right: Readonly<Record<string, readonly (keyof typeof NOTHING)[]>>,
): Call[] {
  return [
    ...wrong("options", call),
    ...Object.entries(right).flatMap(([name, types]) =>
      wrong(name, (value: never) => call({ [name]: value } as never), ...types)
    ),
  ];
}

const SERVER = { connector: [], signal: [], onError: [] } as const;
const BYTES: Call[] = [
  ...wrong("data", (data) => bus().send(ID, data, { port: 7 })),
  ["data", () => bus().send(ID, new Uint16Array([1]) as never, { port: 7 })],
  ["data", () => bus().send(ID, "hello" as never, { port: 7 })],
  ["data", () => bus().request(ID, "hello" as never, { port: 7 })],
  ["data", () => bus().requestMany(ID, new ArrayBuffer(1) as never, { port: 7 })],
  ["data", () => bus().requestMany(ID, [1, 2] as never, { port: 7 })],
];

/** What each export that is no type, no constant and no error class must refuse. */
const EXPORTS: Readonly<Record<string, () => readonly Call[]>> = {
  openConnector: () => [
    ...options((options) => mod.openConnector(options), {
      trust: [],
      credentials: [],
      onError: [],
      announce: [],
      signal: [],
      latencyMs: ["number"],
      receiveBufferBytes: ["number"],
      firstSeq: ["number"],
    }),
    ["trust", () => mod.openConnector({ trust: "everybody" as never })],
    ["latencyMs", () => mod.openConnector({ latencyMs: NaN })],
    ["receiveBufferBytes", () => mod.openConnector({ receiveBufferBytes: -1 })],
    ["firstSeq", () => mod.openConnector({ firstSeq: 2 ** 32 })],
  ],
  watchIdentifiers: () => [
    ...options((options) => mod.watchIdentifiers(options), {
      idx: ["list"],
      val: ["list"],
      pollMs: ["number"],
      agents: [],
      signal: [],
    }),
    ["idx[0]", () => mod.watchIdentifiers({ idx: [20 as never] })],
    ["idx[0].range", () => mod.watchIdentifiers({ idx: [{ first: 20, range: -1 }] })],
    ["pollMs", () => mod.watchIdentifiers({ pollMs: 0 })],
  ],
  decodeCnMsg: () => ranges((...args) => mod.decodeCnMsg(...args)),
  decodeCnMsgs: () => ranges((...args) => mod.decodeCnMsgs(...args)),
  decodeProcEvent: () => ranges((...args) => mod.decodeProcEvent(...args, 0)),
  encodeCnMsg: () => [
    ...wrong("message", (message) => mod.encodeCnMsg(message)),
    ["message.id", () => mod.encodeCnMsg({} as never)],
    ["message.id.val", () => mod.encodeCnMsg({ id: { idx: 1 } } as never)],
    ["message.seq", () => mod.encodeCnMsg({ id: ID, seq: -1, ack: 0, flags: 0, data: DATA })],
    ["message.flags", () => mod.encodeCnMsg({ id: ID, seq: 0, ack: 0, flags: 65536, data: DATA })],
    ["message.data", () => mod.encodeCnMsg({ id: ID, seq: 0, ack: 0, flags: 0, data: "hello" as never })],
  ],
  watchProcesses: () => [
    ...options((options) => mod.watchProcesses(options), {
      events: ["list"],
      exits: [],
      pids: [],
      threads: [],
      signal: [],
      latencyMs: ["number"],
      receiveBufferBytes: ["number"],
      heartbeatMs: ["number"],
      descendantsOf: ["number"],
      processInfo: [],
      snapshot: [],
      pidReuse: [],
      users: [],
      loginUsers: [],
      comm: ["text", "list"],
      exe: ["text", "list"],
      cgroup: ["text", "list"],
      commandLine: ["text", "list"],
      exclude: [],
    }),
    ["events", () => mod.watchProcesses({ events: [] })],
    ["comm", () => mod.watchProcesses({ comm: [] })],
    ["fields[0]", () => mod.watchProcesses({ processInfo: { fields: ["environment" as never] } })],
    ["commandLineBytes", () => mod.watchProcesses({ processInfo: { commandLineBytes: -1 } })],
    ["latencyMs", () => mod.watchProcesses({ latencyMs: -1 })],
    ["heartbeatMs", () => mod.watchProcesses({ heartbeatMs: NaN })],
    ["pids[0]", () => mod.watchProcesses({ pids: [0] })],
    ["descendantsOf", () => mod.watchProcesses({ descendantsOf: 1.5 })],
  ],
  waitForExit: () => [
    ...wrong("pid", (pid) => mod.waitForExit(pid as number), "number", "list"),
    ["pid", () => mod.waitForExit(0)],
    ["pid", () => mod.waitForExit(["a" as never])[0]],
    ...options((options) => mod.waitForExit(1, options), { signal: [] }),
    ...options((options) => mod.waitForExit([1], options)[0], { signal: [] }),
  ],
  waitForStart: () => [
    ...wrong("options", (filter) => mod.waitForStart(filter)),
    ["filter", () => mod.waitForStart({})],
    ["name", () => mod.waitForStart({ name: 7 as never })],
    ["comm", () => mod.waitForStart({ exclude: { comm: null as never } })],
    ...options((options) => mod.waitForStart({ comm: "x" }, options), { signal: [] }),
  ],
  openDiskLogs: () => [
    ...options((options) => mod.openDiskLogs(options), { folder: ["text"], onDamage: [] }),
    ["folder", () => mod.openDiskLogs({} as never)],
  ],
  logsByName: () => [
    ...wrong("kinds", (kinds) => mod.logsByName(kinds)),
    ["kinds.core.create", () => mod.logsByName({ core: {} as never })],
  ],
  serveDirtyLog: () => [
    ...wrong("implementation", (logs) => mod.serveDirtyLog(logs)),
    ["implementation.create", () => mod.serveDirtyLog({} as never)],
    ...options((options) => mod.serveDirtyLog(mod.coreLogs(), options), SERVER),
  ],
  serveKvp: () => [
    ...wrong("implementation", (implementation) => mod.serveKvp(implementation)),
    ["implementation.get", () => mod.serveKvp({ get: "blue" as never })],
    ...options((options) => mod.serveKvp({}, options), {
      ...SERVER,
      timeoutMs: ["number"],
      port: ["number"],
    }),
    ["timeoutMs", () => mod.serveKvp({}, { timeoutMs: 0 })],
  ],
  serveVss: () => [
    ...wrong("implementation", (implementation) => mod.serveVss(implementation)),
    ["implementation.thaw", () => mod.serveVss({ freeze: () => {} } as never)],
    ...options((options) => mod.serveVss({ freeze() {}, thaw() {} }, options), SERVER),
  ],
  serveV86d: () => [
    ...wrong("implementation", (implementation) => mod.serveV86d(implementation)),
    ...options((options) => mod.serveV86d(() => undefined, options), SERVER),
  ],
  linearFramebuffer: () => [
    ...wrong("options", (options) => mod.linearFramebuffer(options)),
    ["physBase", () => mod.linearFramebuffer({} as never)],
    ["memoryBytes", () => mod.linearFramebuffer({ physBase: 1 } as never)],
    ["modes", () => mod.linearFramebuffer({ physBase: 1, memoryBytes: 1 } as never)],
    ...framebuffer({ modes: [7] }, "modes[0]"),
    ...framebuffer({ modes: [{ xRes: 1, yRes: "1" }] }, "modes[0].yRes"),
    ...framebuffer({ modes: [{ xRes: 1, yRes: 1, bitsPerPixel: 24 }] }, "modes[0].bitsPerPixel"),
    ...framebuffer({ name: 7 }, "name"),
    ...framebuffer({ setMode: "mode" }, "setMode"),
  ],
  crc8: () => [
    ...wrong("bytes", (bytes) => mod.crc8(bytes)),
    ["bytes", () => mod.crc8("ab" as never)],
  ],
  openW1: () =>
    options((options) => mod.openW1(options), { connector: [], timeoutMs: ["number"], port: ["number"] }),
  W1Transaction: () => {
    const transaction = mod.W1Transaction.forMaster(1);
    return [
      ...wrong("master", (master) => mod.W1Transaction.forMaster(master), "number"),
      ...wrong("slave", (slave) => mod.W1Transaction.forSlave(slave)),
      ...wrong("slave", (slave) => transaction.addSlave(slave)),
      ...wrong("bytes", (bytes) => transaction.read(bytes), "number"),
      ["bytes", () => transaction.read(65_536)],
      ...wrong("data", (data) => transaction.write(data)),
      ...wrong("data", (data) => transaction.touch(data)),
      ["data", () => transaction.write("ab" as never)],
      ...wrong("cmd", (cmd) => transaction.add(cmd), "number"),
      ["cmd", () => transaction.add(256)],
    ];
  },
};

/** These take no arguments. */
const WITHOUT_ARGUMENTS = [
  "closeTerminatedWorkers",
  "coreLogs",
  "diagnose",
  "inspectBus",
];

/** These take whatever there is. */
const ANY_ARGUMENTS = ["jsonReplacer"];

let stages: ReturnType<typeof stage>[] = [];

/** A connector that nobody else has. */
function bus(): rootModule.Connector {
  const s = stage();
  stages.push(s);
  return s.bus;
}

function ranges(decode: (view: DataView, at: number, end: number) => unknown): Call[] {
  return [
    ...wrong("view", (view) => decode(view, 0, 64)),
    ["view", () => decode(new Uint8Array(64) as never, 0, 64)],
    ...wrong("at", (at) => decode(VIEW, at, 64), "number"),
    ["at", () => decode(VIEW, NaN, 64)],
    ["at", () => decode(VIEW, -1, 64)],
    ["end", () => decode(VIEW, 0, 65)],
    ...wrong("end", (end) => decode(VIEW, 0, end), "number"),
  ];
}

function framebuffer(changed: object, names: string): Call[] {
  const card = { physBase: 0xfd00_0000, memoryBytes: 16 << 20, modes: [] };
  return [[names, () => mod.linearFramebuffer({ ...card, ...changed } as never)]];
}

/** What a connector's own functions must refuse. */
function connectorCalls(): readonly Call[] {
  const id = (call: (id: never) => unknown): Call[] => [
    ...wrong("id", call),
    ["id.idx", () => call({} as never)],
    ["id.val", () => call({ idx: 1, val: "1" } as never)],
    ["id.idx", () => call({ idx: 2 ** 32, val: 1 } as never)],
  ];
  const send = { port: ["number"], group: ["number"], seq: ["number"], ack: ["number"], flags: ["number"] };
  const ask = { ...send, timeoutMs: ["number"], retries: ["number"], signal: [], isReply: [] };
  const right = <T>(types: T) => types as Readonly<Record<string, readonly (keyof typeof NOTHING)[]>>;
  return [
    ...id((id) => bus().addCallback(id, "name", () => {})),
    ...wrong("name", (name) => bus().addCallback(ID, name, () => {}), "text"),
    ...wrong("callback", (callback) => bus().addCallback(ID, "name", callback)),
    ["callback", () => bus().addCallback(ID, "a", undefined as never)],
    ...id((id) => bus().delCallback(id)),
    ...id((id) => bus().send(id, DATA, { port: 7 })),
    ...id((id) => bus().request(id, DATA, { port: 7 })),
    ...id((id) => bus().requestMany(id, DATA, { port: 7 })),
    ...BYTES,
    ...options((options) => bus().send(ID, DATA, options), right(send)),
    ...options((options) => bus().request(ID, DATA, options), right(ask)),
    ...options((options) => bus().requestMany(ID, DATA, options), {
      ...right(ask),
      count: ["number"],
      until: [],
    }),
    ["count", () => bus().requestMany(ID, DATA, { count: 0 })],
    ["retries", () => bus().request(ID, DATA, { retries: 0.5 })],
    ...options((options) => bus().messages(options), { groups: ["list"], signal: [], limit: ["number"] }),
    ["groups[1]", () => bus().messages({ groups: [1, 33] })],
    ["limit", () => bus().messages({ limit: 0 })],
    ...wrong("group", (group) => bus().join(group), "number"),
    ["group", () => bus().join(33)],
    ...wrong("group", (group) => bus().leave(group), "number"),
    ["group", () => bus().leave(0)],
  ];
}

/** Calls, and waits for what is a promise. */
async function errorOf(call: () => unknown): Promise<unknown> {
  try {
    const result = await call();
    await (result as Partial<AsyncDisposable> | undefined)?.[Symbol.asyncDispose]?.();
    return undefined;
  } catch (error) {
    return error;
  }
}

async function assertRefused(calls: readonly Call[]): Promise<void> {
  for (const [names, call] of calls) {
    const error = await errorOf(call);
    const about = `${names} in ${call}: ${error}`;
    assert.ok(error instanceof TypeError || error instanceof RangeError, about);
    assert.match(error.message, /^Cannot /, about);
    assert.ok(error.message.includes(names), about);
  }
  const all = stages;
  stages = [];
  for (const s of all) await s[Symbol.asyncDispose]();
}

test("every export that takes arguments is in the table", () => {
  const functions = Object.entries(mod).filter(([, value]) =>
    typeof value === "function" && !(value.prototype instanceof Error)
  ).map(([name]) => name);
  assert.deepEqual(
    functions.sort(),
    [...Object.keys(EXPORTS), ...WITHOUT_ARGUMENTS, ...ANY_ARGUMENTS].sort(),
  );
  for (const name of WITHOUT_ARGUMENTS) assert.equal((mod as never)[name]["length"], 0);
});

for (const [name, calls] of Object.entries(EXPORTS)) {
  test(`${name}() refuses nonsense, and names the argument`, async () => await assertRefused(calls()));
}

test("a connector's functions refuse nonsense, and name the argument", async () => {
  await assertRefused(connectorCalls());
});

test("reply() refuses nonsense, and names the argument", async () => {
  await using s = stage();
  const errors: unknown[] = [];
  const { promise, resolve } = Promise.withResolvers<void>();
  s.bus.addCallback(ID, "mine", async (_message, reply) => {
    errors.push(await errorOf(() => reply("text" as never)));
    errors.push(await errorOf(() => reply(DATA, { ack: "1" as never })));
    resolve();
  });
  s.arrive({ id: ID });
  await promise;
  assert.match(String(errors[0]), /TypeError: .*data must be a Uint8Array, and is "text"/);
  assert.match(String(errors[1]), /TypeError: .*ack must be a whole number/);
  assert.equal(s.sent().length, 0);
});

test("1-wire's functions refuse nonsense, and name the argument", async () => {
  await using s = stage();
  const w1 = await mod.openW1({ connector: s.bus, port: 7 });
  const slave = w1.slave("28-0000deadbe01");
  const request = { signal: [], timeoutMs: ["number"] } as const;
  await assertRefused([
    ...wrong("master", (master) => w1.master(master), "number"),
    ...wrong("slave", (slave) => w1.slave(slave)),
    ...wrong("transaction", (transaction) => w1.run(transaction)),
    ...wrong("transactions", (transactions) => w1.runAll(transactions), "list"),
    ["transactions[0]", () => w1.runAll([7 as never])],
    ...options((options) => w1.masters(options), request),
    ...options((options) => w1.events(options), { signal: [] }),
    ...options((options) => w1.master(1).slaves(options), request),
    ...options((options) => w1.master(1).reset(options), request),
    ...options((options) => slave.read(1, options), request),
    ...wrong("bytes", (bytes) => slave.read(bytes), "number"),
    ...wrong("data", (data) => slave.write(data)),
    ...wrong("data", (data) => slave.query(data, 1)),
  ]);
});

test("bytes of a Buffer, and of another realm, are bytes", async () => {
  await using s = stage();
  s.bus.send(ID, Buffer.from("ab"), { port: 7 });
  const untrusted = new Uint8Array([1]);
  Object.setPrototypeOf(
    untrusted,
    Object.create(Object.getPrototypeOf(Uint8Array.prototype), {
      length: { get: () => 1 },
    }),
  );
  assert.equal(untrusted instanceof Uint8Array, false);
  s.bus.send(ID, untrusted, { port: 7 });
  assert.deepEqual(s.sent().map(({ data }) => data.length), [2, 1]);
});
