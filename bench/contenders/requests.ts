/** Requests per second between a service and a client in one program: one at a time, and several at a time. */
import process from "node:process";
import { openConnector } from "../../mod.ts";
import { numberOption } from "./protocol.ts";

const ID = { idx: 21, val: 0x6265 };
const AT_ONCE = 32;
const count = numberOption("count") ?? 20_000;

const service = await openConnector();
service.addCallback(ID, "bench", (message, reply) => reply(message.data));
const client = await openConnector();
const { port } = service;
const data = new Uint8Array(64);

async function ask(questions: number): Promise<void> {
  for (let i = 0; i < questions; i++) await client.request(ID, data, { port, timeoutMs: 5000 });
}

async function perSecond(lanes: number): Promise<number> {
  const start = performance.now();
  await Promise.all(Array.from({ length: lanes }, () => ask(Math.ceil(count / lanes))));
  return count / ((performance.now() - start) / 1000);
}

await ask(Math.ceil(count / 10)); // compiles the code
const one = await perSecond(1);
const many = await perSecond(AT_ONCE);
client.close();
service.close();
const pendingRequests = { "one at a time": one, [`${AT_ONCE} at a time`]: many };
process.stdout.write(`${JSON.stringify({ events: count, perSecond: pendingRequests })}\n`);
