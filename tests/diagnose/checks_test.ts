import assert from "node:assert/strict";
import { test } from "node:test";
import {
  CONNECTOR_WITHHELD,
  denoForbidsLibc,
  FILTER_WITHHOLDS_CONNECTOR,
  formatExplanation,
  GVISOR,
  JOINING_WANTS_NET_ADMIN,
  libcNotLoaded,
  NO_CONNECTOR,
  NO_PROC_EVENTS,
  NODE_FORBIDS_FFI,
  nodeTooOld,
  OTHER_NETWORK_NAMESPACE,
  OTHER_PID_NAMESPACE,
  OTHER_USER_NAMESPACE,
  otherPlatform,
  POLICY_FORBIDS_SOCKET,
  RAISE_LIMIT,
  type Refusal,
  TOO_FEW_DESCRIPTORS,
  unsupported,
  WSL1,
} from "../../lib/errors/advice.ts";
import { ERRNO } from "../../lib/errors/errno.ts";
import type { Finding } from "../../lib/diagnose/check.ts";
import {
  checkConnector,
  checkIdentifiers,
  checkNetworkNamespace,
  checkProcessEvents,
} from "../../lib/diagnose/connector.ts";
import { checkDescriptors } from "../../lib/diagnose/descriptors.ts";
import { checkKernel } from "../../lib/diagnose/kernel.ts";
import { checkListeners } from "../../lib/diagnose/listeners.ts";
import { checkPidNamespace, checkTimeNamespace, checkUserNamespace } from "../../lib/diagnose/namespaces.ts";
import { checkCapabilities, checkSeccomp } from "../../lib/diagnose/privileges.ts";
import { checkProc } from "../../lib/diagnose/proc_mount.ts";
import { checkReceiveBuffer } from "../../lib/diagnose/receive_buffer.ts";
import { checkLibc, checkPermission, checkRuntime } from "../../lib/diagnose/runtime.ts";
import type { Context } from "../../lib/diagnose/context.ts";
import { checkSubscription } from "../../lib/diagnose/subscription.ts";
import { decodeCString } from "../../lib/wire/text.ts";
import { KernelLibc, mountinfo, netlinkTable, NONE, scene, status } from "./context.ts";

const ADMIN_ONLY = (1n << 12n).toString(16).padStart(16, "0");

/** A scene without a machine. */
function refused(why: Refusal, runtime: "bun" | "deno" | "node" = "node"): Context {
  const { host } = scene(undefined, { runtime });
  return { host, system: undefined, refusal: unsupported("diagnose", why), files: undefined };
}

/** The finding of a refusal, as doctor has it: the words of the error. */
function failure({ finding, advice }: Refusal): Finding {
  return advice === undefined ? { verdict: "fail", finding } : { verdict: "fail", finding, advice };
}

function assertUnknown(found: Finding, why: RegExp): void {
  assert.equal(found.verdict, "warn");
  assert.match(found.finding, /^not known: /);
  assert.match(found.finding, why);
}

test("runtime: says which, and refuses a platform or a Node that is too old", () => {
  assert.deepEqual(checkRuntime(scene()), { verdict: "ok", finding: "Bun 1.4.5 on linux, x64" });
  const old = nodeTooOld("v20.11.1");
  assert.equal(
    formatExplanation(old),
    "this is Node v20.11.1, and node:ffi needs Node 26 or newer: update it, or use Bun or Deno",
  );
  assert.deepEqual(checkRuntime(refused(old)), failure(old));
  const other = otherPlatform("darwin", "arm64");
  assert.deepEqual(checkRuntime(refused(other)), failure(other));
  // Another refusal says nothing against the runtime.
  assert.equal(checkRuntime(refused(NODE_FORBIDS_FFI)).verdict, "ok");
});

