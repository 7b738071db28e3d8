import assert from "node:assert/strict";
import { existsSync, readFileSync } from "node:fs";
import { join } from "node:path";
import process from "node:process";
import { test } from "node:test";
import { bindTables, libcFrom } from "../../ffi/bind.ts";
import { libcPaths } from "../../ffi/bind.ts";
import {
  type CFunction,
  EPOLL_WAIT,
  EVENT_SYMBOLS,
  LAZY_SYMBOLS,
  MAPPING_SYMBOLS,
  MEMCPY_ADDRESS,
  MEMCPY_READ,
  PROCESS_SYMBOLS,
  SYMBOLS,
} from "../../ffi/symbols.ts";
import { runC, whyNoC } from "../protocols/vectors/c_program.ts";
import { root } from "../support/runtimes.ts";

const COMMENTED = {
  ...SYMBOLS,
  ...LAZY_SYMBOLS,
  ...EVENT_SYMBOLS,
  ...PROCESS_SYMBOLS,
  ...MAPPING_SYMBOLS,
};
const TABLES: Readonly<Record<string, CFunction>> = {
  ...COMMENTED,
  ...EPOLL_WAIT,
  ...MEMCPY_ADDRESS,
  ...MEMCPY_READ,
};

const SHT_DYNSYM = 11;

/** The names that a 64-bit little-endian ELF library exports. */
function exportedNames(path: string): Set<string> {
  const bytes = readFileSync(path);
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.length);
  const word = (at: number): number => view.getUint32(at, true);
  const long = (at: number): number => Number(view.getBigUint64(at, true));
  assert.equal(word(0), 0x464c457f, `${path} is no ELF file`);
  const sections = long(40);
  const [size, count] = [view.getUint16(58, true), view.getUint16(60, true)];
  const names = new Set<string>();
  for (let i = 0; i < count; i++) {
    const at = sections + i * size;
    if (word(at + 4) !== SHT_DYNSYM) continue;
    const strings = long(sections + word(at + 40) * size + 24);
    const [from, bytesOf] = [long(at + 24), long(at + 32)];
    for (let symbol = from; symbol < from + bytesOf; symbol += 24) {
      const defined = view.getUint16(symbol + 6, true) !== 0;
      if (!defined) continue;
      const nameAt = strings + word(symbol);
      names.add(bytes.toString("latin1", nameAt, bytes.indexOf(0, nameAt)));
    }
  }
  return names;
}

const installed = libcPaths(process.arch as "x64" | "arm64").filter((path) => existsSync(path));

test("every function of the table is in the C libraries that are installed here", () => {
  assert(installed.length > 0);
  for (const path of installed) {
    const names = exportedNames(path);
    assert(names.size > 1000, `${path} exports ${names.size} names`);
    for (const name of Object.keys(TABLES)) assert(names.has(name), `${path} has no ${name}`);
  }
});

