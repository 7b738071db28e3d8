import assert from "node:assert/strict";
import { spawnSync } from "node:child_process";
import { constants } from "node:os";
import { test } from "node:test";
import fc from "fast-check";
import { decodeCnMsg } from "../../lib/connector/message.ts";
import { DecodeError } from "../../lib/errors/decode_error.ts";
import { decodeNlmsghdr } from "../support/nlmsghdr.ts";
import {
  PROC_CN_MCAST_IGNORE,
  PROC_CN_MCAST_LISTEN,
  PROC_EVENT_ALL,
  PROC_EVENT_NONE,
  PROC_EVENT_NONZERO_EXIT,
  PROCESS_EVENT_TYPES,
} from "../../lib/processes/constants.ts";
import type { KernelProcessEvent } from "../../lib/processes/event.ts";
import {
  decodeProcEvent,
  encodeProcInput,
  EVENT_DATA,
  PROC_EVENT,
  PROC_INPUT,
  type ProcAck,
} from "../../lib/processes/codec.ts";
import { signalName } from "../../lib/processes/signals.ts";
import { viewOf } from "../../lib/wire/bytes.ts";
import { compareWithC, runC, whyNoC } from "../protocols/vectors/c_program.ts";
import { decodeAmidPoison, plain } from "../protocols/vectors/poison.ts";
import * as vectors from "./vectors.ts";

/** Where a `struct proc_event` begins in a datagram. */
const EVENT_AT = 36;

type Decoded = KernelProcessEvent | ProcAck;

/** Decodes a `struct proc_event`. */
function decode(bytes: Uint8Array): Decoded {
  return decodeProcEvent(viewOf(bytes), 0, bytes.length, 5);
}

/** Decodes a captured datagram from its first byte, as a receiver does. */
function decodeDatagram(bytes: Uint8Array): Decoded {
  const view = viewOf(bytes);
  const header = decodeNlmsghdr(view, 0, bytes.length);
  const message = decodeCnMsg(view, 16, header.len);
  return decodeProcEvent(view, EVENT_AT, EVENT_AT + message.data.length, message.seq);
}

const common = { cpu: 0 };

