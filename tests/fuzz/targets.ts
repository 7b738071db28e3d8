import { UntrustedSenders } from "../../lib/connector/untrusted_senders.ts";
import { readBusSockets, readKernelIdentifiers } from "../../lib/connector/proc_net.ts";
import { CN_MSG, type CnMsg, decodeCnMsg, decodeCnMsgs, isStray } from "../../lib/connector/message.ts";
import type { Protocol } from "../../lib/connector/protocol.ts";
import { jsonText } from "../../lib/wire/json_text.ts";
import { cutToWidth, textWidth } from "../../lib/cli/io/text.ts";
import { safeSentence, safeText, shellQuote } from "../../lib/wire/escape.ts";
import { NLMSGHDR } from "../../lib/netlink/message.ts";
import { decodeNlmsghdr } from "../support/nlmsghdr.ts";
import { DatagramBatch } from "../../lib/netlink/datagram_batch.ts";
import { dmLog } from "../../lib/protocols/dm_log/protocol.ts";
import { decodeDmLogRequest } from "../../lib/protocols/dm_log/message.ts";
import { decodeDmLogReply } from "../../lib/protocols/dm_log/reply.ts";
import { decodeKvpRequest, decodeVssRequest, decodeVssStatus } from "../../lib/protocols/hyperv/message.ts";
import { kvp, vss } from "../../lib/protocols/hyperv/protocol.ts";
import type { ProcessEvent } from "../../lib/processes/event.ts";
import { checkFilter } from "../../lib/processes/event_filter.ts";
import { EventDecoder } from "../../lib/processes/decoder.ts";
import { LossCounter } from "../../lib/processes/loss.ts";
import { decodeProcEvent } from "../../lib/processes/codec.ts";
import { decodeUvesafbTask } from "../../lib/protocols/uvesafb/message.ts";
import { uvesafb } from "../../lib/protocols/uvesafb/protocol.ts";
import {
  decodeMasterIds,
  decodeSlaveIds,
  decodeW1Commands,
  decodeW1Event,
  decodeW1Messages,
} from "../../lib/protocols/w1/message.ts";
import { w1 } from "../../lib/protocols/w1/protocol.ts";
import { ProcFs } from "../../lib/procfs/process.ts";
import {
  decodePids,
  parseCgroup,
  parseCommandLine,
  parseProcessOf,
  parseStat,
  parseUser,
} from "../../lib/procfs/text.ts";
import { decodeTask } from "../../lib/taskstats/message.ts";
import { viewOf } from "../../lib/wire/bytes.ts";
import { decodeCString, decodeText, encodeText } from "../../lib/wire/text.ts";
import * as dmVectors from "../protocols/vectors/dm_log.ts";
import * as procVectors from "../processes/vectors.ts";
import * as uvesafbVectors from "../protocols/vectors/uvesafb.ts";
import * as w1Vectors from "../protocols/vectors/w1.ts";
import { taskAttributes } from "../taskstats/vectors.ts";
import { encodeEntries } from "../support/fake_files.ts";
import { FakeLibc } from "../support/fake_libc.ts";
import { Broken, type Target } from "./judge.ts";

const text = (...texts: string[]): Uint8Array[] => texts.map((one) => new TextEncoder().encode(one));
const bytesOf = (vectors: object): Uint8Array[] =>
  Object.values(vectors).filter((one) => one instanceof Uint8Array);

/** Whether anything in a result is what JSON would lose or refuse. */
function checkJson(value: unknown): unknown {
  const json = JSON.stringify(value); // a bigint throws
  const again = JSON.stringify(JSON.parse(json));
  if (again !== json) throw new Broken("JSON of it reads back to something else");
  return value;
}

/** A protocol's own words for a message. */
function describing(protocol: Protocol, seeds: readonly Uint8Array[], maxBytes?: number): Target {
  return {
    name: `${protocol.name}: description`,
    seeds,
    // Fields have names, and bytes become hex: more than they were, but in proportion.
    growth: 400,
    ...(maxBytes === undefined ? {} : { maxBytes }),
    decode(bytes) {
      const of = (flags: number, from: "kernel" | "user"): unknown =>
        checkJson(protocol.describe({ id: protocol.id, seq: 1, ack: 2, flags, data: bytes }, from));
      return [of(0, "kernel"), of(1, "kernel"), of(0, "user"), of(0xffff, "user")];
    },
  };
}

