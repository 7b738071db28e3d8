import assert from "node:assert/strict";
import { test } from "node:test";
import fc from "fast-check";
import { openSystem } from "../../lib/system.ts";
import { encodeDatagram } from "../../lib/connector/message.ts";
import { assemble, type BpfStep, disassemble, hostWord, MAX_STEPS } from "../../lib/netlink/bpf.ts";
import { NetlinkSocket } from "../../lib/netlink/socket.ts";
import { LITTLE, viewOf } from "../../lib/wire/bytes.ts";
import {
  PROC_EVENT_ALL,
  PROC_EVENT_NONE,
  PROCESS_EVENT_TYPES,
  type ProcessEventType,
} from "../../lib/processes/constants.ts";
import {
  type CheckedFilter,
  checkFilter,
  type EventFilter,
  kernelMask,
  MAX_BPF_PIDS,
  wanted,
  wantsType,
  withThreadLife,
} from "../../lib/processes/event_filter.ts";
import type { KernelProcessEvent } from "../../lib/processes/event.ts";
import {
  acceptAck,
  acceptComm,
  ackOnly,
  EVENT_AT,
  filterProgram,
  fitsProgram,
} from "../../lib/processes/bpf_filter.ts";
import { decodeProcEvent } from "../../lib/processes/codec.ts";
import { runBpf } from "./bpf_interpreter.ts";

const { libc } = await openSystem("test filters");

/** A whole datagram as the kernel sends it: what happened, and the `ack` of its message. */
function datagram(what: number, ack: number, length: number = 40): Uint8Array {
  const data = new Uint8Array(length);
  if (length >= 4) viewOf(data).setUint32(0, what, LITTLE);
  return encodeDatagram({ id: { idx: 1, val: 1 }, seq: 5, ack, flags: 0, data });
}

const u32 = fc.nat(0xffff_ffff);
const what = fc.oneof(
  fc.constantFrom(...Object.values(PROCESS_EVENT_TYPES), PROC_EVENT_NONE),
  fc.nat(31).map((bit) => (1 << bit) >>> 0),
  u32,
);

/** The program that keeps kinds by their bits. */
function kindsOnly(mask: number): BpfStep[] {
  return filterProgram({
    mask,
    failedOnly: false,
    pids: undefined,
    withoutThreads: false,
    threadLife: false,
  })!;
}

test("filterProgram() keeps the kinds that its mask holds, and nothing else", () => {
  fc.assert(
    fc.property(fc.oneof(what, u32), what, u32, (mask, kind, ack) => {
      const packet = datagram(kind, ack);
      const kept = runBpf(assemble(kindsOnly(mask)), packet);
      assert.equal(kept, (kind & mask) !== 0 ? packet.length : 0);
    }),
    { numRuns: 2_000 },
  );
});

/** Numbers that meet often: of processes, of threads, of statuses. */
const few = fc.oneof(fc.nat(5), fc.constantFrom(256, 65_536, 0x0100_0000, 4711));
const kinds = Object.keys(PROCESS_EVENT_TYPES) as ProcessEventType[];

const filters: fc.Arbitrary<CheckedFilter> = fc.record({
  events: fc.option(fc.subarray(kinds, { minLength: 1 }), { nil: undefined }),
  exits: fc.constantFrom("all" as const, "failed" as const, undefined),
  pids: fc.option(
    fc.oneof(
      fc.array(fc.integer({ min: 1, max: 6 }), { minLength: 1, maxLength: 4 }),
      fc.constant(Array.from({ length: MAX_BPF_PIDS }, (_, i) => i + 3)),
      fc.constant([4711, 256, 65_536, 0x0100_0000]),
    ),
    { nil: undefined },
  ),
  threads: fc.constantFrom(true, false, undefined),
}).map((filter: EventFilter) => checkFilter(filter, "test"));

