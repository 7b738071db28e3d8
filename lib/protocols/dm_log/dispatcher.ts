import type { CnMsg } from "../../connector/message.ts";
import { DecodeError } from "../../errors/decode_error.ts";
import { ERRNO } from "../../errors/errno.ts";
import { SyscallError } from "../../errors/syscall_error.ts";
import { CN_IDX_DM, CN_VAL_DM_USERSPACE_LOG } from "./constants.ts";
import { type DirtyLog, DirtyLogError, type DirtyLogs } from "./log.ts";
import {
  bareAck,
  decodeDmLogRequest,
  type DmLogCtr,
  type DmLogReply,
  type DmLogRequest,
  encodeDmLogReply,
} from "./message.ts";

const ID = { idx: CN_IDX_DM, val: CN_VAL_DM_USERSPACE_LOG } as const;

/** What a server has done so far. */
export interface DirtyLogStats {
  /** Requests answered, by type. */
  readonly answered: Readonly<Record<string, number>>;
  /** Those of them that were answered with an error. */
  readonly failed: number;
  /** Messages that were no requests, and were acknowledged with an error. */
  readonly malformed: number;
  /** Logs that the kernel has now. */
  readonly logs: number;
}

/** A log that the kernel has. */
interface Open {
  readonly log: DirtyLog;
  readonly uuid: string;
  /** Whether the next resume only brings a lost server back. */
  again: boolean;
}

/**
 * Answers requests, whatever brings them: each gets exactly one answer, also one that cannot be read, is not known, or
 * whose implementation throws, since the kernel would wait for 15 s and ask again for ever. Requests about one log are
 * answered one after another.
 */
export class DirtyLogDispatcher {
  readonly #implementation: DirtyLogs;
  readonly #onError: (error: unknown, request: DmLogRequest | undefined) => void;
  readonly #logs = new Map<bigint, Open>();
  /** The end of the queue of each log that has one, so that slow answers stay in order. */
  readonly #queues = new Map<bigint, Promise<unknown>>();
  readonly #answered: Record<string, number> = {};
  #failed = 0;
  #malformed = 0;

  constructor(
    implementation: DirtyLogs,
    onError: (error: unknown, request: DmLogRequest | undefined) => void,
  ) {
    this.#implementation = implementation;
    this.#onError = onError;
  }

