import assert from "node:assert/strict";
import { test } from "node:test";
import { ClosedError } from "../../lib/errors/closed_error.ts";
import { openConnectorOn } from "../../lib/connector/connector.ts";
import { ERRNO } from "../../lib/errors/errno.ts";
import { SyscallError } from "../../lib/errors/syscall_error.ts";
import { UnsupportedError } from "../../lib/errors/unsupported_error.ts";
import { busList, bytes, decodeSent, ID, kernelList, settle, stage } from "./support.ts";

/** Whether an error is a SyscallError with this code, and speaks of this. */
function failure(code: string, text: RegExp): (error: unknown) => boolean {
  return (error) => {
    assert.ok(error instanceof SyscallError);
    assert.equal(error.code, code);
    assert.match(error.message, text);
    return true;
  };
}

const DRIVER = { idx: 21, val: 1 };

test("send() goes to a port, to the kernel, or to a group by its mask", async () => {
  await using s = stage({ firstSeq: 5 });
  s.bus.send(ID, bytes(1), { port: 7 });
  s.bus.send(DRIVER, bytes(2), { port: 0 });
  s.bus.send(ID, bytes(3), { group: 12 });
  const [toPort, toKernel, toGroup] = s.sent();
  assert.deepEqual([toPort!.port, toPort!.groups, [...toPort!.data]], [7, 0, [1]]);
  assert.deepEqual([toKernel!.port, toKernel!.groups], [0, 0]);
  assert.deepEqual([toGroup!.port, toGroup!.groups], [0, 1 << 11]);
  assert.deepEqual(s.sent().map(({ seq }) => seq), [5, 6, 7]);
  const header = new DataView(s.system.libc.sent[0]!.bytes.buffer);
  assert.equal(header.getUint32(8, true), 5, "nlmsg_seq is the sequence number too");
  assert.equal(s.bus.stats().sent, 3);
});

test("send() writes the given numbers and flags, and returns them", async () => {
  await using s = stage();
  const numbers = { seq: 0xffff_ffff, ack: 0, flags: 0xffff };
  assert.deepEqual(s.bus.send(ID, bytes(), { port: 7, ...numbers }), { seq: 0xffff_ffff, ack: 0 });
  const [{ seq, ack, flags }] = s.sent() as [ReturnType<typeof decodeSent>];
  assert.deepEqual({ seq, ack, flags }, numbers);
});

test("send() to group 0 is for the group of the identifier's callback, else ENODEV", async () => {
  await using s = stage();
  const unknown = failure("ENODEV", /Cannot send to 20:1: cn_netlink_send failed with ENODEV: .*no callback/);
  assert.throws(() => s.bus.send(ID, bytes(1)), unknown);
  assert.throws(() => s.bus.send(ID, bytes(1), { group: 0 }), unknown);
  s.bus.addCallback(ID, "mine", () => {});
  s.bus.send(ID, bytes(1), { group: 0 });
  assert.equal(s.sent()[0]!.groups, 1 << 19);
  s.bus.delCallback(ID);
  assert.throws(() => s.bus.send(ID, bytes(1)), unknown);
});

test("send() to a group without other listeners is ESRCH", async () => {
  await using s = stage();
  const nobody = failure("ESRCH", /no other program is in group 25/);
  assert.throws(() => s.bus.send(ID, bytes(1), { group: 25 }), nobody);
  s.system.libc.files.write("/proc/net/netlink", busList([[8, 1 << 24]]));
  s.bus.send(ID, bytes(1), { group: 25 });
  assert.equal(s.sent().length, 1, "that nobody listens is never remembered");
  s.system.libc.files.remove("/proc/net/netlink");
  await new Promise((resolve) => setTimeout(resolve, 120));
  s.bus.send(ID, bytes(1), { group: 26 });
  assert.equal(s.sent().length, 2, "where it cannot be known, it is sent");
});

test("send() reads /proc once for many sends", async () => {
  await using s = stage();
  for (let i = 0; i < 20; i++) s.bus.send(ID, bytes(i), { group: 12 });
  const opened = s.system.libc.calls.filter(({ name, args }) =>
    name === "open" && args[0] === "/proc/net/netlink"
  );
  assert.ok(opened.length <= 2, `opened ${opened.length} times`);
});

