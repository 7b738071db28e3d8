import { assert, assertEquals, assertInstanceOf, assertRejects, assertThrows } from "@std/assert";
import { DecodeError, diagnose, inspectBus, openConnector, TimeoutError } from "kernel-connector";
import { decodeCnMsg, encodeCnMsg } from "kernel-connector/codec";
import { randomId, whyNoBus } from "../connector/kernel.ts";

const ignore = await whyNoBus() !== false;

Deno.test("a callback answers a request of another connector", { ignore }, async () => {
  const id = randomId();
  await using service = await openConnector();
  await using client = await openConnector();
  service.addCallback(id, "deno", (message, reply) => reply(message.data.map((byte) => byte + 1)));
  const { type, data, from } = await client.request(id, Uint8Array.of(1, 2), { port: service.port });
  assertEquals(type, "message");
  assertEquals([...data], [2, 3]);
  assertEquals(from.port, service.port);
});

Deno.test("a request that nobody answers times out", { ignore }, async () => {
  await using silent = await openConnector();
  await using bus = await openConnector();
  const asked = bus.request(randomId(), new Uint8Array(1), { port: silent.port, timeoutMs: 20 });
  assertInstanceOf(await asked.catch((error) => error), TimeoutError);
});

Deno.test("an open connector is on the bus, a closed one refuses", { ignore }, async () => {
  const bus = await openConnector();
  const { sockets } = await inspectBus();
  assert(sockets.some(({ port }) => port === bus.port));
  await bus.close();
  await assertRejects(async () => await bus.request(randomId(), new Uint8Array()), Error, "closed");
});

Deno.test("a message is decoded as it was encoded, and a short one is refused", () => {
  const message = { id: { idx: 20, val: 1 }, seq: 1, ack: 2, flags: 0, data: Uint8Array.of(7) };
  const bytes = encodeCnMsg(message);
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  assertEquals(decodeCnMsg(view, 0, view.byteLength), message);
  assertThrows(() => decodeCnMsg(view, 0, view.byteLength - 1), DecodeError);
});

Deno.test("diagnose() always answers", async () => {
  const { verdict, checks } = await diagnose();
  assert(["ok", "warn", "fail"].includes(verdict));
  assertEquals(checks.at(-1)?.name, "subscription");
});