  stats(): DirtyLogStats {
    return {
      answered: { ...this.#answered },
      failed: this.#failed,
      malformed: this.#malformed,
      logs: this.#logs.size,
    };
  }

  /** The answer to a message of the kernel: at once where the implementation answers at once. Never rejects. */
  answer(message: CnMsg): CnMsg | Promise<CnMsg> {
    let request: DmLogRequest;
    try {
      request = decodeDmLogRequest(message.data);
    } catch (error) {
      this.#malformed++;
      this.#report(error, undefined);
      // Its own number cannot be trusted; the message's is the same.
      return bareAck(message.seq, errnoOf(error));
    }
    const before = this.#queues.get(request.luid);
    if (before === undefined) {
      const reply = this.#replyTo(request);
      if (!(reply instanceof Promise)) return this.#encode(request, reply);
      return this.#enqueue(request, reply);
    }
    return this.#enqueue(request, before.then(() => this.#replyTo(request)));
  }

  /** Destroys all logs: the server ends. The kernel will ask for them again when there is another. */
  async close(): Promise<void> {
    await Promise.all(this.#queues.values());
    for (const [luid, { log }] of this.#logs) {
      this.#logs.delete(luid);
      try {
        await log.destroy();
      } catch (error) {
        this.#report(error, undefined);
      }
    }
  }

  #enqueue(request: DmLogRequest, reply: Promise<DmLogReply>): Promise<CnMsg> {
    const { luid } = request;
    const answer = reply.then((reply) => {
      if (this.#queues.get(luid) === answer) this.#queues.delete(luid);
      return this.#encode(request, reply);
    });
    this.#queues.set(luid, answer);
    return answer;
  }

  #encode(request: DmLogRequest, reply: DmLogReply): CnMsg {
    let data: Uint8Array;
    try {
      data = encodeDmLogReply(request, reply);
    } catch (error) { // an implementation's text with a NUL, say
      data = encodeDmLogReply(request, this.#failure(request, error));
    }
    this.#answered[request.type] = (this.#answered[request.type] ?? 0) + 1;
    return { id: ID, seq: request.seq, ack: 0, flags: 0, data };
  }

  #replyTo(request: DmLogRequest): DmLogReply | Promise<DmLogReply> {
    try {
      const reply = this.#carryOut(request);
      return reply instanceof Promise ? reply.catch((error) => this.#failure(request, error)) : reply;
    } catch (error) {
      return this.#failure(request, error);
    }
  }

  #failure(request: DmLogRequest, error: unknown): DmLogReply {
    this.#failed++;
    this.#report(error, request);
    return { type: request.type, error: -errnoOf(error) } as DmLogReply;
  }

  #carryOut(request: DmLogRequest): DmLogReply | Promise<DmLogReply> {
    const { type, luid } = request;
    if (type === "ctr") return this.#create(request);
    if (type === "unknown") {
      const explanation = `this version knows no request ${request.requestType}`;
      throw new DirtyLogError("answer a dirty log's request", ERRNO.EOPNOTSUPP!, explanation);
    }
    const open = this.#logs.get(luid);
    if (open === undefined) {
      // Of another server's time. To ESRCH the kernel answers by making the log again, and then asks again.
      if (type === "dtr") return { type, error: 0 };
      throw new DirtyLogError(
        "answer a dirty log's request",
        ERRNO.ESRCH!,
        `there is no log 0x${luid.toString(16)}`,
      );
    }
    const { log } = open;
    switch (type) {
      case "dtr":
        this.#logs.delete(luid);
        return after(log.destroy(), () => ({ type, error: 0 }));
      case "presuspend":
        return after(log.presuspend?.(), () => ({ type, error: 0 }));
      case "postsuspend":
        return after(log.postsuspend?.(), () => ({ type, error: 0 }));
      case "resume":
        return after(log.resume(open.again), () => {
          open.again = false;
          return { type, error: 0 };
        });
      case "get_region_size":
        return { type, error: 0, regionSize: BigInt(log.regionSize) };
      case "is_clean":
        return after(log.isClean(request.region), (value) => ({ type, error: 0, value }));
      case "in_sync":
        return after(log.inSync(request.region), (value) => ({ type, error: 0, value }));
      case "flush":
        return after(
          request.regions.length === 0 ? undefined : log.markRegions(request.regions),
          () => after(log.flush(), () => ({ type, error: 0 })),
        );
      case "mark_region":
        return after(log.markRegions(request.regions), () => ({ type, error: 0 }));
      case "clear_region":
        return after(log.clearRegions(request.regions), () => ({ type, error: 0 }));
      case "get_resync_work":
        return after(log.resyncWork(), (region) => ({ type, error: 0, region }));
      case "set_region_sync":
        return after(log.setRegionSync(request.region, request.inSync), () => ({ type, error: 0 }));
      case "get_sync_count":
        return after(log.syncCount(), (count) => ({ type, error: 0, count }));
      case "status_info":
        return after(log.status("info"), (text) => ({ type, error: 0, text }));
      case "status_table":
        return after(log.status("table"), (text) => ({ type, error: 0, text }));
      case "is_remote_recovering": {
        const recovering = log.remoteRecovering?.(request.region) ?? { recovering: false, inSyncHint: 0n };
        return after(recovering, (answer) => ({ type, error: 0, ...answer }));
      }
    }
  }

  /** Whatever the listener does, the kernel gets its answer. */
  #report(error: unknown, request: DmLogRequest | undefined): void {
    try {
      this.#onError(error, request);
    } catch (second) {
      console.error("kernel-connector: onError failed:", second);
    }
  }

  #create(request: DmLogCtr): DmLogReply | Promise<DmLogReply> {
    const { luid, uuid, again } = request;
    const existing = this.#logs.get(luid);
    if (existing !== undefined && existing.uuid === uuid && again) {
      // Several of the kernel's threads may come back for the same log.
      existing.again = true;
      return { type: "ctr", error: 0 };
    }
    // An address that was used before: that log was destroyed while nobody listened.
    this.#logs.delete(luid);
    return after(
      existing?.log.destroy(),
      () =>
        after(this.#implementation.create(request), ({ log, device }) => {
          this.#logs.set(luid, { log, uuid, again });
          // When it comes back it has no room for a device, and before version 2 it knew of none.
          return { type: "ctr", error: 0, device: again || request.version < 2 ? undefined : device };
        }),
    );
  }
}

/** Goes on at once after what is no promise: most logs never wait, and each answer holds up a write. */
function after<T, U>(value: T | Promise<T>, then: (value: T) => U | Promise<U>): U | Promise<U> {
  return value instanceof Promise ? value.then(then) : then(value);
}

function errnoOf(error: unknown): number {
  if (error instanceof DirtyLogError || error instanceof SyscallError) return error.errno;
  return error instanceof DecodeError ? ERRNO.EBADMSG! : ERRNO.EIO!;
}
