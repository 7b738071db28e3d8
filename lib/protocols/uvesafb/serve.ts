import type { Connector } from "../../connector/connector.ts";
import type { Reply } from "../../connector/callbacks.ts";
import { reportError } from "../../connector/dispatcher.ts";
import type { ReceivedMessage } from "../../connector/sender.ts";
import type { ErrorContext } from "../../connector/options.ts";
import {
  openServer,
  ProtocolServer,
  type Server,
  SERVER_OPTIONS,
  type ServerOptions,
} from "../../connector/server.ts";
import { checkFunction, checkOptions, type OptionChecks } from "../../errors/arguments.ts";
import { CN_IDX_V86D, CN_VAL_V86D_UVESAFB, TF_BUF_RET, TF_EXIT, TF_VBEIB, VBE_FAILED } from "./constants.ts";
import { decodeUvesafbTask, encodeUvesafbTask, type UvesafbTask, type V86Regs } from "./message.ts";

const ID = { idx: CN_IDX_V86D, val: CN_VAL_V86D_UVESAFB } as const;

/** The result of a task. */
export interface UvesafbAnswer {
  /** The registers that changed: at least `eax`, whose low 16 bits are 0x004f for success. */
  readonly regs: Partial<V86Regs>;
  /** The buffer, at most as long as the task's; sent only if the task requests it. */
  readonly buffer?: Uint8Array | undefined;
}

/**
 * Executes a task, usually in an x86 emulator that runs the card's BIOS, or for one known card. If it returns undefined or
 * throws, the driver gets a failed call at once instead of waiting for 5 s.
 */
export type V86d = (task: UvesafbTask) => UvesafbAnswer | undefined | Promise<UvesafbAnswer | undefined>;

/** What failed, for `onError`. */
export interface V86dErrorContext extends ErrorContext {
  /** The task that was being executed; undefined if it could not be decoded. */
  readonly task: UvesafbTask | undefined;
}

/** Options of {@linkcode serveV86d}. */
export interface ServeV86dOptions extends ServerOptions {
  /** Called with what the implementation threw, after the kernel got its reply. Default: writes to standard error. */
  readonly onError?: ((error: unknown, context: V86dErrorContext) => void) | undefined;
}

const OPTIONS: OptionChecks<ServeV86dOptions> = { ...SERVER_OPTIONS, onError: checkFunction };

/** Counters of a helper. */
export interface V86dStats {
  /** Tasks that were executed and answered. */
  readonly answered: number;
  /** Tasks that were answered with a failure. */
  readonly failed: number;
  /** Messages that could not be decoded; they get no reply. */
  readonly malformed: number;
}

/** The open helper of the VESA framebuffer. The driver's TF_EXIT closes it too; the next task then starts /sbin/v86d. */
export interface V86dServer extends Server {
  /** The counters as they are now. */
  stats(): V86dStats;
}

class TaskServer extends ProtocolServer implements V86dServer {
  readonly #implementation: V86d;
  readonly #onError: ServeV86dOptions["onError"];
  #answered = 0;
  #failed = 0;
  #malformed = 0;

  constructor(connector: Connector, implementation: V86d, options: ServeV86dOptions) {
    super(connector, ID, "v86d", options);
    this.#implementation = implementation;
    this.#onError = options.onError;
  }

  stats(): V86dStats {
    return { answered: this.#answered, failed: this.#failed, malformed: this.#malformed };
  }

  /** There is nothing to release. */
  protected override releaseResources(): void {}

  protected override async handleMessage(message: ReceivedMessage, reply: Reply): Promise<void> {
    let task: UvesafbTask | undefined;
    let answer: UvesafbAnswer | undefined;
    try {
      task = decodeUvesafbTask(message.data);
      if ((task.flags & TF_EXIT) !== 0) return await this.close(); // nobody waits for a reply
      answer = await this.#implementation(task);
      if (answer !== undefined) this.#answered++;
    } catch (error) {
      this.#report(error, task);
    }
    if (task === undefined) {
      this.#malformed++;
      return;
    }
    if (answer === undefined) this.#failed++;
    if (!this.isConnected) return;
    try {
      // The driver matches both numbers.
      const { seq, ack } = message;
      reply(encodeUvesafbTask(answerTo(task, answer)), { seq, ack });
    } catch (error) {
      this.#report(error, task);
    }
  }

  #report(error: unknown, task: UvesafbTask | undefined): void {
    reportError(error, { operation: "a task of uvesafb", task }, this.#onError);
  }
}

/**
 * Serves the tasks of the VESA framebuffer, in place of /sbin/v86d. Resolves once it listens; load the module only after
 * that. The kernel accepts replies only from a program with CAP_SYS_ADMIN.
 *
 * @throws {SyscallError} EPERM when group 4 may not be joined: that requires CAP_NET_ADMIN.
 * @throws {UnsupportedError} When the kernel has no connector, or libc cannot be called.
 * @example
 * ```ts ignore
 * import { linearFramebuffer, serveV86d } from "kernel-connector/uvesafb";
 *
 * const card = linearFramebuffer({ physBase: 0xfd00_0000, memoryBytes: 16 << 20, modes: [{ xRes: 640, yRes: 480 }] });
 * await using server = await serveV86d(card);
 * // modprobe uvesafb mode_option=640x480-16
 * ```
 */
export async function serveV86d(implementation: V86d, options: ServeV86dOptions = {}): Promise<V86dServer> {
  const action = "serve uvesafb";
  checkFunction(implementation, "implementation", action);
  checkOptions(options, OPTIONS, action);
  return await openServer(options, (connector) => new TaskServer(connector, implementation, options));
}

/** The task with its result. The buffer is never longer than the task's, or the driver would drop the reply. */
export function answerTo(task: UvesafbTask, answer: UvesafbAnswer | undefined): UvesafbTask {
  const regs = answer?.regs ?? { eax: (task.regs.eax & 0xffff_0000 | VBE_FAILED) >>> 0 };
  const wanted = answer !== undefined && (task.flags & (TF_BUF_RET | TF_VBEIB)) !== 0;
  const buffer = wanted ? (answer.buffer ?? task.buffer).subarray(0, task.buffer.length) : new Uint8Array();
  return { flags: task.flags, regs: { ...task.regs, ...regs }, buffer };
}