/** An event of any single kind, known or not, with words of few values. */
const events = fc.tuple(
  fc.oneof(fc.constantFrom(...Object.values(PROCESS_EVENT_TYPES)), fc.nat(31).map((bit) => (1 << bit) >>> 0)),
  fc.array(few, { minLength: 6, maxLength: 6 }),
  fc.constantFrom(32, 40, 48),
).map(([kind, words, length]) => {
  const packet = datagram(kind, 0, kind === PROCESS_EVENT_TYPES.comm ? 40 : length);
  for (const [i, word] of words.entries()) {
    const at = EVENT_AT + 16 + i * 4;
    if (at + 4 <= packet.length) viewOf(packet).setUint32(at, word, LITTLE);
  }
  return packet;
});

/** What a filter that separates exits of processes from those of threads lets through. */
function received(filter: CheckedFilter, event: KernelProcessEvent): boolean {
  const { mask, pids } = filter;
  switch (event.type) {
    case "fork":
      if (!event.thread && !wantsType(filter, "fork")) return false;
      return pids === undefined || pids.has(event.parentPid) || pids.has(event.pid);
    case "exit":
    case "exec":
      return pids === undefined || pids.has(event.pid);
    default:
      return wanted({ ...filter, withoutThreads: filter.withoutThreads && mask !== undefined }, event);
  }
}

test("filterProgram() keeps the lives of threads where it takes them", () => {
  const counts = { kept: 0, dropped: 0 };
  fc.assert(
    fc.property(filters, fc.array(events, { minLength: 1, maxLength: 10 }), (filter, packets) => {
      const steps = filterProgram(withThreadLife(filter));
      const program = assemble(steps ?? [{ op: "accept" }]);
      for (const packet of packets) {
        const event = decodeProcEvent(viewOf(packet), EVENT_AT, packet.length, 0);
        assert(event.type !== "ack");
        const kept = runBpf(program, packet) > 0;
        assert.equal(kept, received(filter, event), JSON.stringify(event, (_, value) => String(value)));
        counts[kept ? "kept" : "dropped"]++;
      }
    }),
    { numRuns: 2_000 },
  );
  assert(counts.kept > 1000 && counts.dropped > 1000, JSON.stringify(counts));
});

test("filterProgram() keeps what wanted() wants, and no acknowledgement", () => {
  let kept = 0;
  let dropped = 0;
  fc.assert(
    fc.property(filters, fc.array(events, { minLength: 1, maxLength: 10 }), (filter, packets) => {
      const steps = filterProgram(filter);
      assert.equal(
        steps === undefined,
        filter.mask === undefined && !filter.failedOnly && filter.pids === undefined &&
          !filter.withoutThreads,
      );
      if (steps === undefined) return;
      const program = assemble(steps);
      for (const packet of packets) {
        const event = decodeProcEvent(viewOf(packet), EVENT_AT, packet.length, 0);
        assert(event.type !== "ack");
        const result = runBpf(program, packet);
        assert.equal(result, wanted(filter, event) ? packet.length : 0, JSON.stringify(event.type));
        if (result === 0) dropped++;
        else kept++;
      }
      assert.equal(runBpf(program, datagram(PROC_EVENT_NONE, 0)), 0);
    }),
    { numRuns: 3_000 },
  );
  assert(kept > 500 && dropped > 500, `${kept} kept, ${dropped} dropped`);
});

test("filterProgram() leaves more pids than fit to others, and keeps what they may want", () => {
  const pids = Array.from({ length: MAX_BPF_PIDS + 1 }, (_, i) => i + 1);
  const long = checkFilter({ events: ["exit"], pids }, "test");
  assert.equal(fitsProgram(long), false);
  assert.equal(fitsProgram(checkFilter({ pids: pids.slice(1) }, "test")), true);
  assert.equal(runBpf(assemble(filterProgram(long)!), datagram(PROCESS_EVENT_TYPES.exit, 0)), 76);
  assert.equal(filterProgram(checkFilter({ pids }, "test")), undefined);
});