/** The rows as they are written: the C prototype in the comment above, and the name. */
function prototypes(): Map<string, string> {
  const text = readFileSync(join(root, "ffi/symbols.ts"), "utf8");
  const found = new Map<string, string>();
  for (const [, prototype, name] of text.matchAll(/^ {2}\/\/ ([^;\n]+);.*\n {2}(\w+): \{/gm)) {
    found.set(name!, prototype!);
  }
  return found;
}

test("every row has the prototype that it stands for, with as many parameters", () => {
  const all = prototypes();
  assert.deepEqual([...all.keys()], Object.keys(COMMENTED));
  for (const [name, prototype] of all) {
    const parameters = /\((.*)\)/.exec(prototype)![1]!;
    const rows = COMMENTED[name as keyof typeof COMMENTED].parameters;
    if (parameters.includes("...")) continue; // as many as its caller wants
    const count = parameters === "void" ? 0 : parameters.split(",").length;
    assert.equal(rows.length, count, prototype);
    const types = parameters === "void" ? [] : parameters.split(",").map((parameter) => parameter.trim());
    for (const [i, type] of types.entries()) {
      const row = rows[i]!;
      if (type.includes("*")) assert(/^(buffer|pointer|u64)$/.test(row), `${name}: ${type} is ${row}`);
      else if (/^(int|pid_t|clockid_t|idtype_t) /.test(type)) assert.equal(row, "i32", `${name}: ${type}`);
      else if (/^off(64)?_t /.test(type)) assert.equal(row, "i64", `${name}: ${type}`);
      else assert.equal(row, "u32", `${name}: ${type}`);
    }
  }
});

const HEADERS = [
  "errno.h",
  "fcntl.h",
  "poll.h",
  "signal.h",
  "sys/epoll.h",
  "sys/eventfd.h",
  "sys/file.h",
  "sys/ioctl.h",
  "sys/prctl.h",
  "sys/resource.h",
  "sys/socket.h",
  "sys/types.h",
  "sys/wait.h",
  "time.h",
  "unistd.h",
];

test("the prototypes are those of the C headers", { skip: whyNoC(HEADERS) }, () => {
  // A prototype that differs from its header's is an error of the compiler. Two are left out: of open() and prctl()
  // the headers say "..." where the kernel wants something certain.
  const declared = [...prototypes()].filter(([name]) => name !== "open" && name !== "prctl");
  // Under _GNU_SOURCE an address is a union, and recvmmsg is not declared without it.
  const source = `#define _DEFAULT_SOURCE
#define _LARGEFILE64_SOURCE
${HEADERS.map((header) => `#include <${header}>`).join("\n")}
struct mmsghdr;
${declared.map(([, prototype]) => `extern ${prototype};`).join("\n")}
int main(void) { return 0; }
`;
  runC(source);
  assert.throws(() => runC(source.replace("int sockfd", "long sockfd")), /conflicting types/);
});

/** A dlopen that has only these libraries and functions. */
function scripted(
  libraries: Readonly<Record<string, readonly string[]>>,
): { dlopen: (library: string, table: object) => unknown; tried: string[] } {
  const tried: string[] = [];
  const dlopen = (library: string, table: object): unknown => {
    tried.push(library);
    const names = libraries[library];
    if (names === undefined) throw new Error(`no ${library}`);
    for (const name of Object.keys(table)) {
      if (!names.includes(name)) throw new Error(`no ${name} in ${library}`);
    }
    return Object.fromEntries(names.map((name) => [name, () => library]));
  };
  return { dlopen, tried };
}

test("bindTables() takes the first library that has everything", () => {
  const all = Object.keys(TABLES);
  const { dlopen, tried } = scripted({
    two: all.filter((name) => name !== "recvmmsg"),
    three: all,
    four: all,
  });
  const tables = bindTables(["one", "two", "three", "four"], dlopen);
  assert.equal(tables.library, "three");
  assert.deepEqual(tried, ["one", "two", "three", "three", "three"]);
});

test("bindTables() throws the first failure where no library will do", () => {
  assert.throws(() => bindTables(["one", "two"], scripted({}).dlopen), /^Error: no one$/);
});

test("libcFrom() asks for errno right after the call that failed", () => {
  const order: string[] = [];
  const symbols = Object.fromEntries(
    Object.keys(COMMENTED).map((name) => [name, () => {
      order.push(name);
      return name === "__errno_location" ? 4096n : -1;
    }]),
  );
  const libc = libcFrom({
    library: "none",
    symbols: symbols as never,
    bindLazy: () => {
      order.push("bind the rest");
      return symbols as never;
    },
    bindEvent: () => symbols as never,
    bindProcess: () => symbols as never,
    bindMapping: () => symbols as never,
    memcpyAddress: { memcpy: () => 7 },
    memcpyRead: {
      memcpy: (into: Uint8Array, pointer: unknown, bytes: number) => {
        order.push("errno");
        assert.deepEqual([pointer, bytes, into.length], [4096n, 4, 4]);
        new DataView(into.buffer, into.byteOffset).setInt32(0, 77, true);
      },
    },
  }, "x64");
  assert.equal(libc.close(3), -77);
  assert.equal(libc.getsockopt(1, 2, 3, new Uint8Array(4)), -77);
  assert.equal(libc.getdents64(1, new Uint8Array(4)), -77);
  assert.equal(libc.addressOf(new Uint8Array(1)), 7n);
  assert.deepEqual(order, [
    "__errno_location",
    "close",
    "errno",
    "getsockopt",
    "errno",
    "bind the rest",
    "syscall",
    "errno",
  ]);
});
