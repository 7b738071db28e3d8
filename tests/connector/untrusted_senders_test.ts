import assert from "node:assert/strict";
import { test } from "node:test";
import { UntrustedSenders } from "../../lib/connector/untrusted_senders.ts";
import { FakeLibc } from "../support/fake_libc.ts";
import { busList } from "./support.ts";

test("an untrusted sender is counted by its port, with its process", () => {
  const libc = new FakeLibc();
  libc.files.write("/proc/net/netlink", busList([[0, 0, 0, 10], [4242, 1, 0, 91]]));
  libc.files.write("/proc/77/comm", "forger\n");
  libc.files.link("/proc/77/fd/3", "socket:[91]");
  const senders = new UntrustedSenders(libc);
  for (const port of [4242, 5, 4242]) senders.add(port);
  libc.files.remove("/proc/77");
  senders.add(4242);
  assert.equal(senders.count, 4);
  assert.deepEqual(senders.list(), [
    { port: 4242, count: 3, pid: 77, comm: "forger" },
    { port: 5, count: 1, pid: undefined, comm: undefined },
  ]);
  libc.assertAllClosed();
});

test("the process is not looked up if the kernel reported it", () => {
  const libc = new FakeLibc();
  libc.files.write("/proc/78/comm", "known\n");
  const senders = new UntrustedSenders(libc);
  senders.add(4242, 78);
  senders.add(4243, 79);
  assert.deepEqual(senders.list(), [
    { port: 4242, count: 1, pid: 78, comm: "known" },
    { port: 4243, count: 1, pid: 79, comm: undefined },
  ]);
  assert.equal(libc.names("getdents64").length, 0);
});

test("senders that use a new port for each message are limited to 64 entries and lookups", () => {
  const libc = new FakeLibc();
  const senders = new UntrustedSenders(libc);
  for (let port = 1; port <= 1000; port++) senders.add(port);
  for (const port of [1, 1000]) senders.add(port);
  const list = senders.list();
  const countOf = (port: number | undefined): number | undefined =>
    list.find((its) => its.port === port)?.count;
  assert.equal(list.length, 65);
  assert.deepEqual([senders.count, countOf(1), countOf(undefined)], [1002, 2, 937]);
  assert.deepEqual(JSON.parse(JSON.stringify(list.slice(-1))), [{ count: 937 }]);
  assert.equal(libc.names("open").length, 64);
});