test("permission: names the flag, and the scope that was granted", () => {
  const paths = ["/lib/x/libc.so.6", "/lib64/libc.so.6"];
  const refusal = denoForbidsLibc(paths);
  assert.deepEqual(checkPermission(refused(refusal, "deno")), failure(refusal));
  assert.match(refusal.advice!, /^add --allow-ffi=\/lib\/x\/libc\.so\.6 \(.*: \/lib64\/libc\.so\.6\)$/);
  assert.deepEqual(checkPermission(refused(NODE_FORBIDS_FFI)), failure(NODE_FORBIDS_FFI));
  assertUnknown(checkPermission(refused(nodeTooOld("v18.0.0"))), /nothing can be called/);

  const whole = scene(undefined, { runtime: "deno" });
  assert.deepEqual(checkPermission(whole), { verdict: "ok", finding: "calling C is allowed" });
  const scoped = { ...whole, system: { ...whole.system, library: "/lib64/libc.so.6" } };
  assert.deepEqual(checkPermission(scoped), {
    verdict: "ok",
    finding: "calling /lib64/libc.so.6 is allowed",
  });
});

test("libc: says which file it is", () => {
  const here = scene();
  assert.equal(checkLibc(here).finding, "opened libc.so.6, which is /usr/lib64/libc.so.6");
  here.files.files.write("/proc/self/maps", "7f r-xp 0 fe:00 1 /lib/ld-musl-x86_64.so.1\n");
  assert.equal(checkLibc(here).finding, "opened libc.so.6, which is /lib/ld-musl-x86_64.so.1");
  here.files.files.remove("/proc/self/maps");
  assert.deepEqual(checkLibc(here), { verdict: "ok", finding: "opened libc.so.6" });
  const missing = libcNotLoaded("no such file");
  assert.deepEqual(checkLibc(refused(missing)), failure(missing));
  assertUnknown(checkLibc(refused(NODE_FORBIDS_FFI)), /cannot be called/);
});

test("kernel: knows what a release means", () => {
  const here = scene();
  const verdicts: readonly (readonly [string, string])[] = [
    ["6.6.0", "ok"],
    ["6.6.12", "ok"],
    ["6.6.13", "mute itself"],
    ["6.6.17-rt", "mute itself"],
    ["6.6.18", "ok"],
    ["6.7.0", "ok"],
    ["6.7.1-arch1-1", "mute itself"],
    ["6.7.5", "mute itself"],
    ["6.7.6", "ok"],
    ["7.6.13", "ok"],
    ["6.5.99", "before 6.6"],
    ["5.15.0-91-generic", "before 6.6"],
    ["4.9", "before 6.6"],
    ["6.10", "ok"],
  ];
  for (const [release, meaning] of verdicts) {
    here.files.files.write("/proc/sys/kernel/osrelease", `${release}\n`);
    const { verdict, finding, advice } = checkKernel(here);
    assert(finding.includes(release), finding);
    if (meaning === "ok") {
      assert.deepEqual([release, verdict, advice], [release, "ok", undefined]);
    } else {
      assert.deepEqual([release, verdict], [release, "warn"]);
      assert(finding.includes(meaning), finding);
      assert.match(advice!, /^update the kernel to /);
    }
  }
  here.files.files.write("/proc/sys/kernel/osrelease", "something else");
  assertUnknown(checkKernel(here), /osrelease/);
  here.files.files.remove("/proc/sys/kernel/osrelease");
  assertUnknown(checkKernel(here), /osrelease/);
});

test("connector: CONFIG_CONNECTOR and policies show at socket()", () => {
  const here = scene();
  assert.equal(checkConnector(here).verdict, "ok");
  here.files.files.remove("/proc/net/connector");
  here.files.answers("socket", -ERRNO.EPROTONOSUPPORT!);
  assert.deepEqual(checkConnector(here), failure(NO_CONNECTOR));
  here.files.answers("socket", -ERRNO.EACCES!);
  assert.deepEqual(checkConnector(here), {
    verdict: "fail",
    finding: "socket failed with EACCES",
    advice: formatExplanation(POLICY_FORBIDS_SOCKET),
  });
  here.files.answers("socket", -ERRNO.EMFILE!);
  const words = { verdict: "fail", finding: "socket failed with EMFILE", advice: RAISE_LIMIT };
  assert.deepEqual(checkConnector(here), words);
  here.files.assertAllClosed();
});

