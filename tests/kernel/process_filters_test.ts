import assert from "node:assert/strict";
import { spawn } from "node:child_process";
import { test } from "node:test";
import { openSystem } from "../../lib/system.ts";
import { openProcessWatch } from "../../lib/processes/open.ts";
import type { WatchProcessesOptions } from "../../lib/processes/options.ts";
import type { ProcessEvent } from "../../lib/processes/event.ts";
import { whyNoProcessEvents } from "../support/kernel.ts";

const skip = await whyNoProcessEvents();

/** A shell that, on request, runs two programs and one more through another shell, and then ends on request. */
const FAMILY = "echo ready; read go; /bin/true in; sh -c '/bin/true deep; exit 0'; read end; exit 7";
/** Files that must not be read. */
const STRANGERS = "for i in 1 2 3 4 5 6 7 8 9 10; do /bin/true out; done";

const choices: Readonly<Record<string, (pid: number) => WatchProcessesOptions>> = {
  descendantsOf: (descendantsOf) => ({ descendantsOf }),
  pids: (pid) => ({ pids: [pid], processInfo: true }),
};

for (const [name, options] of Object.entries(choices)) {
  test(`${name}: matching processes are complete, and nothing is read for the others`, { skip }, async () => {
    const system = await openSystem("test a choice of processes");
    const read = new Set<number>();
    const libc: typeof system.libc = {
      ...system.libc,
      open(path, ...rest) {
        const pid = /^\/proc\/(\d+)\/cmdline/.exec(new TextDecoder().decode(path))?.[1];
        if (pid !== undefined) read.add(Number(pid));
        return system.libc.open(path, ...rest);
      },
    };
    const family = spawn("/bin/sh", ["-c", FAMILY], { stdio: ["pipe", "pipe", "inherit"] });
    // By then its own exec is over, and not an event of the watch.
    await new Promise((resolve) => family.stdout!.once("data", resolve));
    await using watch = openProcessWatch({ ...system, libc }, options(family.pid!));
    await using everybody = openProcessWatch(system, { processInfo: true });
    assert.deepEqual([...read], [family.pid], "at the start");
    const strangers = spawn("/bin/sh", ["-c", STRANGERS], { stdio: "ignore" });
    family.stdin!.write("go\n");
    await new Promise((resolve) => strangers.on("close", resolve));
    family.stdin!.write("end\n");

    const seen: ProcessEvent[] = [];
    for await (const event of watch) {
      seen.push(event);
      if (event.type === "exit" && event.pid === family.pid) break;
    }
    const own = new Set([family.pid!]);
    const outside = new Set([strangers.pid!]);
    for await (const event of everybody) {
      if (event.type === "fork" && own.has(event.parentPid)) own.add(event.pid);
      if (event.type === "fork" && outside.has(event.parentPid)) outside.add(event.pid);
      if (event.type === "exit" && event.pid === family.pid) break;
    }
    assert(own.size >= 4 && outside.size >= 10, `${own.size} of the family, ${outside.size} others`);
    assert.deepEqual([...outside].filter((pid) => read.has(pid)), []);
    const wanted = name === "descendantsOf" ? own : new Set([family.pid!]);
    for (const event of seen) {
      if (event.type === "lost" || event.type === "unknown") assert.fail(event.type);
      const about = event.type === "fork" ? [event.parentPid, event.pid] : [event.pid];
      assert(about.some((pid) => wanted.has(pid)), JSON.stringify(event.type));
    }
    assert.equal(seen.at(-1)?.process?.commandLine?.at(-1), FAMILY);
    if (name === "descendantsOf") {
      const execs = seen.filter(({ type }) => type === "exec");
      assert.equal(execs.length, 3, "two programs, and the shell between");
    }
  });
}
