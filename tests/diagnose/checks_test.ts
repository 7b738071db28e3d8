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
  nodeWithoutFfi,
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
import type { Context } from "../../lib/diagnose/context.ts";
import {
  checkConnector,
  checkIdentifiers,
  checkKernel,
  checkNetworkNamespace,
  checkProcessEvents,
} from "../../lib/diagnose/kernel.ts";
import {
  checkCapabilities,
  checkPidNamespace,
  checkSeccomp,
  checkTimeNamespace,
  checkUserNamespace,
} from "../../lib/diagnose/permissions.ts";
import { checkLibc, checkPermission, checkRuntime } from "../../lib/diagnose/runtime.ts";
import { checkSubscription } from "../../lib/diagnose/subscription.ts";
import {
  checkDescriptors,
  checkListeners,
  checkProc,
  checkReceiveBuffer,
} from "../../lib/diagnose/system.ts";
import { decodeCString } from "../../lib/wire/text.ts";
import { fakeContext, KernelLibc, mountinfo, netlinkTable, NONE, status } from "./context.ts";

const ADMIN_ONLY = (1n << 12n).toString(16).padStart(16, "0");

/** A context where C cannot be called. */
function refusedContext(why: Refusal, runtime: "bun" | "deno" | "node" = "node"): Context {
  const { host } = fakeContext(undefined, { runtime });
  return { host, system: undefined, refusal: unsupported("diagnose", why), files: undefined };
}

/** The failure that a refusal becomes: it has the words of the error. */
function failure({ finding, advice }: Refusal): Finding {
  return advice === undefined ? { verdict: "fail", finding } : { verdict: "fail", finding, advice };
}

function assertUnknown(found: Finding, why: RegExp): void {
  assert.equal(found.verdict, "warn");
  assert.match(found.finding, /^unknown: /);
  assert.match(found.finding, why);
}

test("runtime: names it, and fails on another platform or an old Node", () => {
  assert.deepEqual(checkRuntime(fakeContext()), { verdict: "ok", finding: "Bun 1.4.5 on linux, x64" });
  const old = nodeWithoutFfi("v20.11.1");
  assert.equal(
    formatExplanation(old),
    "this is Node v20.11.1, and node:ffi needs Node 26 or newer: update it, or use Bun or Deno",
  );
  assert.deepEqual(checkRuntime(refusedContext(old)), failure(old));
  const other = otherPlatform("darwin", "arm64");
  assert.deepEqual(checkRuntime(refusedContext(other)), failure(other));
  // Other refusals are not about the runtime.
  assert.equal(checkRuntime(refusedContext(NODE_FORBIDS_FFI)).verdict, "ok");
});

test("permission: names the missing flag, and the granted scope", () => {
  const paths = ["/lib/x/libc.so.6", "/lib64/libc.so.6"];
  const refusal = denoForbidsLibc(paths);
  assert.deepEqual(checkPermission(refusedContext(refusal, "deno")), failure(refusal));
  assert.match(refusal.advice!, /^add --allow-ffi=\/lib\/x\/libc\.so\.6 \(.*: \/lib64\/libc\.so\.6\)$/);
  assert.deepEqual(checkPermission(refusedContext(NODE_FORBIDS_FFI)), failure(NODE_FORBIDS_FFI));
  assertUnknown(checkPermission(refusedContext(nodeWithoutFfi("v18.0.0"))), /C cannot be called/);

  const whole = fakeContext(undefined, { runtime: "deno" });
  assert.deepEqual(checkPermission(whole), { verdict: "ok", finding: "calling C is allowed" });
  const scoped = { ...whole, system: { ...whole.system, library: "/lib64/libc.so.6" } };
  assert.deepEqual(checkPermission(scoped), {
    verdict: "ok",
    finding: "calling /lib64/libc.so.6 is allowed",
  });
});

test("libc: names it, its version where that is known, and its file", () => {
  const here = fakeContext();
  here.files.glibcVersion = "glibc 2.36";
  assert.equal(checkLibc(here).finding, "glibc 2.36: opened libc.so.6, which is /usr/lib64/libc.so.6");
  here.files.files.write("/proc/self/maps", "7f r-xp 0 fe:00 1 /lib/ld-musl-x86_64.so.1\n");
  here.files.glibcVersion = "";
  assert.equal(checkLibc(here).finding, "musl: opened libc.so.6, which is /lib/ld-musl-x86_64.so.1");
  here.files.files.remove("/proc/self/maps");
  assert.deepEqual(checkLibc(here), { verdict: "ok", finding: "musl: opened libc.so.6" });
  const missing = libcNotLoaded("no such file");
  assert.deepEqual(checkLibc(refusedContext(missing)), failure(missing));
  assertUnknown(checkLibc(refusedContext(NODE_FORBIDS_FFI)), /cannot be called/);
});