/** The parser of a file that ends where it ends, in a buffer that is longer. */
function parsing(parse: (bytes: Uint8Array, length: number) => unknown): (bytes: Uint8Array) => unknown {
  return (bytes) => {
    // What lies behind belongs to the last process that was read.
    const buffer = new Uint8Array(bytes.buffer, bytes.byteOffset);
    return parse(buffer, bytes.length);
  };
}

/** A result that is of no length that its input could not have. */
function inProportion(all: readonly unknown[], most: number): readonly unknown[] {
  if (all.length > most) throw new Broken(`${all.length} of what there can be ${most} of`);
  return all;
}

/** Characters that a terminal might obey. */
const OBEYED = /[\p{Cc}\p{Cf}\p{Cs}\p{Zl}\p{Zp}]/u;

function plain(name: string, shown: string): string {
  if (OBEYED.test(shown)) throw new Broken(`${name} shows what a terminal obeys`);
  return shown;
}

const STAT =
  "4711 (a (b) c) S 4710 4711 4711 34816 4711 4194304 123 0 0 0 1 2 0 0 20 0 1 0 123456 8192 100 " +
  "18446744073709551615 1 1 140721 0 0 0 0 0 0 0 0 0 17 1 0 0 0 0 0 0 0 0 0 0 0 0 0\n";
const STATUS =
  "Name:\tbash\nUmask:\t0022\nState:\tS (sleeping)\nTgid:\t4711\nNgid:\t0\nPid:\t4711\nPPid:\t1\n" +
  "TracerPid:\t0\nUid:\t0\t1000\t0\t0\nGid:\t0\t0\t0\t0\n";
const NETLINK = "sk               Eth Pid        Groups   Rmem     Wmem     Dump  Locks    Drops    Inode\n" +
  "0000000000000000 11  0          00000000 0        0        0     2        0        4711    \n" +
  "0000000000000000 11  3456789012 80000001 832      0        0     2        17       123456  \n" +
  "0000000000000000 0   1          00000111 0        0        0     2        0        99      \n";
const CONNECTOR = "Name            ID\ncn_proc         1:1\nw1              3:1\ndmlogusr        7:1\n";
const HOSTILE = text(
  "\x1b[2J",
  "\x1b]0;x\x07",
  "\n",
  "\r",
  "\0",
  "\t",
  "\x7f",
  "\u009b",
  "\u00ad",
  "\u202e",
  "\u2028",
  "\u200b",
  "\ufeff",
  "\u{e0041}",
  "😀",
  "日本",
  "e\u0301",
  "'",
  "\\",
  '"',
  "$(x)",
  "A=1",
).concat([
  Uint8Array.of(0xff),
  Uint8Array.of(0xc3),
  Uint8Array.of(0xed, 0xa0, 0x80),
  Uint8Array.of(0xf0, 0x9f),
]);

/** A block of a folder's entries. */
function entries(...names: string[]): Uint8Array {
  const into = new Uint8Array(1024);
  const { bytes } = encodeEntries(names.map((name) => [name, 4] as const), into);
  return into.slice(0, bytes);
}

/** The tasks with their buffers, which the vectors leave out. */
function uvesafbTasks(): Uint8Array[] {
  return bytesOf(uvesafbVectors).map((task) => {
    const bytes = new Uint8Array(task.length + viewOf(task).getInt32(4, true));
    bytes.set(task);
    return bytes;
  });
}

/** Requests of each kind, with numbers behind them. */
function dmRequests(): Uint8Array[] {
  const kinds = Array.from({ length: 18 }, (_, type) => {
    const bytes = new Uint8Array(160 + 16);
    bytes.set(dmVectors.resume.subarray(0, 160));
    viewOf(bytes).setUint32(152, type, true);
    viewOf(bytes).setUint32(156, type % 3 * 8, true);
    return bytes;
  });
  return [...bytesOf(dmVectors), ...kinds];
}