test("send() to the kernel for an identifier that it does not serve is ENODEV", async () => {
  await using s = stage();
  const unserved = failure("ENODEV", /the kernel does not serve 20:1: it is not in \/proc\/net\/connector/);
  assert.throws(() => s.bus.send(ID, bytes(1), { port: 0 }), unserved);
  s.system.libc.files.write("/proc/net/connector", kernelList([[20, 1, "loaded"]]));
  s.bus.send(ID, bytes(1), { port: 0 });
  s.system.libc.files.remove("/proc/net/connector");
  await new Promise((resolve) => setTimeout(resolve, 120));
  s.bus.send({ idx: 20, val: 99 }, bytes(1), { port: 0 });
  assert.equal(s.sent().length, 2, "where it cannot be known, it is sent");
});

test("send() refuses a payload so long that the kernel would drop it silently", async () => {
  await using s = stage();
  s.bus.send(DRIVER, new Uint8Array(16364), { port: 0 });
  s.bus.send(ID, new Uint8Array(65_535), { port: 7 });
  assert.throws(
    () => s.bus.send(DRIVER, new Uint8Array(16365), { port: 0 }),
    /the kernel takes up to 16364 bytes/,
  );
  assert.throws(
    () => s.bus.send(ID, new Uint8Array(65_536), { port: 7 }),
    /a program takes up to 65535 bytes/,
  );
  assert.throws(() => s.bus.send(ID, new Uint8Array(65_536), { group: 12 }), RangeError);
  assert.deepEqual(s.system.libc.sent.map(({ bytes }) => bytes.length), [16_400, 65_572]);
});

test("send() refuses numbers that the header cannot hold", async () => {
  await using s = stage();
  const refused: [() => unknown, RegExp][] = [
    [
      () => s.bus.send({ idx: -1, val: 1 }, bytes(), { port: 7 }),
      /idx must be a whole number from 0 to 4294967295/,
    ],
    [() => s.bus.send({ idx: 20, val: 2 ** 32 }, bytes(), { port: 7 }), /val must be/],
    [() => s.bus.send(ID, bytes(), { port: 1.5 }), /port must be/],
    [() => s.bus.send(ID, bytes(), { port: 7, seq: -1 }), /seq must be/],
    [() => s.bus.send(ID, bytes(), { port: 7, ack: NaN }), /ack must be/],
    [() => s.bus.send(ID, bytes(), { port: 7, flags: 65536 }), /flags must be .* 65535/],
    [() => s.bus.send(ID, bytes(), { group: 33 }), /group must be .* from 0 to 32, and is 33/],
    [() => s.bus.send(ID, bytes(), { group: 1 << 11 }), /group must be .* from 0 to 32/],
  ];
  for (const [call, message] of refused) assert.throws(call, message);
  assert.throws(
    () => s.bus.send(ID, bytes(), { port: 7, group: 12 }),
    /to a port or to a group, not to both/,
  );
  assert.equal(s.sent().length, 0);
});

