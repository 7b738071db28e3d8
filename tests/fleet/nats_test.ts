import assert from "node:assert/strict";
import { writeFileSync } from "node:fs";
import { join } from "node:path";
import { test } from "node:test";
import { jetstream, jetstreamManager } from "@nats-io/jetstream";
import { headers, type NatsConnection } from "@nats-io/transport-node";
import { Collector } from "../../lib/fleet/collect.ts";
import { connectTo, type ServerOptions } from "../../lib/fleet/connect.ts";
import { FleetDatabase } from "../../lib/fleet/fleet_database.ts";
import { Publisher } from "../../lib/fleet/publisher.ts";
import { Spool } from "../../lib/fleet/spool.ts";
import { inboxOf, subjectOf } from "../../lib/fleet/subject.ts";
import { openHistory } from "../../lib/history/mod.ts";
import { testFolder } from "../support/folder.ts";
import { eventually } from "../support/kernel.ts";
import { freePort, noNats, startNats, type TestServer } from "../support/nats.ts";
import { at, image, toolsAt } from "./support.ts";

const STREAM = "CNCTL";

/** A test, which may fail at any point and must leave nothing behind: it would never end. */
type Cleanup = { after(action: () => Promise<void> | void): void };

/** A machine whose programs are made up; each second, one begins and ends. */
class Machine {
  readonly name: string;
  readonly said: string[] = [];
  readonly #path: string;
  readonly #server: ServerOptions;
  #seconds = 0;
  #spool: Spool | undefined;
  #publisher: Publisher | undefined;
  #running: Promise<void> = Promise.resolve();

  constructor(t: Cleanup, folder: string, name: string, server: ServerOptions) {
    t.after(() => this.end());
    this.name = name;
    this.#path = join(folder, `spool-${name}.db`);
    this.#server = server;
    this.open();
  }

  /** Goes on, as after a start. */
  open(): void {
    this.#spool = new Spool(this.#path, "1", 1 << 30, toolsAt(this.#seconds));
  }

  publish(): void {
    this.#publisher = new Publisher(this.#spool!, {
      server: this.#server,
      stream: STREAM,
      subject: subjectOf("default", this.name),
      inbox: inboxOf("default", this.name),
      onState: (error) => void this.said.push(error?.message ?? "works"),
    });
    this.#running = this.#publisher.run();
  }

  /** Seals segments with a program each. */
  seal(count: number): void {
    for (let i = 0; i < count; i++) {
      const seconds = this.#seconds++;
      const its = image(this.#spool!.nextId, { at: seconds, lasts: 0.5, info: { comm: `p${seconds}` } });
      this.#spool!.write([its], [], at(seconds + 1), this.#spool!.wantsAll);
    }
  }

  /** Ends as if killed, or after what is there was sent. */
  async end(graceMs: number = 0): Promise<void> {
    await this.#publisher?.close(this.#running, graceMs);
    this.#spool!.close();
  }

  get waiting(): number {
    return this.#spool!.stats().segments;
  }

  get sent(): number {
    return this.#publisher!.sent;
  }
}

/** Collects into a file until it is ended. */
function collect(
  t: Cleanup,
  path: string,
  server: ServerOptions,
  streamBytes: number = 1 << 24,
  site?: string,
) {
  const said: string[] = [];
  const own = { bootId: "boot", pid: 7, startTicks: 7 };
  const database = new FleetDatabase(path, { keepUs: 1e16, maxBytes: 2 ** 40 }, own, () => undefined);
  const collector = new Collector(database, {
    server,
    stream: STREAM,
    streamBytes,
    streamDays: 1,
    site,
    onState: (error) => void said.push(error?.message ?? "works"),
    onRefused: (subject, reason) => void said.push(`${subject}: ${reason}`),
  });
  const running = collector.run();
  const end = async (): Promise<void> => {
    collector.close();
    await running;
    collector[Symbol.dispose]();
  };
  t.after(end);
  return { said, collector, end };
}

function serverFor(server: TestServer, user: string): ServerOptions {
  return { url: server.url, ca: server.ca, credentials: server.credentials(user) };
}

