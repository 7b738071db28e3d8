import assert from "node:assert/strict";
import { test } from "node:test";
import { setFlagsFromString } from "node:v8";
import { runInNewContext } from "node:vm";
import { NetlinkSocket } from "../../lib/netlink/socket.ts";
import { fixedBytes } from "../../lib/wire/bytes.ts";
import { FakeLibc } from "../support/fake_libc.ts";
import { runtime } from "../support/runtimes.ts";

/** Collects garbage, where the runtime lets a program do that. */
function collect(): void {
  if (runtime === "bun") return (globalThis as unknown as { Bun: { gc(wait: boolean): void } }).Bun.gc(true);
  setFlagsFromString("--expose-gc");
  runInNewContext("gc")();
}

/** A libc that remembers nothing of what it was given. */
function forgetful(): FakeLibc {
  const libc = new FakeLibc();
  libc.addressOf = () => 4096n;
  libc.answers("setsockopt", ...new Array<number>(20).fill(0));
  return libc;
}

test(
  "a filter's program stays where it is while the socket has it: C was given its address only",
  { skip: runtime === "deno" ? "a program cannot ask for a collection" : false },
  async () => {
    const socket = NetlinkSocket.open(forgetful(), "test");
    const attach = (): WeakRef<Uint8Array> => {
      const program = fixedBytes(8 * 100);
      socket.attachFilter(program);
      return new WeakRef(program);
    };
    const programs = Array.from({ length: 20 }, attach);
    await new Promise((resolve) => setTimeout(resolve, 1));
    collect();
    assert.notEqual(programs.at(-1)!.deref(), undefined);
    assert(
      programs.filter((program) => program.deref() === undefined).length > 10,
      "nothing was collected at all",
    );
    socket.close();
  },
);