/** What each captured datagram says. */
const EXPECTED: Readonly<Record<keyof typeof vectors, Decoded>> = {
  acknowledgement: { type: "ack", ...common, seq: 231_761_279, timestampNs: 4_655_627_732_887n, errno: 0 },
  otherProcessor: { type: "ack", cpu: 1, seq: 246_659_294, timestampNs: 4_657_029_169_479n, errno: 0 },
  fork: {
    type: "fork",
    ...common,
    seq: 231_761_280,
    timestampNs: 4_655_632_260_849n,
    parentPid: 18253,
    parentTid: 18253,
    pid: 18299,
    tid: 18299,
    thread: false,
  },
  forkThread: {
    type: "fork",
    ...common,
    seq: 231_761_283,
    timestampNs: 4_655_639_442_538n,
    parentPid: 18253,
    parentTid: 18253,
    pid: 18299,
    tid: 18300,
    thread: true,
  },
  exec: {
    type: "exec",
    ...common,
    seq: 231_761_289,
    timestampNs: 4_655_645_281_670n,
    pid: 18299,
    tid: 18299,
  },
  uid: {
    type: "uid",
    ...common,
    seq: 231_761_286,
    timestampNs: 4_655_644_489_050n,
    pid: 18299,
    tid: 18300,
    realUid: 1000,
    effectiveUid: 1001,
  },
  gid: {
    type: "gid",
    ...common,
    seq: 231_761_285,
    timestampNs: 4_655_644_442_289n,
    pid: 18299,
    tid: 18299,
    realGid: 100,
    effectiveGid: 101,
  },
  sid: { type: "sid", ...common, seq: 231_761_281, timestampNs: 4_655_637_365_388n, pid: 18299, tid: 18299 },
  comm: {
    type: "comm",
    ...common,
    seq: 231_761_282,
    timestampNs: 4_655_638_594_995n,
    pid: 18299,
    tid: 18299,
    comm: 'naéme \\n"',
  },
  ptrace: {
    type: "ptrace",
    ...common,
    seq: 231_761_297,
    timestampNs: 4_655_654_954_332n,
    pid: 18302,
    tid: 18302,
    tracerPid: 18253,
    tracerTid: 18253,
  },
  ptraceDetach: {
    type: "ptrace",
    ...common,
    seq: 231_761_301,
    timestampNs: 4_655_705_678_024n,
    pid: 18302,
    tid: 18302,
    tracerPid: 0,
    tracerTid: 0,
  },
  coredump: {
    type: "coredump",
    ...common,
    seq: 231_761_294,
    timestampNs: 4_655_651_338_239n,
    pid: 18301,
    tid: 18301,
    parentPid: 18253,
    parentTid: 18253,
  },
  exit: {
    type: "exit",
    ...common,
    seq: 231_761_292,
    timestampNs: 4_655_645_930_425n,
    pid: 18299,
    tid: 18299,
    status: 768,
    exitCode: 3,
    signal: null,
    coreDumped: false,
    exitSignal: 17,
    parentPid: 18253,
    parentTid: 18253,
    thread: false,
  },
  exitAborted: {
    type: "exit",
    ...common,
    seq: 231_761_295,
    timestampNs: 4_655_651_909_848n,
    pid: 18301,
    tid: 18301,
    status: 6,
    exitCode: null,
    signal: "SIGABRT",
    coreDumped: false,
    exitSignal: 17,
    parentPid: 18253,
    parentTid: 18253,
    thread: false,
  },
  exitKilled: {
    type: "exit",
    ...common,
    seq: 231_761_302,
    timestampNs: 4_655_706_584_205n,
    pid: 18302,
    tid: 18302,
    status: 9,
    exitCode: null,
    signal: "SIGKILL",
    coreDumped: false,
    exitSignal: 17,
    parentPid: 18253,
    parentTid: 18253,
    thread: false,
  },
  exitThread: {
    type: "exit",
    ...common,
    seq: 231_761_288,
    timestampNs: 4_655_644_620_858n,
    pid: 18299,
    tid: 18300,
    status: 0,
    exitCode: 0,
    signal: null,
    coreDumped: false,
    exitSignal: 0xffff_ffff,
    parentPid: 0,
    parentTid: 0,
    thread: true,
  },
};

for (const [name, bytes] of Object.entries(vectors)) {
  test(`decodeProcEvent() reads a captured event: ${name}`, () => {
    assert.deepEqual(plain(decodeAmidPoison(decodeDatagram, bytes)), EXPECTED[name as keyof typeof vectors]);
  });
}

test("every kind that can be asked for was captured", () => {
  const captured = new Set(Object.values(EXPECTED).map(({ type }) => type));
  for (const kind of Object.keys(PROCESS_EVENT_TYPES)) assert(captured.has(kind as Decoded["type"]), kind);
});

/** The event of a captured datagram, without its headers. */
function eventOf(datagram: Uint8Array): Uint8Array<ArrayBuffer> {
  return new Uint8Array(datagram.slice(EVENT_AT));
}

test("decodeProcEvent() reads the 32 bytes of kernels before 3.2", () => {
  const old = eventOf(vectors.exit).slice(0, 32);
  const { timestampNs } = EXPECTED.exit;
  assert.deepEqual(decodeAmidPoison(decode, old), {
    ...EXPECTED.exit,
    timestampNs,
    seq: 5,
    parentPid: undefined,
    parentTid: undefined,
  });
  for (const name of ["fork", "exec", "uid", "gid", "sid", "ptrace", "acknowledgement"] as const) {
    const bytes = eventOf(vectors[name]).slice(0, 32);
    assert.deepEqual(decodeAmidPoison(decode, bytes), { ...EXPECTED[name], seq: 5 });
  }
});

test("decodeProcEvent() reads longer events of kernels to come", () => {
  for (const [name, bytes] of Object.entries(vectors)) {
    const longer = new Uint8Array(64).fill(0x5a);
    longer.set(eventOf(bytes));
    assert.deepEqual(decodeAmidPoison(decode, longer), { ...EXPECTED[name as keyof typeof vectors], seq: 5 });
  }
});

