import assert from "node:assert/strict";
import { test } from "node:test";
import { messageJson, messageText } from "../../lib/cli/commands/bus/message.ts";
import { busJson, busText } from "../../lib/cli/commands/bus/bus.ts";
import { TimeText } from "../../lib/cli/io/time.ts";
import { run } from "../../lib/cli/program.ts";
import type { ReceivedMessage } from "../../mod.ts";
import { bytes, whole } from "./support.ts";

async function say(...args: string[]): Promise<{ status: number; out: string; error: string }> {
  let [out, error] = ["", ""];
  const status = await run(args, { out: (text) => out += text, error: (text) => error += text });
  return { status, out, error };
}

function message(of: Partial<ReceivedMessage>): ReceivedMessage {
  return {
    type: "message",
    from: { port: 7, group: 20, credentials: undefined },
    ...whole(of),
    ...of,
  } as ReceivedMessage;
}

test("wrong arguments of listen, send, request and bus are refused with status 2", async () => {
  const cases: readonly (readonly [string[], RegExp])[] = [
    [["listen"], /missing required argument 'IDX\[:VAL\]'/],
    [["listen", "0"], /whole number from 1 to 32/],
    [["listen", "33"], /whole number from 1 to 32/],
    [["listen", "20:1:1"], /must be IDX or IDX:VAL/],
    [["listen", "20:4294967296"], /from 0 to 4294967295/],
    [["listen", "20", "--trust", "nobody"], /Allowed choices are auto, kernel, anyone/],
    [["listen", "20", "--count", "0"], /whole number above 0/],
    [["listen", "20", "--seconds", "0"], /number above 0/],
    [["listen", "20", "--jsn"], /unknown option '--jsn'\n\(Did you mean --json\?\)/],
    [["send"], /missing required argument 'IDX:VAL'/],
    [["send", "20"], /must be IDX:VAL/],
    [["send", "20:-1"], /unknown option|from 0 to 4294967295/],
    [["send", "20:1", "text", "more"], /too many arguments/],
    [["send", "20:1", "text", "--hex", "00"], /payload as text or with --hex, not both/],
    [["send", "20:1", "text", "--file", "/dev/null"], /payload as text or with --file, not both/],
    [["send", "20:1", "--hex", "0"], /pairs of hexadecimal digits/],
    [["send", "20:1", "--hex", "zz"], /pairs of hexadecimal digits/],
    [["send", "20:1", "--hex", "00", "--file", "x"], /cannot be used with option/],
    [["send", "20:1", "--port", "1", "--group", "2"], /cannot be used with option/],
    [["send", "20:1", "--kernel", "--port", "1"], /cannot be used with option/],
    [["send", "20:1", "--group", "33"], /whole number from 1 to 32/],
    [["send", "20:1", "--flags", "65536"], /from 0 to 65535/],
    [["send", "20:1", "--seq", "-1"], /from 0 to 4294967295/],
    [["request", "20:1", "--timeout", "x"], /number above 0/],
    [["request", "20:1", "--retries", "1001"], /from 0 to 1000/],
    [["request", "20:1", "--count", "2"], /--count requires --all/],
    [["request", "20:1", "--json", "--raw"], /cannot be used with option/],
    [["bus", "all"], /too many arguments/],
  ];
  for (const [args, expected] of cases) {
    const { status, out, error } = await say(...args);
    assert.deepEqual([args, status, out], [args, 2, ""], error);
    assert.match(error, expected);
  }
});

test("each command has help", async () => {
  for (const command of ["bus", "listen", "send", "request"]) {
    const { status, out } = await say("help", command);
    assert.equal(status, 0);
    assert.match(out, new RegExp(`^Usage: cnctl ${command} `));
  }
});

