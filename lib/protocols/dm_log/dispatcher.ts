import type { CnMsg } from "../../connector/message.ts";
import { callSafely } from "../../errors/callback.ts";
import { DecodeError } from "../../errors/decode_error.ts";
import { ERRNO } from "../../errors/errno.ts";
import { SyscallError } from "../../errors/syscall_error.ts";
import { CN_IDX_DM, CN_VAL_DM_USERSPACE_LOG } from "./constants.ts";
import { type DirtyLog, DirtyLogError, type DirtyLogs } from "./log.ts";
import { decodeDmLogRequest, type DmLogCtr, type DmLogRequest } from "./message.ts";
import { bareAck, type DmLogReply, encodeDmLogReply } from "./reply.ts";

const ID = { idx: CN_IDX_DM, val: CN_VAL_DM_USERSPACE_LOG } as const;

/** Counters of a server. */
export interface DirtyLogStats {
  /** Requests answered, by type. */
  readonly answered: Readonly<Record<string, number>>;
  /** Requests answered with an error; included in `answered`. */
  readonly failed: number;
  /** Messages that could not be decoded and were acknowledged with an error. */
  readonly malformed: number;
  /** Logs that are open now. */
  readonly logs: number;
}

/** A log that is open. */
interface OpenLog {
  readonly log: DirtyLog;
  readonly uuid: string;
  /** Whether the next resume only follows a reconnect of the kernel. */
  again: boolean;
}

/**
 * Answers requests, independent of their transport. Every request gets exactly one reply, even one that cannot be decoded,
 * is unknown, or makes the implementation throw: otherwise the kernel would wait for 15 s and retry for ever. Requests
 * for the same log are answered one after another.
 */
export class DirtyLogDispatcher {
  readonly #implementation: DirtyLogs;
  readonly #onError: (error: unknown, request: DmLogRequest | undefined) => void;
  readonly #logs = new Map<bigint, OpenLog>();
  /** The last pending reply of each log, to keep slow replies in order. */
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

  /** The reply to a message of the kernel; synchronous if the implementation is. Never rejects. */
  answer(message: CnMsg): CnMsg | Promise<CnMsg> {
    let request: DmLogRequest;
    try {
      request = decodeDmLogRequest(message.data);
    } catch (error) {
      this.#malformed++;
      this.#report(error, undefined);
      // The request's own number cannot be decoded; the message has the same one.
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

  /** Destroys all logs, because the server ends. The kernel creates them again at the next server. */
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
    } catch (error) { // for example an implementation's text with a NUL
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
      const explanation = `request ${request.requestType} is not supported`;
      throw new DirtyLogError("answer a dirty log's request", ERRNO.EOPNOTSUPP!, explanation);
    }
    const open = this.#logs.get(luid);
    if (open === undefined) {
      // Created at another server. After ESRCH the kernel creates the log again and repeats the request.
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

  /** An error of the callback does not affect the reply. */
  #report(error: unknown, request: DmLogRequest | undefined): void {
    callSafely("onError", () => this.#onError(error, request));
  }

  #create(request: DmLogCtr): DmLogReply | Promise<DmLogReply> {
    const { luid, uuid, again } = request;
    const existing = this.#logs.get(luid);
    if (existing !== undefined && existing.uuid === uuid && again) {
      // Several kernel threads may reconnect to the same log.
      existing.again = true;
      return { type: "ctr", error: 0 };
    }
    // The address is reused: the old log was destroyed while no server was running.
    this.#logs.delete(luid);
    return after(
      existing?.log.destroy(),
      () =>
        after(this.#implementation.create(request), ({ log, device }) => {
          this.#logs.set(luid, { log, uuid, again });
          // A reconnecting kernel has no room for a device, and one before version 2 does not support it.
          return { type: "ctr", error: 0, device: again || request.version < 2 ? undefined : device };
        }),
    );
  }
}

/** Continues synchronously unless `value` is a promise: most logs never wait, and each reply delays a write. */
function after<T, U>(value: T | Promise<T>, then: (value: T) => U | Promise<U>): U | Promise<U> {
  return value instanceof Promise ? value.then(then) : then(value);
}

function errnoOf(error: unknown): number {
  if (error instanceof DirtyLogError || error instanceof SyscallError) return error.errno;
  return error instanceof DecodeError ? ERRNO.EBADMSG! : ERRNO.EIO!;
}