/** How many bytes each captured kind needs at the least. */
const NEEDED: Readonly<Record<string, number>> = {
  ack: 20,
  fork: 32,
  exec: 24,
  uid: 32,
  gid: 32,
  sid: 24,
  ptrace: 32,
  comm: 40,
  coredump: 24,
  exit: 32,
};

test("decodeProcEvent() rejects every length that is too short, and reads nothing outside", () => {
  for (const [name, bytes] of Object.entries(vectors)) {
    const event = eventOf(bytes);
    const { type } = EXPECTED[name as keyof typeof vectors];
    for (let length = 0; length <= event.length; length++) {
      const result = decodeAmidPoison(decode, event.subarray(0, length));
      if (length >= NEEDED[type]!) {
        assert(!(result instanceof DecodeError), `${name} of ${length} bytes`);
        continue;
      }
      assert(result instanceof DecodeError, `${name} of ${length} bytes`);
      assert.equal(result.structure, "proc_event");
      assert.equal(result.foundBytes, length);
      assert.equal(result.neededBytes, length < 16 ? 16 : NEEDED[type]);
    }
  }
});

test("decodeProcEvent() reads at any offset of any view", () => {
  for (let offset = 0; offset < 16; offset++) {
    for (let inside = 0; inside < 5; inside++) {
      const event = eventOf(vectors.comm);
      const buffer = new ArrayBuffer(128);
      new Uint8Array(buffer).fill(0xee).set(event, offset + inside);
      const view = new DataView(buffer, offset, inside + event.length);
      assert.deepEqual(decodeProcEvent(view, inside, inside + event.length, 5), { ...EXPECTED.comm, seq: 5 });
    }
  }
});

test("decodeProcEvent() reads names of other buffers in turn", () => {
  // It keeps hold of the last buffer that it saw.
  const one = eventOf(vectors.comm);
  const two = eventOf(vectors.comm);
  two.set([0x7a, 0x00], 24);
  for (let round = 0; round < 3; round++) {
    const [first, second] = [decode(one), decode(two)];
    assert(first.type === "comm" && first.comm === 'naéme \\n"');
    assert(second.type === "comm" && second.comm === "z");
  }
});

test("decodeProcEvent() reads a name of 16 bytes without a NUL, and one that is not UTF-8", () => {
  const bytes = eventOf(vectors.comm);
  bytes.fill(0x61, 24, 40);
  const full = decodeAmidPoison(decode, bytes) as Decoded;
  assert(full.type === "comm" && full.comm === "a".repeat(16));
  bytes.set([0xff, 0x1b, 0x00], 24);
  const broken = decodeAmidPoison(decode, bytes) as Decoded;
  assert(broken.type === "comm" && broken.comm === "\udcff\x1b");
});

test("an acknowledgement carries its error", () => {
  const bytes = eventOf(vectors.acknowledgement);
  viewOf(bytes).setUint32(16, 22, true);
  assert.deepEqual(decode(bytes), { ...EXPECTED.acknowledgement, seq: 5, errno: 22 });
});

test("an unknown kind is a value that holds its own copy of the bytes", () => {
  const known = [...Object.values(PROCESS_EVENT_TYPES), PROC_EVENT_NONE];
  fc.assert(
    fc.property(
      fc.oneof(fc.nat(0xffff_ffff), fc.nat(31).map((bit) => (1 << bit) >>> 0)).filter((what) =>
        !known.includes(what as 0)
      ),
      fc.uint8Array({ minLength: 12, maxLength: 60 }),
      (what, rest) => {
        const bytes = new Uint8Array(4 + rest.length);
        viewOf(bytes).setUint32(0, what, true);
        bytes.set(rest, 4);
        const event = decodeAmidPoison(decode, bytes) as Decoded;
        assert(event.type === "unknown");
        assert.equal(event.what, what);
        assert.deepEqual([...event.data], [...bytes]);
        assert.equal(event.data.byteLength, event.data.buffer.byteLength, "a copy, and no view of the ring");
        bytes.fill(0);
        assert.equal(event.data[0], what & 0xff);
      },
    ),
  );
  const nonzero = new Uint8Array(40);
  viewOf(nonzero).setUint32(0, PROC_EVENT_NONZERO_EXIT, true);
  assert.equal(decode(nonzero).type, "unknown", "a bit of the filter is no event");
});

