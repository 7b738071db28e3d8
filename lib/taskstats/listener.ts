import type { System } from "../../ffi/libc.ts";
import { DecodeError } from "../errors/decode_error.ts";
import { DatagramBatch } from "../netlink/datagram_batch.ts";
import { attributesAt, GenericRequests, visitNlmsgs } from "../netlink/generic.ts";
import { KERNEL_PORT, NETLINK_GENERIC } from "../netlink/message.ts";
import { receiveQueued } from "../netlink/receive.ts";
import { clampReceiveBuffer, NetlinkSocket } from "../netlink/socket.ts";
import { readTextFile } from "../procfs/file.ts";
import { decodeTask, type OnTask } from "./message.ts";

/** Of include/uapi/linux/taskstats.h. */
const TASKSTATS_GENL_NAME = "TASKSTATS";
const TASKSTATS_GENL_VERSION = 1;
const TASKSTATS_CMD_GET = 1;
const TASKSTATS_CMD_ATTR_REGISTER_CPUMASK = 3;

/** A message has about 600 bytes; that of a process's last thread holds two structures. */
const SLOT_BYTES = 2048;
const SLOTS = 64;
/** One message takes about 1.3 kB of the buffer. */
const RECEIVE_BUFFER_BYTES = 16 << 20;

/**
 * Receives what the kernel has counted of every task when it ends. The kernel sends it before the exit event of the same
 * task: who has the event finds this in the queue.
 *
 * The kernel forgets a listener when its socket is closed, in whatever way.
 */
export class TaskstatsListener implements Disposable {
  readonly #socket: NetlinkSocket;
  readonly #datagrams: DatagramBatch;
  readonly #family: number;
  /** Whether delays of block devices are accounted for. */
  readonly hasDelays: boolean;
  /** Messages that were truncated or otherwise not understood. */
  malformed = 0;

  private constructor(socket: NetlinkSocket, datagrams: DatagramBatch, family: number, hasDelays: boolean) {
    this.#socket = socket;
    this.#datagrams = datagrams;
    this.#family = family;
    this.hasDelays = hasDelays;
  }

  /**
   * Asks for the tasks of all processors.
   *
   * @param action completes "Cannot …" in the errors.
   * @throws {SyscallError} EPERM without CAP_NET_ADMIN, ENOENT where the kernel has no task statistics.
   */
  static open({ libc }: System, action: string): TaskstatsListener {
    const socket = NetlinkSocket.open(libc, action, NETLINK_GENERIC);
    try {
      socket.disableOverrunErrors();
      socket.setReceiveBuffer(clampReceiveBuffer(libc, RECEIVE_BUFFER_BYTES, action));
      const requests = new GenericRequests(libc, socket, action);
      const family = requests.family(TASKSTATS_GENL_NAME);
      const processors = processorList(libc);
      requests.send({
        family,
        cmd: TASKSTATS_CMD_GET,
        version: TASKSTATS_GENL_VERSION,
        attribute: { type: TASKSTATS_CMD_ATTR_REGISTER_CPUMASK, text: processors },
      });
      const datagrams = new DatagramBatch(libc, SLOTS, SLOT_BYTES);
      return new TaskstatsListener(socket, datagrams, family, accountsForDelays(libc));
    } catch (error) {
      socket.close();
      throw error;
    }
  }

  /** How many messages the kernel had no room for. */
  get lost(): number {
    return this.#socket.drops();
  }

  /**
   * Receives all that is queued, without waiting.
   *
   * @throws {SyscallError} If the socket cannot be read.
   */
  receive(onTask: OnTask): void {
    let count: number;
    do {
      count = receiveQueued(this.#socket, this.#datagrams, "receive task statistics");
      for (let i = 0; i < count; i++) this.#decode(i, onTask);
    } while (count === SLOTS);
  }

  [Symbol.dispose](): void {
    this.#socket.close();
  }

  #decode(i: number, onTask: OnTask): void {
    const datagrams = this.#datagrams;
    if (datagrams.senderPort(i) !== KERNEL_PORT) return; // forged
    if (datagrams.truncated(i)) {
      this.malformed++;
      return;
    }
    const { view } = datagrams;
    try {
      visitNlmsgs(view, datagrams.at(i), datagrams.end(i), (type, _seq, begin, end) => {
        if (type === this.#family) decodeTask(view, attributesAt(begin), end, onTask);
      });
    } catch (error) {
      if (!(error instanceof DecodeError)) throw error;
      this.malformed++;
    }
  }
}

/** The machine's processors as "0-3". Without /sys, those of /proc: the kernel accepts no number above its own. */
function processorList(libc: System["libc"]): string {
  const possible = readTextFile(libc, "/sys/devices/system/cpu/possible")?.trim();
  if (possible !== undefined) return possible;
  const online = [...(readTextFile(libc, "/proc/stat") ?? "").matchAll(/^cpu(\d+) /gm)];
  return `0-${online.at(-1)?.[1] ?? 0}`;
}

/** Delays are accounted for unless they are switched off: by a sysctl from 5.14 on, by a boot parameter before. */
function accountsForDelays(libc: System["libc"]): boolean {
  const setting = readTextFile(libc, "/proc/sys/kernel/task_delayacct");
  if (setting !== undefined) return setting.trim() !== "0";
  return !/(^|\s)nodelayacct(\s|$)/.test(readTextFile(libc, "/proc/cmdline") ?? "");
}
