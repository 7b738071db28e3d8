import type { Host } from "../../ffi/host.ts";
import type { CallableContext } from "../../lib/diagnose/context.ts";
import { ERRNO } from "../../lib/errors/errno.ts";
import { LITTLE, viewOf } from "../../lib/wire/bytes.ts";
import { recordableKernel } from "../bpf/btf_file.ts";
import { FakeLibc, type SentDatagram } from "../support/fake_libc.ts";
import { type FakeSystem, fakeSystem } from "../support/fake_poller.ts";

/** CAP_NET_ADMIN and CAP_SYS_PTRACE. */
const BOTH = ((1n << 12n) | (1n << 19n)).toString(16).padStart(16, "0");
export const NONE = "0000000000000000";

/** Our own /proc/self/status. */
export function status(options: { uid?: number; caps?: string; more?: string } = {}): string {
  const { uid = 0, caps = BOTH, more = "NoNewPrivs:\t0\nSeccomp:\t0\nSeccomp_filters:\t0\n" } = options;
  return `Name:\tbun\nUid:\t${uid}\t${uid}\t${uid}\t${uid}\nGid:\t7\t8\t8\t8\nGroups:\t20 30 \n` +
    `CapInh:\t${NONE}\nCapEff:\t${caps}\n${more}`;
}

/** A mountinfo with /proc as usual, or with these mount options. */
export function mountinfo(options = "rw"): string {
  return "21 26 0:20 / /sys rw,nosuid - sysfs sysfs rw\n" +
    `22 26 0:21 / /proc rw,nosuid shared:5 - proc proc ${options}\n` +
    "40 22 0:38 / /proc/sys/fs/binfmt_misc rw - autofs systemd-1 rw,hidepid=2\n";
}

const LISTENERS =
  "sk               Eth Pid        Groups   Rmem     Wmem     Dump  Locks    Drops    Inode\n" +
  "0000000000000000 11  0          00000000 0        0        0     2        0        17\n";

/** /proc/net/netlink with the kernel's socket and these. */
export function netlinkTable(...sockets: readonly { port: number; groups: number; inode: number }[]): string {
  const rows = sockets.map(({ port, groups, inode }) =>
    `0000000000000000 11  ${port}   ${
      groups.toString(16).padStart(8, "0")
    } 0        0        0     2        0        ${inode}\n`
  );
  return LISTENERS + rows.join("");
}

/** Commands of bpf(2) that answer a descriptor: BPF_MAP_CREATE, BPF_PROG_LOAD, BPF_RAW_TRACEPOINT_OPEN. */
const BPF_OPENERS = [0, 5, 17];

/** Types of generic netlink messages: of the family of families, and the number that this kernel gives to TASKSTATS. */
const GENL_ID_CTRL = 16;
const TASKSTATS_ID = 23;
const NLMSG_ERROR = 2;

/** How the fake kernel behaves. */
export interface KernelBehavior {
  /** Whether it supports the long LISTEN. Default true. */
  readonly filters?: boolean;
  /** Whether it acknowledges at all. Default true. */
  readonly acknowledges?: boolean;
  /** Whether it records execs for us. Default true. */
  readonly records?: boolean;
  /** Whether a change of our name causes an event. Default true. */
  readonly sendsComm?: boolean;
  /** The error with which it refuses task statistics. Default none. */
  readonly refusesTaskstats?: number;
}

/** A libc on a kernel that serves process events. */
export class KernelLibc extends FakeLibc {
  readonly #behavior: KernelBehavior;
  #seq = 0;

  constructor(behavior: KernelBehavior = {}) {
    super();
    this.#behavior = behavior;
    this.onSend = (datagram) => this.#onSend(datagram);
    const { files } = this;
    files.write("/proc/sys/kernel/osrelease", behavior.filters === false ? "6.1.7-generic\n" : "6.12.3\n");
    files.write("/proc/sys/net/core/rmem_max", "212992\n");
    files.write("/proc/meminfo", "MemTotal: 9 kB\nMemAvailable:    4194304 kB\n");
    files.write("/proc/net/connector", "Name            ID\ncn_proc         1:1\nw1              3:1\n");
    files.write("/proc/net/netlink", netlinkTable());
    files.write("/proc/self/status", status());
    files.write("/proc/self/mountinfo", mountinfo());
    files.write(
      "/proc/self/limits",
      "Limit Soft Hard Units\nMax open files            1024      4096      files\n",
    );
    files.write("/proc/self/maps", "7f00-7f01 r--p 00000000 fe:00 12    /usr/lib64/libc.so.6\n");
    files.write("/proc/self/fd/0", "");
    files.write("/proc/self/fd/1", "");
    files.write("/sys/devices/system/cpu/possible", "0-1\n");
    files.write("/sys/kernel/btf/vmlinux", recordableKernel());
    files.link("/proc/self/ns/pid", "pid:[4026531836]");
    files.link("/proc/self/ns/user", "user:[4026531837]");
  }