test("connector: what answers for the kernel is told from a kernel without a connector", () => {
  const none = { "/proc/net/connector": undefined };
  const filtered = { "/proc/self/status": status({ more: "Seccomp:\t2\n" }) };
  const old = "Linux version 4.4.0 #1 SMP Sun Jan 10 15:06:54 PST 2016\n";
  const wsl1 = "Linux version 4.4.0-19041-Microsoft (Microsoft@Microsoft.com) #1-Microsoft\n";
  const wsl2 = "Linux version 5.15.90.1-microsoft-standard-WSL2 (oe-user@oe-host) #1 SMP\n";
  const cases: readonly [Refusal, keyof typeof ERRNO, Readonly<Record<string, string | undefined>>][] = [
    [NO_CONNECTOR, "EPROTONOSUPPORT", none],
    [NO_CONNECTOR, "EPROTONOSUPPORT", { ...none, "/proc/sys/kernel/arch": "x86_64\n" }],
    [NO_CONNECTOR, "EPROTONOSUPPORT", { ...none, "/proc/version": wsl2 }],
    [WSL1, "EPROTONOSUPPORT", { ...none, "/proc/version": wsl1 }],
    [GVISOR, "EPROTONOSUPPORT", { ...none, "/proc/version": old }],
    [GVISOR, "EPROTONOSUPPORT", { ...none, "/proc/version": "Linux version 4.19.0-gvisor #1 SMP\n" }],
    // The kernel serves it, and yet the socket is refused.
    [CONNECTOR_WITHHELD, "EPROTONOSUPPORT", {}],
    [CONNECTOR_WITHHELD, "EPFNOSUPPORT", none],
    [CONNECTOR_WITHHELD, "ENOSYS", none],
    // The kernel is one of another processor.
    [CONNECTOR_WITHHELD, "EPROTONOSUPPORT", { ...none, "/proc/sys/kernel/arch": "aarch64\n" }],
    // A kernel always has AF_NETLINK: so a filter hides it.
    [FILTER_WITHHOLDS_CONNECTOR, "EAFNOSUPPORT", { ...none, ...filtered }],
    [FILTER_WITHHOLDS_CONNECTOR, "EPROTONOSUPPORT", filtered],
  ];
  for (const [refusal, errno, files] of cases) {
    const here = scene();
    for (const [path, content] of Object.entries(files)) {
      if (content === undefined) here.files.files.remove(path);
      else here.files.files.write(path, content);
    }
    here.files.answers("socket", -ERRNO[errno]!);
    assert.deepEqual(checkConnector(here), failure(refusal), `${errno} ${JSON.stringify(files)}`);
    here.files.assertAllClosed();
  }
});

test("network-namespace: the kernel's answer to a message shows it", () => {
  const here = scene();
  assert.equal(checkNetworkNamespace(here).verdict, "ok");
  const [probe] = here.files.sent;
  assert.deepEqual([probe!.port, probe!.groups], [0, 0]);
  here.files.answers("sendto", -ERRNO.ECONNREFUSED!);
  assert.deepEqual(checkNetworkNamespace(here), failure(OTHER_NETWORK_NAMESPACE));
  here.files.answers("sendto", -ERRNO.ENOBUFS!);
  assertUnknown(checkNetworkNamespace(here), /ENOBUFS/);
  here.files.answers("socket", -ERRNO.EPERM!);
  assertUnknown(checkNetworkNamespace(here), /no socket/);
  here.files.assertAllClosed();
  // Without a call, the list of identifiers that only the first one has.
  const blind = { ...here, system: undefined };
  assert.equal(checkNetworkNamespace(blind).verdict, "ok");
  here.files.files.remove("/proc/net/connector");
  assertUnknown(checkNetworkNamespace(blind), /\/proc\/net\/connector/);
});