test("kernelMask() lets through all that is wanted", () => {
  // The kernel's rule, drivers/connector/cn_proc.c: an exit whose status is not 0 passes by either bit, and a mask
  // without any known kind is one of all.
  const known = PROC_EVENT_ALL;
  fc.assert(
    fc.property(filters, events, (filter, packet) => {
      const event = decodeProcEvent(viewOf(packet), EVENT_AT, packet.length, 0);
      const mask = kernelMask(filter);
      if (mask === undefined || event.type === "ack" || event.type === "unknown") return;
      const kind = PROCESS_EVENT_TYPES[event.type];
      const failed = event.type === "exit" && event.status !== 0;
      const passes = (mask & known) === 0 || (kind & mask) !== 0 || (failed && (mask & 0x2000_0000) !== 0);
      if (wanted(filter, event)) assert(passes, event.type);
      const byKind = filter.mask === undefined || (kind & filter.mask) !== 0;
      const byExit = !filter.failedOnly || event.type !== "exit" || failed;
      assert.equal(passes, byKind && byExit, `${event.type}: no more and no less than these two parts`);
    }),
    { numRuns: 3_000 },
  );
});

test("acceptAck() and acceptComm() let their message through before a filter, and nothing else", () => {
  fc.assert(
    fc.property(u32, few, filters, fc.oneof(events, fc.tuple(what, u32).map(([w, a]) => datagram(w, a))), (
      ack,
      pid,
      filter,
      packet,
    ) => {
      const own = filterProgram(filter) ?? [{ op: "drop" }];
      const view = viewOf(packet);
      const kind = view.getUint32(EVENT_AT, LITTLE);
      const isAck = kind === PROC_EVENT_NONE && view.getUint32(28, LITTLE) === ack;
      const isComm = kind === PROCESS_EVENT_TYPES.comm && view.getUint32(EVENT_AT + 20, LITTLE) === pid;
      const plain = runBpf(assemble(own), packet);
      assert.equal(runBpf(assemble([...acceptAck(ack), ...own]), packet), isAck ? packet.length : plain);
      assert.equal(runBpf(assemble([...acceptComm(pid), ...own]), packet), isComm ? packet.length : plain);
    }),
    { numRuns: 1_000 },
  );
});

test("ackOnly() keeps the acknowledgement with its number, and nothing else", () => {
  fc.assert(
    fc.property(u32, what, fc.option(u32), (ack, kind, other) => {
      const number = other ?? ack;
      const packet = datagram(kind, number);
      const kept = runBpf(assemble(ackOnly(ack)), packet);
      assert.equal(kept, kind === PROC_EVENT_NONE && number === ack ? packet.length : 0);
    }),
    { numRuns: 2_000 },
  );
});

test("both filters drop datagrams that are too short to tell", () => {
  const whole = datagram(0, 7);
  for (let length = 0; length <= whole.length; length++) {
    const packet = whole.subarray(0, length);
    assert.equal(runBpf(assemble(ackOnly(7)), packet), length >= EVENT_AT + 4 ? length : 0);
    const fork = datagram(1, 7).subarray(0, length);
    assert.equal(runBpf(assemble(kindsOnly(1)), fork), length >= EVENT_AT + 4 ? length : 0);
  }
});

test("checkFilter() adds up the kinds, and refuses what it does not know", () => {
  assert.equal(checkFilter({}, "test").mask, undefined);
  fc.assert(fc.property(fc.subarray(kinds, { minLength: 1 }), (some) => {
    const mask = checkFilter({ events: some }, "test").mask!;
    for (const kind of kinds) {
      assert.equal((mask & PROCESS_EVENT_TYPES[kind]) !== 0, some.includes(kind));
    }
    assert(mask >= 0 && mask <= PROC_EVENT_ALL);
  }));
  assert.throws(() => checkFilter({ events: [] }, "test"), TypeError);
  const events = (name: string): EventFilter => ({ events: [name as ProcessEventType] });
  assert.throws(() => checkFilter(events("forks"), "test"), /no event "forks"; there are fork, exec,/);
  for (const inherited of ["constructor", "toString", "__proto__"]) {
    assert.throws(() => checkFilter(events(inherited), "test"), /Cannot test: there is no event/, inherited);
    const among = { events: ["fork", inherited as ProcessEventType] } as const;
    assert.throws(() => checkFilter(among, "test"), /Cannot test: there is no event/, inherited);
  }
  for (const pid of [0, -1, 1.5, 2 ** 31, NaN]) {
    assert.throws(() => checkFilter({ pids: [pid] }, "test"), /is no process id/);
  }
  assert.throws(() => checkFilter({ exits: "bad" as "all" }, "test"), /exits must be "all" or "failed"/);
});

