import assert from "node:assert/strict";
import { test } from "node:test";
import fc from "fast-check";
import { decodeCnMsgs, isStray } from "../../lib/connector/message.ts";
import { DecodeError } from "../../lib/errors/decode_error.ts";
import { viewOf } from "../../lib/wire/bytes.ts";
import {
  CN_W1_IDX,
  CN_W1_VAL,
  W1_CMD_READ,
  W1_CMD_RESET,
  W1_CMD_SEARCH,
  W1_CMD_WRITE,
  W1_CN_BUNDLE,
  W1_LIST_MASTERS,
  W1_MASTER_CMD,
  W1_SLAVE_CMD,
  W1_SLAVE_REMOVE,
} from "../../lib/protocols/w1/constants.ts";
import {
  crc8,
  decodeMasterIds,
  decodeSlaveIds,
  decodeW1Commands,
  decodeW1Event,
  decodeW1Messages,
  encodeW1Commands,
  encodeW1Messages,
  formatSlaveId,
  isValidSlaveId,
  masterIdBytes,
  masterIdOf,
  parseSlaveId,
  W1_NETLINK_CMD,
  W1_NETLINK_MSG,
} from "../../lib/protocols/w1/message.ts";
import { w1 } from "../../lib/protocols/w1/protocol.ts";
import { compareWithC, whyNoC } from "./vectors/c_program.ts";
import { decodeAmidPoison, plain } from "./vectors/poison.ts";
import * as vectors from "./vectors/w1.ts";

const none = new Uint8Array();

test("decodeW1Messages() reads a list of masters", () => {
  const [message] = decodeW1Messages(vectors.listMastersReply);
  assert.equal(message!.type, W1_LIST_MASTERS);
  assert.equal(message!.status, 0);
  assert.deepEqual(decodeMasterIds(message!.data), [1]);
  assert.deepEqual(decodeMasterIds(decodeW1Messages(vectors.noMastersReply)[0]!.data), []);
});

test("decodeW1Messages() reads the reply to a search", () => {
  const [message, ...others] = decodeW1Messages(vectors.searchReply);
  assert.equal(others.length, 0);
  assert.equal(message!.type, W1_MASTER_CMD);
  assert.equal(masterIdOf(message!), 1);
  const [command] = decodeW1Commands(message!.data);
  assert.equal(command!.cmd, W1_CMD_SEARCH);
  assert.deepEqual(decodeSlaveIds(command!.data), ["28-0000deadbe02", "28-0000deadbe01", "01-000012345678"]);
});

test("decodeW1Messages() reads a bundle: three cn_msg, two messages in the first", () => {
  const bytes = vectors.bundleReplyDatagram;
  const messages = decodeCnMsgs(viewOf(bytes), 0, bytes.length);
  assert.deepEqual(messages.map(({ seq, ack, flags }) => [seq, ack, flags]), [
    [106, 0, W1_CN_BUNDLE],
    [106, 107, W1_CN_BUNDLE],
    [106, 0, W1_CN_BUNDLE],
  ]);
  const commands = messages.map((message) =>
    decodeW1Messages(message.data).flatMap(({ data }) => decodeW1Commands(data)).map(({ cmd }) => cmd)
  );
  assert.deepEqual(commands, [[W1_CMD_RESET, W1_CMD_WRITE], [W1_CMD_READ], [W1_CMD_READ]]);
  const { data } = decodeW1Commands(decodeW1Messages(messages[1]!.data)[0]!.data)[0]!;
  assert.equal(crc8(data), 0);
  assert.equal((data[0]! | (data[1]! << 8)) / 16, 25.0625);
});

test("decodeW1Messages() reads the kernel's refusals", () => {
  assert.equal(decodeW1Messages(vectors.unknownSlaveReply)[0]!.status, 19);
  const master = decodeW1Messages(vectors.unknownMasterReply)[0]!;
  assert.deepEqual([master.status, masterIdOf(master), master.data.length], [19, 99, 0]);
  const command = decodeW1Messages(vectors.unknownCommandReply)[0]!;
  assert.deepEqual([command.status, decodeW1Commands(command.data)[0]!.cmd], [22, 77]);
});