  override prctl(option: number, argument: Uint8Array): number {
    const result = super.prctl(option, argument);
    if (option === 15 && this.#behavior.sendsComm !== false) {
      this.receives("all", { bytes: this.#event(0x200, 0) });
    }
    return result;
  }

  /** Loads every program; there is never a record. */
  override bpf(command: number, attributes: Uint8Array): number {
    if (this.#behavior.records === false) return super.bpf(command, attributes);
    this.calls.push({ name: "bpf", args: [command, attributes.slice()], result: 0 });
    return BPF_OPENERS.includes(command) ? this.eventfd(0, 0) : -ERRNO.ENOENT!;
  }

  #onSend({ fd, bytes, port }: SentDatagram): void {
    const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
    const type = view.getUint16(4, LITTLE);
    if (type === GENL_ID_CTRL || type === TASKSTATS_ID) return this.#onGeneric(fd, type, view);
    const isProc = port === 0 && view.getUint32(16, LITTLE) === 1 && view.getUint32(36, LITTLE) === 1;
    const long = view.getUint16(32, LITTLE) === 8;
    if (!isProc || this.#behavior.acknowledges === false) return;
    if (long && (this.#behavior.filters === false || view.getUint32(40, LITTLE) !== 0xe00003c7)) return;
    this.receives(fd, { bytes: this.#event(0, view.getUint32(28, LITTLE) + 1) });
  }

  #onGeneric(fd: number, type: number, request: DataView): void {
    const answer = (answerType: number, payload: readonly number[]): void => {
      const bytes = new Uint8Array(16 + payload.length);
      bytes.set(payload, 16);
      const view = viewOf(bytes);
      view.setUint32(0, bytes.length, LITTLE);
      view.setUint16(4, answerType, LITTLE);
      view.setUint32(8, request.getUint32(8, LITTLE), LITTLE);
      this.receives(fd, { bytes });
    };
    const refusal = type === TASKSTATS_ID ? this.#behavior.refusesTaskstats ?? 0 : 0;
    // struct genlmsghdr, then CTRL_ATTR_FAMILY_ID
    if (type === GENL_ID_CTRL) answer(type, [1, 2, 0, 0, 6, 0, 1, 0, TASKSTATS_ID, 0, 0, 0]);
    answer(NLMSG_ERROR, [
      ...new Uint8Array(new Int32Array([-refusal]).buffer),
      ...new Array<number>(16).fill(0),
    ]);
  }

  #event(what: number, ack: number): Uint8Array {
    const bytes = new Uint8Array(76);
    const view = new DataView(bytes.buffer);
    view.setUint32(0, 76, LITTLE);
    view.setUint16(4, 3, LITTLE);
    view.setUint32(16, 1, LITTLE);
    view.setUint32(20, 1, LITTLE);
    view.setUint32(24, this.#seq++, LITTLE);
    view.setUint32(28, ack >>> 0, LITTLE);
    view.setUint16(32, 40, LITTLE);
    view.setUint32(36, what, LITTLE);
    if (what !== 0) {
      view.setUint32(52, this.pid, LITTLE);
      view.setUint32(56, this.pid, LITTLE);
    }
    return bytes;
  }
}

const HOST: Host = { runtime: "bun", platform: "linux", arch: "x64", pid: 4711, version: "1.4.5" };

/** A context in which every check succeeds, and its fakes. */
export function fakeContext(
  libc: KernelLibc = new KernelLibc(),
  host: Partial<Host> = {},
): CallableContext & { readonly system: FakeSystem; readonly files: KernelLibc } {
  const system: FakeSystem = { ...fakeSystem(libc), library: "libc.so.6" };
  return { host: { ...HOST, ...host }, system, refusal: undefined, files: libc };
}