test("send() explains a refusal of the kernel", async () => {
  await using s = stage();
  const { libc } = s.system;
  libc.answers(
    "sendto",
    -ERRNO.EPERM!,
    -ERRNO.ECONNREFUSED!,
    -ERRNO.EAGAIN!,
    -ERRNO.EMSGSIZE!,
    -ERRNO.ENOMEM!,
  );
  const to7 = (): unknown => s.bus.send(ID, bytes(1), { port: 7 });
  assert.throws(to7, failure("EPERM", /requires CAP_NET_ADMIN.*to the kernel only/));
  assert.throws(to7, failure("ECONNREFUSED", /no socket of the connector has port 7/));
  assert.throws(to7, failure("EAGAIN", /the receiver's buffer is full/));
  assert.throws(to7, failure("EMSGSIZE", /wmem_default/));
  assert.throws(to7, failure("ENOMEM", /sendto failed with ENOMEM$/));
  libc.answers("sendto", -ERRNO.ECONNREFUSED!);
  assert.throws(() => s.bus.send(DRIVER, bytes(1), { port: 0 }), (error) => {
    assert.ok(error instanceof UnsupportedError);
    assert.equal(error.reason, "network-namespace");
    return true;
  });
});

test("send() reaches a group even if the kernel is in another network namespace", async () => {
  await using s = stage();
  s.system.libc.answers("sendto", -ERRNO.ECONNREFUSED!);
  s.bus.send(ID, bytes(1), { group: 12 });
  assert.equal(s.bus.stats().sent, 1);
});

test("send() retries after EINTR, but not for ever", async () => {
  await using s = stage();
  const restart = -ERRNO.EINTR!;
  s.system.libc.answers("sendto", restart, restart);
  s.bus.send(ID, bytes(1), { port: 7 });
  assert.equal(s.system.libc.names("sendto").length, 3);
  s.system.libc.answers("sendto", ...Array.from({ length: 100 }, () => restart));
  assert.throws(() => s.bus.send(ID, bytes(1), { port: 7 }), failure("EINTR", /sendto/));
});

test("a closed connector accepts nothing", async () => {
  await using s = stage();
  s.bus.close();
  s.bus.close();
  for (
    const call of [
      () => s.bus.send(ID, bytes(), { port: 7 }),
      () => s.bus.join(12),
      () => s.bus.leave(12),
      () => s.bus.groups(),
      () => s.bus.messages(),
      () => s.bus.requestMany(ID, bytes(), { port: 7 }),
      () => s.bus.addCallback(ID, "mine", () => {}),
    ]
  ) assert.throws(call, ClosedError);
  await assert.rejects(s.bus.request(ID, bytes(), { port: 7 }), /Cannot ask 20:1: the connector is closed/);
  assert.equal(s.bus.delCallback(ID), false);
  await settle();
});

test("callbacks for identifiers of the kernel are refused in another network namespace, and nothing is left open", async () => {
  await using s = stage();
  const { libc } = s.system;
  libc.files.remove("/proc/net/connector");
  libc.answers("sendto", ...new Array(4).fill(-ERRNO.ECONNREFUSED!));
  const elsewhere = {
    name: "UnsupportedError",
    reason: "network-namespace",
    message:
      /^Cannot (add a callback for|read messages of|send to) .*not the initial network namespace.*--net=host/,
  };
  assert.throws(() => s.bus.addCallback({ idx: 7, val: 1 }, "log", () => {}), elsewhere);
  assert.throws(() => s.bus.messages({ groups: [20, 3] }), elsewhere);
  assert.throws(() => s.bus.send({ idx: 3, val: 1 }, bytes(), { group: 3 }), elsewhere);
  assert.throws(() => s.bus.send({ idx: 3, val: 1 }, bytes(), { port: 0 }), elsewhere);
  assert.deepEqual([s.bus.groups(), s.bus.callbacks()], [[], []]);
  s.bus.addCallback(ID, "programs are there", () => {});
  await s.bus.messages({ groups: [12] }).return();
});

test("without a list of identifiers requests still go to a kernel that is present", async () => {
  await using s = stage({ trust: "kernel" });
  s.system.libc.files.remove("/proc/net/connector");
  s.bus.addCallback({ idx: 20, val: 1 }, "log", () => {});
  assert.deepEqual(s.sent().map(({ port, id }) => [port, id.idx]), [[0, 0xffff_fffe]]);
});

test("leave() does not undo the join of a callback or a stream", async () => {
  await using s = stage();
  s.bus.addCallback(ID, "mine", () => {});
  const messages = s.bus.messages({ groups: [12] });
  assert.deepEqual([s.bus.leave(20), s.bus.leave(12), s.bus.groups()], [false, false, [12, 20]]);
  s.bus.join(20);
  assert.deepEqual([s.bus.leave(20), s.bus.leave(20), s.bus.groups()], [true, false, [12, 20]]);
  await messages.return!();
  s.bus.delCallback(ID);
  assert.deepEqual(s.bus.groups(), []);
});

test("join() and leave() count, check and explain", async () => {
  await using s = stage();
  const { libc } = s.system;
  s.bus.join(12);
  s.bus.join(12);
  assert.deepEqual([s.bus.leave(12), s.bus.groups()], [true, [12]]);
  assert.deepEqual([s.bus.leave(12), s.bus.groups(), s.bus.leave(12)], [true, [], false]);
  for (const group of [0, 33, -1, 1.5, 1 << 11]) {
    assert.throws(() => s.bus.join(group), /group must be a whole number from 1 to 32/);
    assert.throws(() => s.bus.leave(group), RangeError);
  }
  libc.answers("setsockopt", -ERRNO.EPERM!, -ERRNO.EPERM!);
  assert.throws(
    () => s.bus.join(12),
    failure("EPERM", /Cannot join group 12: .*odd groups; group 12 is even/),
  );
  assert.throws(
    () => s.bus.join(13),
    failure("EPERM", /Cannot join group 13: .*odd groups; this one \(group 13\)/),
  );
  assert.equal(s.bus.leave(12), false, "what was refused was not joined");
});

test("a connector that opens only partly is closed", () => {
  const s = stage();
  s.bus.close();
  const { system } = s;
  for (const call of ["bind", "getsockname", "setsockopt", "getsockopt"] as const) {
    system.libc.answers(call, -ERRNO.ENOMEM!);
    assert.throws(() => openConnectorOn(system), /ENOMEM/);
    system.libc.assertAllClosed();
  }
});