test("hostWord() is what a load in the order of the network gives", () => {
  fc.assert(fc.property(u32, (value) => {
    const bytes = viewOf(new Uint8Array(4));
    bytes.setUint32(0, value, LITTLE);
    assert.equal(hostWord(value), bytes.getUint32(0, false));
    assert.equal(hostWord(hostWord(value)), value);
    assert.equal(hostWord(value | 0), hostWord(value), "also of a signed number");
  }));
});

/** A program that knows only steps forward: each jump names a label behind it, and the last step returns. */
const programs: fc.Arbitrary<BpfStep[]> = fc.array(
  fc.record({
    op: fc.constantFrom("load", "loadLength", "jumpIf", "jumpIfKept", "keep", "jump", "accept", "drop"),
    offset: fc.nat(60),
    test: fc.constantFrom("==", ">", ">=", "&"),
    value: fc.oneof(fc.nat(80), fc.nat(0xffff_ffff)),
    ahead: fc.nat(12),
  }),
  { minLength: 1, maxLength: 40 },
).map((rows) =>
  rows.flatMap(({ op, offset, test, value, ahead }, i): BpfStep[] => {
    const to = `step ${Math.min(i + 1 + ahead, rows.length)}`;
    const label: BpfStep = { op: "label", name: `step ${i}` };
    if (op === "load") return [label, { op, offset }];
    if (op === "jumpIf") return [label, { op, test, value, to } as BpfStep];
    if (op === "jump" || op === "jumpIfKept") return [label, { op, to }];
    return [label, { op } as BpfStep];
  }).concat([{ op: "label", name: `step ${rows.length}` }, { op: "accept" }])
);

/** What a program means, straight from its steps and without any code. */
function evaluate(steps: readonly BpfStep[], packet: Uint8Array): number {
  let word = 0;
  let kept = 0;
  for (let at = 0; at < steps.length; at++) {
    const step = steps[at]!;
    const go = (to: string): number => steps.findIndex((other) => other.op === "label" && other.name === to);
    if (step.op === "load") {
      if (step.offset + 4 > packet.length) return 0;
      word = viewOf(packet).getUint32(step.offset, false);
    } else if (step.op === "loadLength") word = packet.length;
    else if (step.op === "keep") kept = word;
    else if (step.op === "jump") at = go(step.to);
    else if (step.op === "jumpIfKept") {
      if (word === kept) at = go(step.to);
    } else if (step.op === "jumpIf") {
      const { value } = step;
      const holds = step.test === "=="
        ? word === value
        : step.test === ">"
        ? word > value
        : step.test === ">="
        ? word >= value
        : (word & value) !== 0;
      if (holds) at = go(step.to);
    } else if (step.op === "accept") return packet.length;
    else if (step.op === "drop") return 0;
  }
  throw new Error("no return");
}

test("assemble() means what the steps say", () => {
  fc.assert(
    fc.property(programs, fc.uint8Array({ maxLength: 80 }), (steps, packet) => {
      assert.equal(runBpf(assemble(steps), packet), evaluate(steps, packet));
    }),
    { numRuns: 2_000 },
  );
});

test("the kernel takes every assembled program", () => {
  using socket = NetlinkSocket.open(libc, "test filters");
  socket.attachFilter(assemble(ackOnly(0xdead_beef)));
  socket.attachFilter(assemble(kindsOnly(PROC_EVENT_ALL)));
  fc.assert(fc.property(programs, (steps) => socket.attachFilter(assemble(steps))), { numRuns: 200 });
  const far: BpfStep[] = Array.from({ length: MAX_STEPS - 1 }, () => ({ op: "loadLength" }));
  socket.attachFilter(assemble([...far, { op: "accept" }]));
  socket.attachFilter(assemble([{ op: "jump", to: "end" }, ...far.slice(1), { op: "label", name: "end" }, {
    op: "drop",
  }]));
  socket.detachFilter();
  assert.throws(() => socket.detachFilter(), /SO_DETACH_FILTER/, "there is none any more");
});