test("decodeW1Event() reads added masters and slaves, and nothing else", () => {
  assert.deepEqual(decodeW1Event(decodeW1Messages(vectors.masterAddEvent)[0]!), {
    type: "master_add",
    master: 1,
  });
  const [added] = decodeW1Messages(vectors.slaveAddEvent);
  assert.deepEqual(decodeW1Event(added!), { type: "slave_add", slave: "28-0000deadbe02" });
  const removed = { ...added!, type: W1_SLAVE_REMOVE };
  assert.deepEqual(decodeW1Event(removed), { type: "slave_remove", slave: "28-0000deadbe02" });
  assert.equal(decodeW1Event(decodeW1Messages(vectors.searchReply)[0]!), undefined);
});

test("encodeW1Messages() writes the captured requests", () => {
  const id = masterIdBytes(1);
  const list = { type: W1_LIST_MASTERS, status: 0, id: new Uint8Array(8), data: none };
  const search = encodeW1Commands([{ cmd: W1_CMD_SEARCH, res: 0, data: none }]);
  const searchMessage = { type: W1_MASTER_CMD, status: 0, id, data: search };
  assert.deepEqual(encodeW1Messages([list]), vectors.listMastersRequest);
  assert.deepEqual(encodeW1Messages([searchMessage]), vectors.searchRequest);
  assert.deepEqual(encodeW1Messages([list, searchMessage]), vectors.twoMessagesRequest);
  const transaction = encodeW1Commands([
    { cmd: W1_CMD_RESET, res: 0, data: none },
    { cmd: W1_CMD_WRITE, res: 0, data: Uint8Array.of(0xcc, 0xbe) },
    { cmd: W1_CMD_READ, res: 0, data: new Uint8Array(9) },
  ]);
  const bytes = encodeW1Messages([{ type: W1_MASTER_CMD, status: 0, id, data: transaction }]);
  assert.deepEqual(bytes, vectors.transactionRequest);
  const slave = encodeW1Commands([
    { cmd: W1_CMD_WRITE, res: 0, data: Uint8Array.of(0xbe) },
    { cmd: W1_CMD_READ, res: 0, data: new Uint8Array(9) },
  ]);
  const slaveId = parseSlaveId("28-0000deadbe01");
  const slaveMessage = { type: W1_SLAVE_CMD, status: 0, id: slaveId, data: slave };
  assert.deepEqual(encodeW1Messages([slaveMessage]), vectors.slaveRequest);
});

test("isStray() recognizes the driver's empty message, and no other", () => {
  const stray = decodeCnMsgs(viewOf(vectors.strayDatagram), 0, vectors.strayDatagram.length);
  assert.deepEqual(stray.map(isStray), [true]);
  const bundle = decodeCnMsgs(viewOf(vectors.bundleReplyDatagram), 0, vectors.bundleReplyDatagram.length);
  assert.deepEqual(bundle.map(isStray), [false, false, false]);
});

test("formatSlaveId() and parseSlaveId() agree with sysfs and with the CRC of real slaves", () => {
  for (
    const [text, crc] of [["28-0000deadbe01", 0x1d], ["28-0000deadbe02", 0x44], [
      "01-000012345678",
      0x4e,
    ]] as const
  ) {
    const id = parseSlaveId(text);
    assert.equal(id[7], crc);
    assert.equal(isValidSlaveId(id), true);
    assert.equal(formatSlaveId(id), text);
    id[7] = crc ^ 1;
    assert.equal(isValidSlaveId(id), false);
  }
  for (const text of ["", "28", "28-0000deadbe0", "28-0000deadbe012", "28.0000deadbe01", "2g-0000deadbe01"]) {
    assert.throws(() => parseSlaveId(text), TypeError);
  }
  assert.throws(() => formatSlaveId(new Uint8Array(7)), DecodeError);
});

test("crc8() detects every changed bit in a slave's number", () => {
  const id = parseSlaveId("28-0000deadbe01");
  for (let bit = 0; bit < 64; bit++) {
    const changed = id.slice();
    changed[bit >> 3]! ^= 1 << (bit & 7);
    assert.equal(isValidSlaveId(changed), false);
  }
});

test("decodeW1Messages() and decodeW1Commands() reject truncated data", () => {
  const whole = vectors.searchReply;
  for (let length = 1; length < whole.length; length++) {
    assert.throws(() => decodeW1Messages(whole.subarray(0, length)), DecodeError);
  }
  assert.throws(() => decodeW1Commands(Uint8Array.of(0, 0, 1, 0)), DecodeError);
  assert.throws(() => decodeMasterIds(new Uint8Array(5)), DecodeError);
  assert.throws(() => decodeSlaveIds(new Uint8Array(9)), DecodeError);
});

