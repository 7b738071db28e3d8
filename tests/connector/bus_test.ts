import assert from "node:assert/strict";
import { test } from "node:test";
import { inspectBusOn } from "../../lib/connector/bus.ts";
import { UnsupportedError } from "../../lib/errors/unsupported_error.ts";
import { FakeLibc } from "../support/fake_libc.ts";
import { busList, kernelList } from "./support.ts";

test("inspectBus() finds the groups, drops and processes of each socket", () => {
  const libc = new FakeLibc();
  libc.files.write("/proc/net/connector", kernelList([[3, 1, "w1"]]));
  libc.files.write(
    "/proc/net/netlink",
    busList([[4294967290, 1 << 11 | 1, 5, 90], [0, 0, 0, 10], [42, 0, 0, 91]]),
  );
  for (
    const [pid, comm, links] of [
      [42, "first\n", { 0: "/dev/null", 3: "socket:[90]", 7: "socket:[91]", 8: "socket:[91]" }],
      [43, "second\n", { 5: "socket:[90]", 6: "socket:[10]" }],
      [44, "stranger\n", { 5: "socket:[900]", 6: "pipe:[90]" }],
    ] as const
  ) {
    libc.files.write(`/proc/${pid}/comm`, comm);
    for (const [fd, target] of Object.entries(links)) libc.files.link(`/proc/${pid}/fd/${fd}`, target);
  }
  libc.files.write("/proc/self/comm", "not a process\n");
  libc.files.link("/proc/self/fd/3", "socket:[90]");
  const { identifiers, sockets } = inspectBusOn(libc);
  assert.deepEqual(identifiers, [{ id: { idx: 3, val: 1 }, name: "w1" }]);
  assert.deepEqual(sockets, [
    { port: 0, groups: [], receiveBytes: 768, drops: 0, inode: 10, owners: [] },
    { port: 42, groups: [], receiveBytes: 768, drops: 0, inode: 91, owners: [{ pid: 42, comm: "first" }] },
    {
      port: 4294967290,
      groups: [1, 12],
      receiveBytes: 768,
      drops: 5,
      inode: 90,
      owners: [{ pid: 42, comm: "first" }, { pid: 43, comm: "second" }],
    },
  ]);
  libc.assertAllClosed();
});

test("inspectBus() reads no process if no program is on the bus", () => {
  const libc = new FakeLibc();
  libc.files.write("/proc/net/netlink", busList([[0, 0]]));
  libc.files.write("/proc/1/comm", "systemd\n");
  const { identifiers, sockets } = inspectBusOn(libc);
  assert.deepEqual([identifiers, sockets.length], [undefined, 1]);
  assert.equal(libc.names("getdents64").length, 0);
});

test("inspectBus() reports it if the list cannot be read", () => {
  assert.throws(() => inspectBusOn(new FakeLibc()), (error) => {
    assert.ok(error instanceof UnsupportedError);
    assert.equal(error.message, "Cannot list the connector's users: /proc/net/netlink cannot be read");
    return true;
  });
});