test("the kernel's filter decides as the interpreter does", () => {
  // What a socket sends to itself passes its own filter, and needs no privilege beyond that of sending to a program.
  using receiver = NetlinkSocket.open(libc, "test filters");
  using sender = NetlinkSocket.open(libc, "test filters");
  const header = new Uint8Array(new ArrayBuffer(4096));
  const received = (): number => libc.read(receiver.fd, header);
  const probe = sender.send(datagram(0, 0), receiver.port);
  if (probe === -1) return; // sending to a program wants CAP_NET_ADMIN
  assert.equal(received(), 76);
  fc.assert(
    fc.property(
      fc.oneof(what, u32),
      what,
      u32,
      fc.constantFrom(0, 3, 4, 16, 40),
      (mask, kind, ack, length) => {
        for (const steps of [kindsOnly(mask), ackOnly(ack)]) {
          const program = assemble(steps);
          receiver.attachFilter(program);
          const packet = datagram(kind, ack, length);
          sender.send(packet, receiver.port);
          const kept = runBpf(program, packet);
          assert.equal(received(), kept === 0 ? -11 : kept);
        }
      },
    ),
    { numRuns: 150 },
  );
  fc.assert(
    fc.property(programs, fc.uint8Array({ minLength: 1, maxLength: 80 }), (steps, packet) => {
      const program = assemble(steps);
      receiver.attachFilter(program);
      sender.send(packet, receiver.port);
      const kept = runBpf(program, packet);
      assert.equal(received(), kept === 0 ? -11 : kept);
    }),
    { numRuns: 300 },
  );
});

test("assemble() refuses jumps that are backward, too long, or to nowhere", () => {
  const back: BpfStep[] = [{ op: "label", name: "loop" }, { op: "loadLength" }, { op: "jump", to: "loop" }];
  assert.throws(() => assemble([...back, { op: "accept" }]), /loop is -2 steps away/);
  const conditional = { op: "jumpIf", test: "==", value: 1 } as const;
  assert.throws(
    () => assemble([{ op: "label", name: "loop" }, { ...conditional, to: "loop" }, { op: "accept" }]),
    RangeError,
  );
  assert.throws(() => assemble([{ ...conditional, to: "nowhere" }, { op: "accept" }]), /no label nowhere/);
  assert.throws(() => assemble([{ op: "jump", to: "nowhere" }, { op: "accept" }]), RangeError);
  for (const between of [0, 254, 255, 256, 1000]) {
    const steps: BpfStep[] = [
      { op: "loadLength" },
      { ...conditional, to: "far" },
      ...Array.from({ length: between }, (): BpfStep => ({ op: "drop" })),
      { op: "label", name: "far" },
      { op: "accept" },
    ];
    if (between > 255) {
      assert.throws(() => assemble(steps), /far is \d+ steps away/);
      continue;
    }
    assert.equal(runBpf(assemble(steps), new Uint8Array(1)), 1);
    assert.equal(runBpf(assemble(steps), new Uint8Array(2)), between === 0 ? 2 : 0);
  }
});

test("assemble() refuses what the kernel would refuse for its length", () => {
  assert.throws(() => assemble([]), /0 steps/);
  assert.throws(() => assemble([{ op: "label", name: "nothing" }]), /0 steps/);
  const long = Array.from({ length: MAX_STEPS + 1 }, (): BpfStep => ({ op: "accept" }));
  assert.throws(() => assemble(long), /4097 steps/);
  assert.equal(assemble(long.slice(1)).length, MAX_STEPS * 8);
});

test("listing() shows a step a line", () => {
  assert.equal(
    disassemble([
      { op: "load", offset: 36 },
      { op: "jumpIf", test: "&", value: 0x8000_0000, to: "wanted" },
      { op: "loadLength" },
      { op: "jumpIf", test: ">=", value: 76, to: "wanted" },
      { op: "keep" },
      { op: "jumpIfKept", to: "wanted" },
      { op: "jump", to: "unwanted" },
      { op: "label", name: "wanted" },
      { op: "accept" },
      { op: "label", name: "unwanted" },
      { op: "drop" },
    ]),
    `  load word at 36
  if word & 0x80000000 goto wanted
  load length
  if word >= 0x0000004c goto wanted
  keep word
  if word == kept word goto wanted
  goto unwanted
wanted:
  accept
unwanted:
  drop`,
  );
});