/** The fields of the kernel's structure in its own order, for each kind; of "comm" only those that are words. */
const WORDS: Readonly<Record<string, readonly string[]>> = {
  fork: ["parentTid", "parentPid", "tid", "pid"],
  exec: ["tid", "pid"],
  uid: ["tid", "pid", "realUid", "effectiveUid"],
  gid: ["tid", "pid", "realGid", "effectiveGid"],
  sid: ["tid", "pid"],
  ptrace: ["tid", "pid", "tracerTid", "tracerPid"],
  comm: ["tid", "pid"],
  coredump: ["tid", "pid", "parentTid", "parentPid"],
  exit: ["tid", "pid", "status", "exitSignal", "parentTid", "parentPid"],
};

test("decodeProcEvent() puts every word where it belongs", () => {
  const u32 = fc.nat(0xffff_ffff);
  fc.assert(
    fc.property(
      fc.constantFrom(...Object.entries(PROCESS_EVENT_TYPES)),
      u32,
      u32,
      fc.bigInt({ min: 0n, max: (1n << 64n) - 1n }),
      fc.array(u32, { minLength: 6, maxLength: 6 }),
      ([kind, what], cpu, seq, timestampNs, words) => {
        const bytes = new Uint8Array(40);
        const view = viewOf(bytes);
        view.setUint32(0, what, true);
        view.setUint32(4, cpu, true);
        view.setBigUint64(8, timestampNs, true);
        for (const [i, word] of words.entries()) view.setUint32(16 + 4 * i, word, true);
        const event = decodeProcEvent(view, 0, 40, seq) as unknown as Record<string, unknown>;
        assert.deepEqual([event.type, event.cpu, event.seq, event.timestampNs], [
          kind,
          cpu,
          seq,
          timestampNs,
        ]);
        const names = WORDS[kind]!;
        assert.deepEqual(names.map((name) => event[name]), words.slice(0, names.length));
        if (kind === "fork") assert.equal(event.thread, words[2] !== words[3]);
        if (kind === "exit") assert.equal(event.thread, words[0] !== words[1]);
      },
    ),
    { numRuns: 1_000 },
  );
});

test("an exit's status is read as waitpid's macros do", { skip: whyNoC(["sys/wait.h"]) }, () => {
  const statuses = [0, 0x100, 0x300, 0xff00, 6, 9, 0x86, 0x8b, 11, 34, 64];
  const program = `#include <stdio.h>
#include <sys/wait.h>
int main(void) {
  int all[] = { ${statuses.join(", ")} };
  for (int i = 0; i < ${statuses.length}; i++) {
    int s = all[i];
    printf("%d %d %d\\n", WIFEXITED(s) ? WEXITSTATUS(s) : -1, WIFSIGNALED(s) ? WTERMSIG(s) : 0,
      WIFSIGNALED(s) && WCOREDUMP(s) ? 1 : 0);
  }
  return 0;
}
`;
  const rows = runC(program).trim().split("\n").map((line) => line.split(" ").map(Number));
  for (const [i, status] of statuses.entries()) {
    const bytes = eventOf(vectors.exit);
    viewOf(bytes).setUint32(24, status, true);
    const event = decode(bytes);
    assert(event.type === "exit");
    const [code, signal, core] = rows[i]!;
    assert.equal(event.exitCode, code === -1 ? null : code);
    assert.equal(event.signal, signal === 0 ? null : signalName(signal!));
    assert.equal(event.coreDumped, core === 1);
  }
});

test("signalName() has the names of this system", () => {
  const seen = new Set<number>();
  for (const [name, number] of Object.entries(constants.signals)) {
    // Some numbers have several names; the kernel's first one is ours.
    if (["SIGIOT", "SIGPOLL", "SIGUNUSED", "SIGCLD", "SIGLOST"].includes(name)) continue;
    if (number > 31) continue;
    assert.equal(signalName(number), name);
    seen.add(number);
  }
  assert(seen.size >= 30);
  for (const number of [32, 33, 65, 127]) assert.equal(signalName(number), `signal ${number}`);
});