function dmReplies(): Uint8Array[] {
  return dmRequests().map((request) => request.slice(0, 176));
}

/** A whole KVP message of each operation. */
function kvpMessages(): Uint8Array[] {
  return [0, 1, 2, 3, 4, 5, 6, 100].map((operation) => {
    const bytes = new Uint8Array(7432);
    bytes[0] = operation;
    // Sizes at both of the places where there are any.
    viewOf(bytes).setUint32(8, 4, true);
    viewOf(bytes).setUint32(4, 1, true);
    viewOf(bytes).setUint32(12, 4, true);
    bytes.set(new TextEncoder().encode("Key"), 16);
    return bytes;
  });
}

function procFsOf(path: string, content: Uint8Array): FakeLibc {
  const libc = new FakeLibc();
  libc.files.write(path, content);
  libc.readBytes = content.length % 5 === 0 ? 7 : Infinity;
  return libc;
}

/** Everything that reads what others wrote. */
export const TARGETS: readonly Target[] = [
  {
    name: "nlmsghdr",
    seeds: bytesOf(procVectors),
    decode(bytes) {
      const header = decodeNlmsghdr(viewOf(bytes), 0, bytes.length);
      if (header.len > bytes.length || header.len < 16) throw new Broken("a length that is not there");
      return header;
    },
  },
  {
    name: "cn_msg",
    seeds: [...bytesOf(procVectors).map((one) => one.subarray(16)), w1Vectors.bundleReplyDatagram],
    decode: (bytes) => decodeCnMsg(viewOf(bytes), 0, bytes.length),
  },
  {
    name: "cn_msg, several",
    seeds: [...bytesOf(procVectors).map((one) => one.subarray(16)), w1Vectors.bundleReplyDatagram],
    decode(bytes) {
      const all = decodeCnMsgs(viewOf(bytes), 0, bytes.length);
      const sum = all.reduce((bytes, { data }) => bytes + CN_MSG.SIZE + data.length, 0);
      if (sum > bytes.length) throw new Broken("more than there is");
      return [inProportion(all, bytes.length / CN_MSG.SIZE), all.map(isStray)];
    },
  },
  {
    name: "proc_event",
    seeds: bytesOf(procVectors).map((one) => one.subarray(36)),
    decode: (bytes) => decodeProcEvent(viewOf(bytes), 0, bytes.length, 7),
  },
  {
    name: "proc_event in its datagram",
    seeds: bytesOf(procVectors),
    decode(bytes) {
      const view = viewOf(bytes);
      const header = decodeNlmsghdr(view, 0, bytes.length);
      return decodeCnMsgs(view, NLMSGHDR.SIZE, header.len).map(({ data, seq }: CnMsg) => {
        const at = data.byteOffset - view.byteOffset;
        return decodeProcEvent(view, at, at + data.length, seq);
      });
    },
  },
  {
    name: "datagrams of the process socket",
    seeds: [...bytesOf(procVectors), ...bytesOf(procVectors).map((one) => one.slice(0, 68))],
    decode(bytes) {
      const libc = new FakeLibc();
      const fd = libc.socket(16, 3, 11);
      const datagrams = new DatagramBatch(libc, 2, 128);
      const loss = new LossCounter(true, 0);
      const decoder = new EventDecoder(
        datagrams,
        loss,
        new UntrustedSenders(libc),
        checkFilter({}, "fuzz"),
        true,
      );
      const sane = procVectors.fork;
      libc.receives(fd, { bytes: bytes.slice() }, { bytes: sane });
      datagrams.receive(fd);
      const events: ProcessEvent[] = [];
      decoder.decode(2, events);
      // Of each message an event and perhaps a loss before it, or a count of what was none; and the datagram behind it
      // is read in any case.
      const most = Math.max(1, Math.floor(bytes.length / NLMSGHDR.SIZE));
      if (events.length > 2 * (most + 1) || decoder.malformed > most) {
        throw new Broken("one message made several events");
      }
      if (events.at(-1)?.type !== "fork") throw new Broken("the next datagram was not read");
      return [events, decoder.malformed];
    },
  },
  {
    name: "w1: messages",
    seeds: bytesOf(w1Vectors),
    decode(bytes) {
      const messages = inProportion(decodeW1Messages(bytes), bytes.length / 12) as ReturnType<
        typeof decodeW1Messages
      >;
      return [messages, messages.map(decodeW1Event)];
    },
  },
  {
    name: "w1: commands",
    seeds: bytesOf(w1Vectors).map((one) => one.slice(12)),
    decode: (bytes) => inProportion(decodeW1Commands(bytes), bytes.length / 4),
  },
  {
    name: "w1: lists",
    seeds: [Uint8Array.of(1, 0, 0, 0, 2, 0, 0, 0), w1Vectors.searchReply.slice(16)],
    decode: (bytes) => [decodeMasterIds(bytes), bytes.length % 8 === 0 ? decodeSlaveIds(bytes) : undefined],
  },
  describing(w1, bytesOf(w1Vectors)),
  {
    name: "taskstats",
    seeds: [taskAttributes(4711, 5n, 9n)],
    decode: (bytes) => {
      let task: unknown;
      decodeTask(viewOf(bytes), 0, bytes.length, (tid, ...stats) => task = [tid, ...stats]);
      return checkJson(task ?? null);
    },
  },
  { name: "dm_log: requests", seeds: dmRequests(), decode: decodeDmLogRequest },
  { name: "dm_log: replies", seeds: dmReplies(), decode: decodeDmLogReply },
  describing(dmLog, dmRequests()),
  { name: "uvesafb: tasks", seeds: uvesafbTasks(), decode: decodeUvesafbTask },
  describing(uvesafb, uvesafbTasks()),
  {
    name: "hyperv: KVP requests",
    seeds: kvpMessages(),
    maxBytes: 8000,
    decode: decodeKvpRequest,
  },
  {
    name: "hyperv: VSS",
    seeds: [0, 1, 5, 6, 128, 129].map((operation) =>
      Uint8Array.of(operation, 0, 0, 0, 0, 0, 0, 0, 1, 0, 0, 0)
    ),
    decode: (bytes) => [decodeVssRequest(bytes), decodeVssStatus(bytes)],
  },
  describing(kvp, kvpMessages(), 8000),
  describing(vss, [Uint8Array.of(5, 0, 0, 0, 0, 0, 0, 0, 1, 0, 0, 0)]),
  {
    name: "/proc/PID/stat",
    seeds: text(STAT, STAT.replace("(a (b) c)", "(\n) S 1 (x)"), "1 (init) S 0"),
    words: text(") ", " (", "(", ")", " ", "\n", "-1", "0", "18446744073709551615", " S 1 2 3"),
    decode: parsing(parseStat),
  },
  {
    name: "/proc/PID/status",
    seeds: text(STATUS, "Name:\tx\\nUid:\t5\nUid:\t1\t2\t3\t4\n"),
    words: text("Uid:\t", "Tgid:\t", "\n", "\t", "0", "4294967295", "Name:\tUid:\t7\t7\n"),
    decode: parsing((bytes, length) => [parseUser(bytes, length), parseProcessOf(bytes, length)]),
  },
  {
    name: "/proc/PID/cmdline",
    seeds: [...text("sh\0-c\0exit 3\0", "title\0\0\0\0\0\0\0\0\0\0\0\0\0\0", "\0", "no end"), ...HOSTILE],
    words: [...HOSTILE, ...text("\0\0\0", "\0")],
    maxBytes: 6_000,
    decode(bytes) {
      const parse = (data: Uint8Array, length: number) =>
        [true, false].map((fresh) => parseCommandLine(data, length, fresh));
      const whole = parsing(parse)(bytes) as ReturnType<typeof parse>;
      const cut = parse(bytes, bytes.length);
      if (cut.some(({ truncated }) => !truncated) || whole.some(({ truncated }) => truncated)) {
        throw new Broken("a cut line and a whole one look alike");
      }
      for (const { args } of [...whole, ...cut]) {
        if (args.some((arg) => arg.includes("\0"))) throw new Broken("a NUL in an argument");
        if (encodeText(args.join("\0")).length > bytes.length) throw new Broken("longer than it was");
      }
      return [whole, cut];
    },
  },
  {
    name: "/proc/PID/cgroup",
    seeds: text("0::/user.slice/user-0.slice\n", "12:cpu:/x\n0::/\n", "0::/no end"),
    words: text("0::", "\n", "/", "1:name=systemd:"),
    decode: parsing(parseCgroup),
  },
  {
    name: "a process's files through libc",
    seeds: [...text(STAT, STATUS, "0::/x\n", "sh\0-c\0x\0", "comm\n"), ...HOSTILE],
    words: HOSTILE,
    maxBytes: 40_000,
    decode(bytes) {
      const content = bytes.slice();
      const results: unknown[] = [];
      for (const [file, read] of Object.entries(READERS)) {
        const libc = procFsOf(`/proc/4711/${file}`, content);
        results.push(read(new ProcFs(libc)));
        libc.assertAllClosed();
      }
      return results;
    },
  },
  {
    name: "/proc/net/netlink",
    seeds: text(NETLINK),
    words: text("\n", " ", " 11 ", "ffffffff", "4294967296", "0x1", "-1", "1e9"),
    maxBytes: 20_000,
    decode(bytes) {
      const sockets = readBusSockets(procFsOf("/proc/net/netlink", bytes.slice()));
      for (const { groups } of sockets ?? []) {
        if (!(groups >= 0 && groups <= 0xffff_ffff)) throw new Broken("groups that are no mask");
      }
      return sockets;
    },
  },
  {
    name: "/proc/net/connector",
    seeds: text(CONNECTOR),
    words: text("\n", " ", ":", "1:1", "               ", "4294967295:4294967295"),
    maxBytes: 20_000,
    decode: (bytes) => readKernelIdentifiers(procFsOf("/proc/net/connector", bytes.slice())),
  },
  {
    name: "getdents64",
    seeds: [entries(".", "..", "1", "4711", "self", "net"), entries("12", "x12", "12x", "4194304")],
    words: text("1\0", "999999999999999999999\0", "\0", "-1\0"),
    decode(bytes) {
      const buffer = new Uint8Array(bytes.buffer, bytes.byteOffset);
      const pids: number[] = [];
      decodePids(buffer, bytes.length, pids);
      return inProportion(pids, bytes.length / 21);
    },
  },
  {
    name: "text",
    seeds: [...HOSTILE, ...text("plain", "naïve café")],
    words: HOSTILE,
    maxBytes: 20_000,
    decode(bytes) {
      const all = decodeText(bytes);
      const back = encodeText(all);
      if (back.length !== bytes.length || back.some((byte, i) => byte !== bytes[i])) {
        throw new Broken("bytes were lost");
      }
      if (JSON.parse(JSON.stringify(all)) !== all) throw new Broken("JSON loses something");
      return [all, decodeCString(bytes)];
    },
  },
  {
    name: "what the command shows",
    seeds: [...HOSTILE, ...text("plain", "naïve café", "sh\0-c\0echo it's")],
    words: HOSTILE,
    maxBytes: 6_000,
    growth: 200,
    decode(bytes) {
      const all = decodeText(bytes);
      const json = plain("jsonText", jsonText(all));
      if (JSON.parse(json) !== all) throw new Broken("jsonText() reads back as something else");
      const words = all.split("\0");
      const shown = plain("safeText", safeText(all));
      const line = plain("shellQuote", shellQuote(words));
      const short = plain("shellQuote", shellQuote(words, 80));
      // At most a word's quotes and escapes beyond the limit: ten characters for each.
      if (short.length > 80 * 12) throw new Broken("a line far beyond its limit");
      for (const columns of [0, 1, 7, 80]) {
        const cut = plain("cutToWidth", cutToWidth(shown, columns));
        if (textWidth(cut) > columns) throw new Broken("wider than its column");
      }
      return [json, shown, line, short, plain("safeSentence", safeSentence(all))];
    },
  },
];

/** How each file of a process is read. */
const READERS: Readonly<Record<string, (proc: ProcFs) => unknown>> = {
  stat: (proc) => proc.stat(4711),
  status: (proc) => proc.user(4711),
  cmdline: (proc) => proc.commandLine(4711, true),
  cgroup: (proc) => proc.cgroup(4711),
};