/** What a database has of a machine, and its gaps. */
function namesOf(path: string, host: string): (string | undefined)[] {
  using history = openHistory(path);
  assert.deepEqual(history.gaps({ host }).filter(({ reason }) => reason !== "off"), []);
  return history.query({ host }).map(({ comm }) => comm);
}

function programs(count: number): string[] {
  return Array.from({ length: count }, (_, i) => `p${i}`);
}

test(
  "what two machines ship is in the database once, whatever ends and comes back",
  { skip: noNats },
  async (t) => {
    const folder = testFolder(t);
    const path = join(folder, "fleet.db");
    const server = await startNats(t, folder, { hosts: ["web1", "web2"] });
    const admin = serverFor(server, "admin");
    let collecting = collect(t, path, admin);
    await eventually("the stream", () => collecting.said.includes("works"));
    const machines = ["web1", "web2"].map((name) => new Machine(t, folder, name, serverFor(server, name)));
    const [web1, web2] = machines as [Machine, Machine];
    for (const machine of machines) machine.seal(3);
    for (const machine of machines) machine.publish();
    await eventually("the first segments", () => web1.sent === 3 && web2.sent === 3);
    assert.deepEqual([web1.said, web2.said], [["works"], ["works"]]);

    // The server is killed, and later comes back with what it has stored.
    await server.kill("SIGKILL");
    for (const machine of machines) machine.seal(3);
    await eventually("that it is noticed", () => web1.said.length > 1 && web2.said.length > 1);
    assert.match(web1.said[1]!, /^Cannot .*(has closed the connection|nothing listens there)$/);
    await server.start();
    await eventually("the next segments", () => web1.sent === 6 && web2.sent === 6);

    // A shipper is killed after it has sent, and before it has noted so: the spool still has what arrived.
    await web1.end();
    web1.open();
    web1.seal(2);
    web1.publish();
    // The collector is away meanwhile.
    await collecting.end();
    web2.seal(2);
    await eventually("the last segments", () => web1.sent === 2 && web2.sent === 8);
    collecting = collect(t, path, admin);
    await eventually("that all are collected", () => {
      const { segments } = collecting.collector.stats();
      return segments >= 4;
    });
    await collecting.end();
    for (const machine of machines) await machine.end(10_000);
    assert.deepEqual(namesOf(path, "web1"), programs(8));
    assert.deepEqual(namesOf(path, "web2"), programs(8));
    assert.deepEqual([web1.waiting, web2.waiting], [0, 0]);

    // Another database is filled from the beginning of the stream.
    const second = collect(t, join(folder, "second.db"), admin);
    await eventually("the second database", () => second.collector.stats().segments === 16);
    await second.end();
    assert.deepEqual(namesOf(join(folder, "second.db"), "web1"), programs(8));
    // Of another site there is nothing.
    const other = collect(t, join(folder, "other.db"), admin, 1 << 24, "lab");
    await eventually("the third database", () => other.said.includes("works"));
    await other.end();
    assert.equal(other.collector.stats().segments, 0);
  },
);

/** Waits for a sentence, and returns the first one. */
async function sentence(machine: Machine): Promise<string> {
  await eventually("a sentence", () => machine.said.length > 0);
  return machine.said[0]!;
}