test("encodeW1Messages() rejects what does not fit", () => {
  const data = new Uint8Array(0x10000);
  assert.throws(() => encodeW1Commands([{ cmd: W1_CMD_WRITE, res: 0, data }]), RangeError);
  assert.throws(() => encodeW1Messages([{ type: 4, status: 0, id: new Uint8Array(8), data }]), RangeError);
  assert.throws(
    () => encodeW1Messages([{ type: 4, status: 0, id: new Uint8Array(7), data: none }]),
    RangeError,
  );
});

const byte = fc.nat(255);
const messages = fc.array(fc.record({
  type: byte,
  status: byte,
  id: fc.uint8Array({ minLength: 8, maxLength: 8 }),
  data: fc.uint8Array({ maxLength: 60 }),
}));
const commands = fc.array(fc.record({ cmd: byte, res: byte, data: fc.uint8Array({ maxLength: 60 }) }));

test("decodeW1Messages() reverses encodeW1Messages()", () => {
  fc.assert(fc.property(messages, (all) => {
    assert.deepEqual(plain(decodeAmidPoison(decodeW1Messages, encodeW1Messages(all))), plain(all));
  }));
  fc.assert(fc.property(commands, (all) => {
    assert.deepEqual(plain(decodeAmidPoison(decodeW1Commands, encodeW1Commands(all))), plain(all));
  }));
  fc.assert(fc.property(fc.uint8Array({ minLength: 7, maxLength: 7 }), (bytes) => {
    const id = Uint8Array.of(...bytes, crc8(bytes));
    assert.deepEqual([...parseSlaveId(formatSlaveId(id))], [...id]);
  }));
});

test("decoders of arbitrary bytes throw DecodeError only, and read nothing outside", () => {
  const id = { idx: CN_W1_IDX, val: CN_W1_VAL };
  const describe = (data: Uint8Array) => w1.describe({ id, seq: 0, ack: 0, flags: 0, data }, "kernel");
  for (const decode of [decodeW1Messages, decodeW1Commands, decodeMasterIds, decodeSlaveIds, describe]) {
    fc.assert(fc.property(fc.uint8Array({ maxLength: 80 }), (bytes) => {
      decodeAmidPoison<unknown>(decode, bytes);
    }));
  }
});

test("w1.describe() names commands, slaves and events", () => {
  const message = { id: w1.id, seq: 0, ack: 0, flags: W1_CN_BUNDLE, data: vectors.searchReply };
  const slaves = ["28-0000deadbe02", "28-0000deadbe01", "01-000012345678"];
  const search = { type: "master_cmd", master: 1, commands: [{ command: "search", slaves }] };
  assert.deepEqual(w1.describe(message, "kernel"), { bundle: true, messages: [search] });
  const event = { ...message, flags: 0, data: vectors.slaveAddEvent };
  assert.deepEqual(w1.describe(event, "kernel"), {
    messages: [{ type: "slave_add", slave: "28-0000deadbe02" }],
  });
});

// w1_netlink.h is not a uapi header, so its structures are copied here.
const STRUCTURES = `
#include <linux/connector.h>
struct w1_netlink_msg {
  __u8 type;
  __u8 status;
  __u16 len;
  union {
    __u8 id[8];
    struct w1_mst { __u32 id; __u32 res; } mst;
  } id;
  __u8 data[];
};
struct w1_netlink_cmd {
  __u8 cmd;
  __u8 res;
  __u16 len;
  __u8 data[];
};
_Static_assert(CN_W1_IDX == ${CN_W1_IDX} && CN_W1_VAL == ${CN_W1_VAL}, "identifier");
`;

test("offsets match a C compiler", { skip: whyNoC(["linux/connector.h"]) }, () => {
  compareWithC(STRUCTURES, [
    {
      struct: "struct w1_netlink_msg",
      ours: W1_NETLINK_MSG,
      spelled: { mst_id: "id.mst.id", mst_res: "id.mst.res" },
      sizeAt: "data",
    },
    { struct: "struct w1_netlink_cmd", ours: W1_NETLINK_CMD, sizeAt: "data" },
  ]);
});