test("kernel: knows the limits of each release", () => {
  const here = fakeContext();
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

test("connector: socket() fails without CONFIG_CONNECTOR and under a policy", () => {
  const here = fakeContext();
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

test("connector: a sandbox or an emulator is not taken for a kernel without a connector", () => {
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
    // The kernel serves it, but the socket is refused.
    [CONNECTOR_WITHHELD, "EPROTONOSUPPORT", {}],
    [CONNECTOR_WITHHELD, "EPFNOSUPPORT", none],
    [CONNECTOR_WITHHELD, "ENOSYS", none],
    // The kernel's architecture is another one.
    [CONNECTOR_WITHHELD, "EPROTONOSUPPORT", { ...none, "/proc/sys/kernel/arch": "aarch64\n" }],
    // Every kernel has AF_NETLINK, so a filter must be hiding it.
    [FILTER_WITHHOLDS_CONNECTOR, "EAFNOSUPPORT", { ...none, ...filtered }],
    [FILTER_WITHHOLDS_CONNECTOR, "EPROTONOSUPPORT", filtered],
  ];
  for (const [refusal, errno, files] of cases) {
    const here = fakeContext();
    for (const [path, content] of Object.entries(files)) {
      if (content === undefined) here.files.files.remove(path);
      else here.files.files.write(path, content);
    }
    here.files.answers("socket", -ERRNO[errno]!);
    assert.deepEqual(checkConnector(here), failure(refusal), `${errno} ${JSON.stringify(files)}`);
    here.files.assertAllClosed();
  }
});

test("network-namespace: the result of sending to the kernel shows it", () => {
  const here = fakeContext();
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
  // Without C: only the initial namespace has the list of identifiers.
  const blind = { ...here, system: undefined };
  assert.equal(checkNetworkNamespace(blind).verdict, "ok");
  here.files.files.remove("/proc/net/connector");
  assertUnknown(checkNetworkNamespace(blind), /\/proc\/net\/connector/);
});

test("pid-namespace and user-namespace: read from the links in /proc", () => {
  const here = fakeContext();
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

test("time-namespace: how far its clock is from the clock of the events", () => {
  const here = fakeContext();
  assert.equal(checkTimeNamespace(here).verdict, "ok");
  const there = fakeContext();
  there.files.files.write("/proc/self/timens_offsets", "monotonic  864000  0\nboottime  864000  0\n");
  const { verdict, finding } = checkTimeNamespace(there);
  assert.equal(verdict, "ok");
  assert.match(finding, /is 864000 s ahead of .*: times are corrected$/);
  const blind = fakeContext();
  blind.files.answers("open", -ERRNO.EMFILE!);
  assertUnknown(checkTimeNamespace(blind), /timens_offsets/);
});

test("process-events and identifiers: read from /proc/net/connector", () => {
  const here = fakeContext();
  assert.equal(checkProcessEvents(here).verdict, "ok");
  assert.deepEqual(checkIdentifiers(here), { verdict: "ok", finding: "cn_proc 1:1, w1 3:1" });
  here.files.files.write("/proc/net/connector", "Name            ID\nw1              3:1\n");
  assert.deepEqual(checkProcessEvents(here), failure(NO_PROC_EVENTS));
  here.files.files.write("/proc/net/connector", "Name            ID\n");
  assert.equal(checkIdentifiers(here).verdict, "warn");
  here.files.files.remove("/proc/net/connector");
  assertUnknown(checkProcessEvents(here), /initial network namespace/);
  assertUnknown(checkIdentifiers(here), /initial network namespace/);
});

test("capabilities: which are missing, and what that costs", () => {
  const here = fakeContext();
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

  // In another user namespace no capability has an effect.
  files.write("/proc/self/status", status());
  files.link("/proc/self/ns/user", "user:[4026532282]");
  const contained = checkCapabilities(here);
  assert.deepEqual([contained.verdict, contained.advice], ["warn", OTHER_USER_NAMESPACE.advice]);

  files.write("/proc/self/status", "Name:\tbun\n");
  assertUnknown(checkCapabilities(here), /status/);
  files.remove("/proc/self/status");
  assertUnknown(checkCapabilities(here), /status/);
});

test("capabilities: before 6.6 CAP_NET_ADMIN is required, in the words of the error", () => {
  const here = fakeContext(new KernelLibc({ filters: false }));
  assert.equal(checkCapabilities(here).verdict, "ok");
  here.files.files.write("/proc/self/status", status({ uid: 1000, caps: NONE }));
  assert.deepEqual(checkCapabilities(here), {
    verdict: "fail",
    finding: `user 1000: ${JOINING_WANTS_NET_ADMIN.finding}`,
    advice: JOINING_WANTS_NET_ADMIN.advice,
  });
});

test("seccomp: a filter is a failure only if it forbids the socket", () => {
  const here = fakeContext();
  const write = (more: string): void => here.files.files.write("/proc/self/status", status({ more }));
  assert.deepEqual(checkSeccomp(here), { verdict: "ok", finding: "no seccomp filter" });
  write("NoNewPrivs:\t1\nSeccomp:\t2\nSeccomp_filters:\t3\n");
  const passed = checkSeccomp(here);
  assert.equal(passed.verdict, "ok");
  assert.match(passed.finding, /filters system calls \(3 filters\); no_new_privs is set.*allowed$/);
  here.files.answers("socket", -ERRNO.EPERM!);
  assert.deepEqual(checkSeccomp(here), { verdict: "fail", ...POLICY_FORBIDS_SOCKET });
  assertUnknown(checkSeccomp({ ...here, system: undefined }), /without calling C/);
  write("NoNewPrivs:\t0\n");
  assert.match(checkSeccomp(here).finding, /no seccomp$/);
  here.files.files.remove("/proc/self/status");
  assertUnknown(checkSeccomp(here), /status/);
  here.files.assertAllClosed();
});

test("receive-buffer: how much is granted, and why", () => {
  const here = fakeContext();
  const forced = checkReceiveBuffer(here);
  assert.equal(forced.verdict, "ok");
  assert.match(
    forced.finding,
    /^64 MiB of 64 MiB granted, with the kernel's overhead: room for about 81000 events; /,
  );
  assert.match(
    forced.finding,
    /rmem_max is 208 KiB, MemAvailable 4 GiB; CAP_NET_ADMIN lifts that limit$/,
  );

  here.files.answers("setsockopt", -ERRNO.EPERM!);
  here.files.receiveBufferLimit = 425_984;
  const limited = checkReceiveBuffer(here);
  assert.equal(limited.verdict, "warn");
  assert.match(
    limited.finding,
    /^416 KiB of 64 MiB granted, with the kernel's overhead: room for about 510 events/,
  );
  assert.match(limited.advice!, /net\.core\.rmem_max=33554432/);

  here.files.receiveBufferLimit = 32 << 20; // the kernel doubles the size: this is half
  const half = checkReceiveBuffer(here);
  assert.equal(half.verdict, "warn");
  assert.match(half.finding, /^32 MiB of 64 MiB granted/);

  // On a small machine less is requested.
  here.files.files.write("/proc/meminfo", "MemAvailable:    1024 kB\n");
  assert.match(checkReceiveBuffer(here).finding, /^256 KiB of 256 KiB granted/);
  here.files.files.remove("/proc/meminfo");
  here.files.files.remove("/proc/sys/net/core/rmem_max");
  here.files.receiveBufferLimit = 2 ** 31 - 1;
  assert.match(checkReceiveBuffer(here).finding, /rmem_max is unknown, MemAvailable unknown$/);

  here.files.answers("socket", -ERRNO.EPERM!);
  assertUnknown(checkReceiveBuffer(here), /no socket/);
  here.files.assertAllClosed();
});

/** A process with a socket open. */
function owner({ files }: KernelLibc, pid: number, comm: string, inode: number): void {
  files.write(`/proc/${pid}/comm`, `${comm}\n`);
  files.link(`/proc/${pid}/fd/3`, `socket:[${inode}]`);
}

test("listeners: names them, and warns before 6.6 that they can mute us", () => {
  for (const filters of [true, false]) {
    const here = fakeContext(new KernelLibc({ filters }));
    const { files } = here.files;
    files.link("/proc/self", "4711");
    const none = { verdict: "ok", finding: "no other program listens to process events" };
    assert.deepEqual(checkListeners(here), none);
    // A listener to another group does not count.
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
        "3 sockets listen to process events: this program, forkstat (pid 77), a program whose process is hidden from us",
      ),
      finding,
    );
    assert.equal(/can mute every watcher/.test(finding), !filters);

    const many = Array.from({ length: 9 }, (_, i) => ({ port: 50 + i, groups: 1, inode: 500 + i }));
    files.write("/proc/net/netlink", netlinkTable(...many));
    for (const { port, inode } of many.slice(0, 7)) owner(here.files, port, `p${port}`, inode);
    assert.match(
      checkListeners(here).finding,
      /: p50 .*, p54 \(pid 54\), 2 more, 2 programs whose processes are hidden from us/,
    );
    files.remove("/proc/net/netlink");
    assertUnknown(checkListeners(here), /\/proc\/net\/netlink/);
  }
});

test("proc: hidepid is a limitation unless a capability or a group exempts us", () => {
  const here = fakeContext();
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

test("descriptors: how many are left below the limit", () => {
  const here = fakeContext();
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

test("descriptors: those inherited beyond the limit do not count as used", () => {
  const here = fakeContext();
  const { files } = here.files;
  files.write("/proc/self/limits", "Max open files            8      8      files\n");
  for (const fd of [8, 10, 251]) files.write(`/proc/self/fd/${fd}`, "");
  const { verdict, finding } = checkDescriptors(here);
  assert.equal(verdict, "warn");
  assert.equal(finding, "2 of up to 8 are open, and 3 inherited with numbers beyond the limit");
});

test("subscription: an event of our own arrives, on new and old kernels", async () => {
  for (const filters of [true, false]) {
    const here = fakeContext(new KernelLibc({ filters }));
    const { verdict, finding } = await checkSubscription(here);
    assert.equal(verdict, "ok", finding);
    assert.match(finding, /^an event of our own arrived within \d+\.\d ms$/);
    assert(here.system.poller.wakeUps >= 2, "the waiting thread takes part");
    here.files.assertAllClosed();
    assert.deepEqual([...here.system.hooks], []);
  }
});

test("subscription: fails without descriptors for /proc", async () => {
  const here = fakeContext(new KernelLibc());
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

test("subscription: a refusal has the words of the error", async () => {
  const here = fakeContext(new KernelLibc({ acknowledges: false }));
  here.files.files.link("/proc/self/ns/pid", "pid:[4026532281]");
  assert.deepEqual(await checkSubscription(here), failure(OTHER_PID_NAMESPACE));

  const old = fakeContext(new KernelLibc({ filters: false }));
  old.files.answers("setsockopt", 0, 0, 0, -ERRNO.EPERM!); // no ENOBUFS, buffer, filter; then the group
  assert.deepEqual(await checkSubscription(old), {
    verdict: "fail",
    finding: "setsockopt(NETLINK_ADD_MEMBERSHIP) failed with EPERM",
    advice: formatExplanation(JOINING_WANTS_NET_ADMIN),
  });
  here.files.assertAllClosed();
  old.files.assertAllClosed();
});

test("subscription: a silent kernel is detected in bounded time", async () => {
  for (const filters of [true, false]) {
    const here = fakeContext(new KernelLibc({ filters, sendsComm: false }));
    const began = performance.now();
    const { verdict, finding, advice } = await checkSubscription(here, 300);
    assert(performance.now() - began < 30_000);
    assert.equal(verdict, "fail");
    assert.match(finding, /acknowledged the subscription, but no event of our own arrived within 300 ms$/);
    assert.match(advice!, filters ? /^try again/ : /muted every watcher/);
    here.files.assertAllClosed();
  }
});

test("subscription: the death of the waiting thread is reported", async () => {
  const here = fakeContext(new KernelLibc({ sendsComm: false }));
  const found = checkSubscription(here, 5000);
  setTimeout(() => here.system.poller.die(new Error("the waiting thread ended")), 20);
  const { verdict, finding } = await found;
  assert.equal(verdict, "fail");
  assert.match(finding, /the waiting thread ended/);
  here.files.assertAllClosed();
});