test("pid-namespace and user-namespace: the links in /proc show them", () => {
  const here = scene();
  assert.equal(checkPidNamespace(here).verdict, "ok");
  assert.equal(checkUserNamespace(here).verdict, "ok");
  here.files.files.link("/proc/self/ns/pid", "pid:[4026532281]");
  assert.deepEqual(checkPidNamespace(here), failure(OTHER_PID_NAMESPACE));
  assert.equal(checkUserNamespace(here).verdict, "ok");
  here.files.files.link("/proc/self/ns/pid", "pid:[4026531836]");
  here.files.files.link("/proc/self/ns/user", "user:[4026532282]");
  assert.equal(checkPidNamespace(here).verdict, "ok");
  assert.deepEqual(checkUserNamespace(here), failure(OTHER_USER_NAMESPACE));
  here.files.files.remove("/proc/self/ns");
  assertUnknown(checkPidNamespace(here), /ns\/pid/);
  assertUnknown(checkUserNamespace(here), /ns\/user/);
});

test("time-namespace: how far its clock is from that of the events", () => {
  const here = scene();
  assert.equal(checkTimeNamespace(here).verdict, "ok");
  const there = scene();
  there.files.files.write("/proc/self/timens_offsets", "monotonic  864000  0\nboottime  864000  0\n");
  const { verdict, finding } = checkTimeNamespace(there);
  assert.equal(verdict, "ok");
  assert.match(finding, /is 864000 s ahead of the kernel's own, .*: taken into account$/);
  const blind = scene();
  blind.files.answers("open", -ERRNO.EMFILE!);
  assertUnknown(checkTimeNamespace(blind), /timens_offsets/);
});

test("process-events and identifiers: what the kernel lists", () => {
  const here = scene();
  assert.equal(checkProcessEvents(here).verdict, "ok");
  assert.deepEqual(checkIdentifiers(here), { verdict: "ok", finding: "cn_proc 1:1, w1 3:1" });
  here.files.files.write("/proc/net/connector", "Name            ID\nw1              3:1\n");
  assert.deepEqual(checkProcessEvents(here), failure(NO_PROC_EVENTS));
  here.files.files.write("/proc/net/connector", "Name            ID\n");
  assert.equal(checkIdentifiers(here).verdict, "warn");
  here.files.files.remove("/proc/net/connector");
  assertUnknown(checkProcessEvents(here), /first network namespace/);
  assertUnknown(checkIdentifiers(here), /first network namespace/);
});

test("capabilities: what is missing and what that costs", () => {
  const here = scene();
  const { files } = here.files;
  assert.deepEqual(checkCapabilities(here), {
    verdict: "ok",
    finding: "user 0, with CAP_NET_ADMIN and CAP_SYS_PTRACE",
  });
  files.write("/proc/self/status", status({ uid: 1000, caps: NONE }));
  const nobody = checkCapabilities(here);
  assert.equal(nobody.verdict, "warn");
  assert.match(nobody.finding, /^user 1000, without CAP_NET_ADMIN .* and without CAP_SYS_PTRACE /);
  files.write("/proc/self/status", status({ caps: ADMIN_ONLY }));
  assert.match(checkCapabilities(here).finding, /^user 0, without CAP_SYS_PTRACE /);

  // In another user namespace they are worth nothing, whatever they are.
  files.write("/proc/self/status", status());
  files.link("/proc/self/ns/user", "user:[4026532282]");
  const contained = checkCapabilities(here);
  assert.deepEqual([contained.verdict, contained.advice], ["warn", OTHER_USER_NAMESPACE.advice]);

  files.write("/proc/self/status", "Name:\tbun\n");
  assertUnknown(checkCapabilities(here), /status/);
  files.remove("/proc/self/status");
  assertUnknown(checkCapabilities(here), /status/);
});

test("capabilities: before 6.6 CAP_NET_ADMIN is needed, in the words of the error", () => {
  const here = scene(new KernelLibc({ filters: false }));
  assert.equal(checkCapabilities(here).verdict, "ok");
  here.files.files.write("/proc/self/status", status({ uid: 1000, caps: NONE }));
  assert.deepEqual(checkCapabilities(here), {
    verdict: "fail",
    finding: `user 1000: ${JOINING_WANTS_NET_ADMIN.finding}`,
    advice: JOINING_WANTS_NET_ADMIN.advice,
  });
});

test("seccomp: a filter counts only where it forbids the socket", () => {
  const here = scene();
  const write = (more: string): void => here.files.files.write("/proc/self/status", status({ more }));
  assert.deepEqual(checkSeccomp(here), { verdict: "ok", finding: "no filter of system calls" });
  write("NoNewPrivs:\t1\nSeccomp:\t2\nSeccomp_filters:\t3\n");
  const passed = checkSeccomp(here);
  assert.equal(passed.verdict, "ok");
  assert.match(passed.finding, /filtered \(3 of them\); no_new_privs is set.*let through$/);
  here.files.answers("socket", -ERRNO.EPERM!);
  assert.deepEqual(checkSeccomp(here), { verdict: "fail", ...POLICY_FORBIDS_SOCKET });
  assertUnknown(checkSeccomp({ ...here, system: undefined }), /only by a call/);
  write("NoNewPrivs:\t0\n");
  assert.match(checkSeccomp(here).finding, /no seccomp$/);
  here.files.files.remove("/proc/self/status");
  assertUnknown(checkSeccomp(here), /status/);
  here.files.assertAllClosed();
});

test("receive-buffer: what is granted, and by which right", () => {
  const here = scene();
  const forced = checkReceiveBuffer(here);
  assert.equal(forced.verdict, "ok");
  assert.match(
    forced.finding,
    /^64 MiB of 64 MiB granted, by the kernel's count, room for about 81000 events; /,
  );
  assert.match(
    forced.finding,
    /rmem_max is 208 KiB, MemAvailable 4 GiB; beyond that limit by CAP_NET_ADMIN$/,
  );

  here.files.answers("setsockopt", -ERRNO.EPERM!);
  here.files.receiveBufferLimit = 425_984;
  const limited = checkReceiveBuffer(here);
  assert.equal(limited.verdict, "warn");
  assert.match(
    limited.finding,
    /^416 KiB of 64 MiB granted, by the kernel's count, room for about 510 events/,
  );
  assert.match(limited.advice!, /net\.core\.rmem_max=33554432/);

  here.files.receiveBufferLimit = 32 << 20; // the kernel counts double: this is half
  const half = checkReceiveBuffer(here);
  assert.equal(half.verdict, "warn");
  assert.match(half.finding, /^32 MiB of 64 MiB granted/);

  // A small machine is asked for less.
  here.files.files.write("/proc/meminfo", "MemAvailable:    1024 kB\n");
  assert.match(checkReceiveBuffer(here).finding, /^256 KiB of 256 KiB granted/);
  here.files.files.remove("/proc/meminfo");
  here.files.files.remove("/proc/sys/net/core/rmem_max");
  here.files.receiveBufferLimit = 2 ** 31 - 1;
  assert.match(checkReceiveBuffer(here).finding, /rmem_max is not known, MemAvailable not known$/);

  here.files.answers("socket", -ERRNO.EPERM!);
  assertUnknown(checkReceiveBuffer(here), /no socket/);
  here.files.assertAllClosed();
});

/** A process with a socket open. */
function owner({ files }: KernelLibc, pid: number, comm: string, inode: number): void {
  files.write(`/proc/${pid}/comm`, `${comm}\n`);
  files.link(`/proc/${pid}/fd/3`, `socket:[${inode}]`);
}

test("listeners: who they are, and that before 6.6 they can mute us", () => {
  for (const filters of [true, false]) {
    const here = scene(new KernelLibc({ filters }));
    const { files } = here.files;
    files.link("/proc/self", "4711");
    const none = { verdict: "ok", finding: "no other program listens to process events" };
    assert.deepEqual(checkListeners(here), none);
    // Another group is no process event.
    files.write("/proc/net/netlink", netlinkTable({ port: 9, groups: 4, inode: 90 }));
    assert.deepEqual(checkListeners(here), none);

    files.write("/proc/net/netlink", netlinkTable({ port: 10, groups: 1, inode: 100 }));
    owner(here.files, 4711, "bun", 100);
    assert.deepEqual(checkListeners(here), {
      verdict: "ok",
      finding: "1 socket listens to process events: this program",
    });

    files.write(
      "/proc/net/netlink",
      netlinkTable({ port: 10, groups: 5, inode: 100 }, { port: 20, groups: 1, inode: 200 }, {
        port: 30,
        groups: 1,
        inode: 300,
      }),
    );
    owner(here.files, 77, "forkstat", 200);
    const { verdict, finding } = checkListeners(here);
    assert.equal(verdict, filters ? "ok" : "warn");
    assert(
      finding.startsWith(
        "3 sockets listen to process events: this program, forkstat (pid 77), a program that cannot be seen",
      ),
      finding,
    );
    assert.equal(/can mute every watcher/.test(finding), !filters);

    const many = Array.from({ length: 9 }, (_, i) => ({ port: 50 + i, groups: 1, inode: 500 + i }));
    files.write("/proc/net/netlink", netlinkTable(...many));
    for (const { port, inode } of many.slice(0, 7)) owner(here.files, port, `p${port}`, inode);
    assert.match(
      checkListeners(here).finding,
      /: p50 .*, p54 \(pid 54\), 2 more, 2 programs that cannot be seen/,
    );
    files.remove("/proc/net/netlink");
    assertUnknown(checkListeners(here), /\/proc\/net\/netlink/);
  }
});

test("proc: hidepid counts unless a capability or a group helps", () => {
  const here = scene();
  const { files } = here.files;
  const mount = (options: string, caps: string): Finding => {
    files.write("/proc/self/mountinfo", mountinfo(options));
    files.write("/proc/self/status", status({ caps }));
    return checkProc(here);
  };
  assert.equal(mount("rw", NONE).verdict, "ok");
  assert.equal(mount("rw,hidepid=off", NONE).verdict, "ok");
  assert.equal(mount("rw,hidepid=0", NONE).verdict, "ok");
  const hidden = mount("rw,hidepid=invisible", NONE);
  assert.equal(hidden.verdict, "warn");
  assert.match(hidden.finding, /^hidepid=invisible: /);
  assert.match(hidden.advice!, /^run it as root.*\(CAP_SYS_PTRACE\)$/);
  assert.equal(mount("rw,hidepid=2", (1n << 19n).toString(16)).verdict, "ok");
  assert.equal(mount("rw,gid=30,hidepid=2", NONE).verdict, "ok");
  assert.equal(mount("rw,gid=8,hidepid=2", NONE).verdict, "ok");
  assert.match(mount("rw,gid=99,hidepid=1", NONE).advice!, /^join group 99, or /);
  assert.equal(mount("rw,gid=30,hidepid=ptraceable", NONE).verdict, "warn");
  assert.match(mount("rw,subset=pid", NONE).finding, /subset=pid/);
  files.write("/proc/self/mountinfo", "21 26 0:20 / /proc rw - tmpfs tmpfs rw\n");
  assertUnknown(checkProc(here), /no file system of type proc/);
  files.remove("/proc/self/mountinfo");
  assertUnknown(checkProc(here), /mountinfo/);
});

test("descriptors: how many are left", () => {
  const here = scene();
  const write = (soft: string): void =>
    here.files.files.write("/proc/self/limits", `Max open files            ${soft}      4096      files\n`);
  assert.deepEqual(checkDescriptors(here), { verdict: "ok", finding: "2 of up to 1024 are open" });
  write("33");
  assert.equal(checkDescriptors(here).verdict, "warn");
  write("34");
  assert.equal(checkDescriptors(here).verdict, "ok");
  write("unlimited");
  assert.equal(checkDescriptors(here).verdict, "ok");
  here.files.files.remove("/proc/self/limits");
  assertUnknown(checkDescriptors(here), /limits/);
  here.files.assertAllClosed();
});

test("subscription: an event of our own proves it, on new kernels and old", async () => {
  for (const filters of [true, false]) {
    const here = scene(new KernelLibc({ filters }));
    const { verdict, finding } = await checkSubscription(here);
    assert.equal(verdict, "ok", finding);
    assert.match(finding, /^an event of our own arrived within \d+\.\d ms$/);
    assert(here.system.poller.wakeUps >= 2, "the waiting thread is part of the proof");
    here.files.assertAllClosed();
    assert.deepEqual([...here.system.hooks], []);
  }
});

test("subscription: without descriptors for /proc a watch is none", async () => {
  const here = scene(new KernelLibc());
  const { open } = here.files;
  let opened = 0;
  here.files.open = (path, flags) => {
    if (decodeCString(path) !== "/proc/self/stat") return open.call(here.files, path, flags);
    return opened++ < 2 ? here.files.eventfd(0, 0) : -ERRNO.EMFILE!;
  };
  assert.deepEqual(await checkSubscription(here), { verdict: "fail", ...TOO_FEW_DESCRIPTORS });
  assert.equal(opened, 3);
  here.files.assertAllClosed();
});

test("subscription: a refusal is told in the words of the error", async () => {
  const here = scene(new KernelLibc({ acknowledges: false }));
  here.files.files.link("/proc/self/ns/pid", "pid:[4026532281]");
  assert.deepEqual(await checkSubscription(here), failure(OTHER_PID_NAMESPACE));

  const old = scene(new KernelLibc({ filters: false }));
  old.files.answers("setsockopt", 0, 0, 0, -ERRNO.EPERM!); // no ENOBUFS, buffer, filter; then the group
  assert.deepEqual(await checkSubscription(old), {
    verdict: "fail",
    finding: "setsockopt(NETLINK_ADD_MEMBERSHIP) failed with EPERM",
    advice: formatExplanation(JOINING_WANTS_NET_ADMIN),
  });
  here.files.assertAllClosed();
  old.files.assertAllClosed();
});

test("subscription: silence is found out in bounded time", async () => {
  for (const filters of [true, false]) {
    const here = scene(new KernelLibc({ filters, speaks: false }));
    const began = performance.now();
    const { verdict, finding, advice } = await checkSubscription(here, 300);
    assert(performance.now() - began < 5000);
    assert.equal(verdict, "fail");
    assert.match(finding, /acknowledged the subscription, but no event of our own came within 300 ms$/);
    assert.match(advice!, filters ? /^try again/ : /muted every watcher/);
    here.files.assertAllClosed();
  }
});

test("subscription: a waiting thread that dies is told", async () => {
  const here = scene(new KernelLibc({ speaks: false }));
  const found = checkSubscription(here, 5000);
  setTimeout(() => here.system.poller.die(new Error("the waiting thread ended")), 20);
  const { verdict, finding } = await found;
  assert.equal(verdict, "fail");
  assert.match(finding, /the waiting thread ended/);
  here.files.assertAllClosed();
});