test("signalName() counts real-time signals as bash does on glibc", () => {
  const numbers = Array.from({ length: 31 }, (_, i) => 34 + i);
  const names = numbers.map(signalName);
  assert.deepEqual(
    [34, 35, 37, 49, 50, 63, 64].map(signalName),
    ["SIGRTMIN", "SIGRTMIN+1", "SIGRTMIN+3", "SIGRTMIN+15", "SIGRTMAX-14", "SIGRTMAX-1", "SIGRTMAX"],
  );
  const bash = spawnSync("bash", ["-c", `kill -l ${numbers.join(" ")}`], { encoding: "utf8" });
  if (bash.status !== 0 || !bash.stdout.startsWith("RTMIN\n")) return; // no bash, or musl
  assert.deepEqual(names.map((name) => name.slice(3)), bash.stdout.trim().split("\n"));
});

test("encodeProcInput() writes both forms", () => {
  assert.deepEqual([...encodeProcInput(PROC_CN_MCAST_LISTEN)], [1, 0, 0, 0]);
  assert.deepEqual([...encodeProcInput(PROC_CN_MCAST_IGNORE)], [2, 0, 0, 0]);
  assert.deepEqual([...encodeProcInput(PROC_CN_MCAST_LISTEN, PROC_EVENT_ALL)], [
    1,
    0,
    0,
    0,
    0xc7,
    3,
    0,
    0xe0,
  ]);
  assert.deepEqual([...encodeProcInput(PROC_CN_MCAST_LISTEN, 0)], [1, 0, 0, 0, 0, 0, 0, 0]);
});

test("decodeProcEvent() of arbitrary bytes throws DecodeError only, and stays inside", () => {
  const what = fc.oneof(
    fc.constantFrom(...Object.values(PROCESS_EVENT_TYPES), 0),
    fc.nat(0xffff_ffff),
  );
  fc.assert(
    fc.property(what, fc.uint8Array({ maxLength: 60 }), (kind, bytes) => {
      if (bytes.length >= 4) viewOf(bytes).setUint32(0, kind, true);
      decodeAmidPoison(decode, bytes);
    }),
    { numRuns: 1_000 },
  );
});

test("offsets and numbers are those of a C compiler", { skip: whyNoC(["linux/cn_proc.h"]) }, () => {
  const kinds = Object.entries(PROCESS_EVENT_TYPES).map(([name, bit]) =>
    `_Static_assert((unsigned)PROC_EVENT_${name.toUpperCase()} == ${bit}u, "${name}");`
  );
  /** The offsets of one member of the union, with the names that C has for them. */
  const member = (
    name: string,
    fields: Readonly<Record<string, number>>,
    spelled: Readonly<Record<string, string>> = {},
  ): Parameters<typeof compareWithC>[1][number] => {
    const { SIZE: _size, FULL_SIZE: _full, ...ours } = fields;
    const names = Object.keys(ours).map((field) => [field, `event_data.${name}.${spelled[field] ?? field}`]);
    return { struct: "struct proc_event", ours, spelled: Object.fromEntries(names) };
  };
  const { SIZE: _size, FULL_SIZE: _full, ...input } = PROC_INPUT;
  compareWithC(
    `#include <linux/cn_proc.h>
${kinds.join("\n")}
_Static_assert(PROC_CN_MCAST_LISTEN == 1 && PROC_CN_MCAST_IGNORE == 2, "operations");
_Static_assert(sizeof(struct proc_event) == 40, "today's size");
`,
    [
      { struct: "struct proc_event", ours: PROC_EVENT },
      member("ack", EVENT_DATA.ack),
      member("fork", EVENT_DATA.fork),
      member("exec", EVENT_DATA.exec),
      member("id", EVENT_DATA.id, { r: "r.ruid", e: "e.euid" }),
      member("sid", EVENT_DATA.sid),
      member("ptrace", EVENT_DATA.ptrace),
      member("comm", EVENT_DATA.comm),
      member("coredump", EVENT_DATA.coredump),
      member("exit", EVENT_DATA.exit),
    ],
  );
  assert.deepEqual(input, { mcast_op: 0, event_type: 4 });
});
