import assert from "node:assert/strict";
import { test } from "node:test";
import { CachedValue, readBusSockets, readKernelIdentifiers } from "../../lib/connector/proc_net.ts";
import { FakeLibc } from "../support/fake_libc.ts";
import { busList } from "./support.ts";

test("readKernelIdentifiers() reads every line of /proc/net/connector", () => {
  const libc = new FakeLibc();
  libc.readBytes = 7;
  libc.files.write(
    "/proc/net/connector",
    "Name            ID\ncn_proc         1:1\nw1              3:1\na name, longer than its column 20:4294967295\n",
  );
  assert.deepEqual(readKernelIdentifiers(libc), [
    { id: { idx: 1, val: 1 }, name: "cn_proc" },
    { id: { idx: 3, val: 1 }, name: "w1" },
    { id: { idx: 20, val: 4294967295 }, name: "a name, longer than its column" },
  ]);
  assert.equal(
    readKernelIdentifiers(new FakeLibc()),
    undefined,
    "another network namespace has no such file",
  );
  libc.files.write("/proc/net/connector", "Name            ID\n");
  assert.deepEqual(readKernelIdentifiers(libc), []);
});

test("readBusSockets() reads the connector's sockets and no others", () => {
  const libc = new FakeLibc();
  assert.equal(readBusSockets(libc), undefined);
  libc.files.write("/proc/net/netlink", busList([[0, 0, 0, 1026], [4294967290, 0x8000_0001, 12, 59247]]));
  assert.deepEqual(readBusSockets(libc), [
    { port: 0, groups: 0, receiveBytes: 768, sendBytes: 0, drops: 0, inode: 1026 },
    { port: 4294967290, groups: 0x8000_0001, receiveBytes: 768, sendBytes: 0, drops: 12, inode: 59247 },
  ]);
});

test("a cached value is read again when it is old, or on request", async () => {
  let reads = 0;
  const recent = new CachedValue(40, () => ++reads);
  assert.deepEqual([recent.get(), recent.get(), recent.refresh(), recent.get()], [1, 1, 2, 2]);
  await new Promise((resolve) => setTimeout(resolve, 60));
  assert.equal(recent.get(), 3);
});