test("messageText() prints a header line and every byte, safe for a terminal", () => {
  const from = { port: 4294967290, group: 20, credentials: { pid: 42, uid: 1000, gid: 100 } };
  const data = new TextEncoder().encode("\x1b[2Jhello, world!\0\xff");
  const text = messageText(
    message({ id: { idx: 20, val: 7 }, seq: 5, ack: 6, flags: 0xab, data, from }),
    0,
    new TimeText(),
  );
  assert.match(
    text,
    /^\S+ 20:7 from port 4294967290 \(pid 42, uid 1000\) to group 20, seq 5 ack 6 flags 0xab, 20 bytes\n/,
  );
  assert.match(
    text,
    /\n {2}0000 {2}1b 5b 32 4a 68 65 .* {2}\.\[2Jhello, world\n {2}0010 {2}21 00 c3 bf {38}!\.\.\.\n$/,
  );
  const empty = messageText(
    message({ from: { port: 0, group: 0, credentials: undefined } }),
    0,
    new TimeText(),
  );
  assert.match(empty, /^\S+ 20:1 from kernel, seq 1 ack 2, 0 bytes\n$/);
});

test("messageText() decodes known protocols, but not malformed messages", () => {
  const kernel = { port: 0, group: 3, credentials: undefined };
  const added = bytes(2, 0, 0, 0, 1, 0, 0, 0, 0, 0, 0, 0); // w1: MASTER_ADD of bus master 1
  const w1 = messageText(message({ id: { idx: 3, val: 1 }, data: added, from: kernel }), 0, new TimeText());
  assert.match(w1, /\n {2}w1 \{.*\}\n/);
  const broken = messageText(
    message({ id: { idx: 3, val: 1 }, data: bytes(2), from: kernel }),
    0,
    new TimeText(),
  );
  assert.doesNotMatch(broken, /w1/);
  const exit = new Uint8Array(40);
  const view = new DataView(exit.buffer);
  view.setUint32(0, 0x8000_0000, new Uint8Array(new Uint16Array([1]).buffer)[0] === 1);
  const json = JSON.parse(
    messageJson(message({ id: { idx: 1, val: 1 }, data: exit, from: kernel }), 0, new TimeText()),
  );
  assert.deepEqual([json.protocol, json.content.type, json.content.timestampNs], ["proc", "exit", "0"]);
});

test("messageJson() is one line for any message", () => {
  const line = messageJson(message({ seq: 5, data: bytes(0, 10, 255) }), 0, new TimeText());
  assert.equal(line.indexOf("\n"), line.length - 1);
  assert.deepEqual(JSON.parse(line), {
    time: "1970-01-01T00:00:00.000Z",
    type: "message",
    id: { idx: 20, val: 1 },
    seq: 5,
    ack: 2,
    flags: 0,
    from: { port: 7, group: 20, pid: null, uid: null, gid: null },
    data: "000aff",
    protocol: null,
    content: null,
  });
});

test("busText() and busJson() list identifiers and sockets, safe for a terminal", () => {
  const snapshot = {
    identifiers: [{ id: { idx: 3, val: 1 }, name: "w1" }, { id: { idx: 8, val: 1 }, name: "cn_drbd" }, {
      id: { idx: 20, val: 1 },
      name: "\x1bevil",
    }],
    sockets: [
      { port: 0, groups: [], receiveBytes: 0, drops: 0, inode: 1, owners: [] },
      {
        port: 42,
        groups: [1, 12],
        receiveBytes: 768,
        drops: 3,
        inode: 2,
        owners: [{ pid: 42, comm: "a\nb" }],
      },
      { port: 43, groups: [31], receiveBytes: 0, drops: 0, inode: 3, owners: [] },
    ],
  };
  const text = busText(snapshot);
  assert.match(text, /^ {2}3:1 +w1 +1-wire buses/m);
  assert.match(text, /^ {2}8:1 +cn_drbd +Configuration of DRBD 8\.3/m);
  assert.match(text, /^ {2}20:1 +\\x1bevil$/m);
  assert.match(text, /^ +0 +0 +0 - +the kernel$/m);
  assert.match(text, /^ +42 +768 +3 1,12 +42 a\\nb$/m);
  assert.match(text, /^ +43 +0 +0 31 +\?$/m);
  // deno-lint-ignore no-control-regex
  assert.doesNotMatch(text, /\x1b/);
  assert.deepEqual(JSON.parse(busJson(snapshot)), snapshot);
  assert.match(busText({ ...snapshot, identifiers: undefined }), /^The kernel's identifiers are not visible/);
  assert.equal(JSON.parse(busJson({ ...snapshot, identifiers: undefined })).identifiers, null);
});