test(
  "each reason why nothing can be shipped is a sentence, and nothing is lost by it",
  { skip: noNats },
  async (t) => {
    const folder = testFolder(t);
    const server = await startNats(t, folder, { hosts: ["web1", "web2"], storeBytes: 64 << 20 });
    const web1 = serverFor(server, "web1");
    writeFileSync(join(folder, "wrong"), "web1:web2");
    writeFileSync(join(folder, "none"), "just text");
    const cases: readonly (readonly [ServerOptions, string, RegExp])[] = [
      [
        { ...web1, url: `nats://127.0.0.1:${await freePort()}` },
        "web1",
        /connect to 127.*: nothing listens there$/,
      ],
      [{ ...web1, credentials: join(folder, "wrong") }, "web1", /the server refuses the credentials/],
      [{ ...web1, credentials: undefined }, "web1", /the server refuses the credentials, or wants some/],
      [
        { ...web1, credentials: join(folder, "none") },
        "web1",
        /must be a NATS credentials file, the seed of an nkey/,
      ],
      [{ ...web1, credentials: join(folder, "absent") }, "web1", /Cannot read .*: there is no such file$/],
      [{ ...web1, ca: undefined }, "web1", /certificate is not of a known authority: see --ca$/],
      [web1, "web2", /does not permit this user to (publish on|subscribe to) /],
      [web1, "web1", /there is no such stream, or no JetStream; cnctl collect makes it$/],
    ];
    await Promise.all(cases.map(async ([options, name, reason]) => {
      const machine = new Machine(t, testFolder(t), name, options);
      machine.seal(2);
      machine.publish();
      assert.match(await sentence(machine), reason);
      await machine.end();
      assert.equal(machine.waiting, 2);
    }));

    const refused: readonly (readonly [ServerOptions, RegExp])[] = [
      [serverFor(server, "admin"), /^Cannot make the stream CNCTL: the server has not so much storage/],
      [web1, /the server does not permit this user to subscribe to _INBOX/],
    ];
    await Promise.all(refused.map(async ([options, reason]) => {
      const collecting = collect(t, join(testFolder(t), "fleet.db"), options, 1 << 30);
      await eventually("a sentence", () => collecting.said.length > 0);
      assert.match(collecting.said[0]!, reason);
    }));
  },
);

/** A connection that may do all. */
async function adminOf(
  server: TestServer,
  t: Cleanup,
): Promise<NatsConnection> {
  const connection = await connectTo(serverFor(server, "admin"), "test");
  t.after(() => connection.close());
  return connection;
}

test("a full stream and a foreign message hold segments up, and lose none", { skip: noNats }, async (t) => {
  const folder = testFolder(t);
  const server = await startNats(t, folder, { hosts: ["web1"] });
  const admin = await adminOf(server, t);
  const manager = await jetstreamManager(admin);
  const subjects = ["cnctl.*.*.process"];
  await manager.streams.add({ name: STREAM, subjects, allow_direct: true, discard: "new", max_msgs: 3 });
  const machine = new Machine(t, folder, "web1", serverFor(server, "web1"));
  machine.seal(5);
  machine.publish();
  await eventually("that the stream is full", () => machine.said.some((text) => text.includes("full")));
  assert.match(
    machine.said.at(-1)!,
    /^Cannot publish on cnctl.default.web1.process: the stream is full: raise its/,
  );
  assert.equal(machine.sent, 3);
  await manager.streams.update(STREAM, { max_msgs: -1 });
  await eventually("that it is not", () => machine.sent === 5);

  // Somebody else publishes on the subject of this machine.
  const foreign = headers();
  foreign.set("Cnctl-Segment", `${"f".repeat(32)}/1`);
  const subject = subjectOf("default", "web1");
  await jetstream(admin).publish(subject, "no segment", { headers: foreign });
  machine.seal(1);
  await eventually("that it is said", () => machine.said.some((text) => text.includes("another program")));
  await eventually("that it goes on", () => machine.sent === 6);
  // The stream forgets all: the first message of the subject is expected then.
  await manager.streams.purge(STREAM);
  machine.seal(1);
  await eventually("that it goes on from nothing", () => machine.sent === 7);
  await machine.end(10_000);

  const collecting = collect(t, join(folder, "fleet.db"), serverFor(server, "admin"));
  await jetstream(admin).publish(subject, "no segment");
  await eventually("what is left", () => {
    const { segments, refused } = collecting.collector.stats();
    return segments === 1 && refused === 1;
  });
  await collecting.end();
  assert.match(collecting.said.at(-1)!, /^cnctl.default.web1.process: it is no JSON compressed by zstd/);
  using history = openHistory(join(folder, "fleet.db"));
  assert.deepEqual(history.query().map(({ comm }) => comm), ["p6"]);
  // What was purged before it was collected.
  assert.deepEqual(history.gaps().map(({ reason, lost }) => [reason, lost]), [["undelivered", 6]]);
});
