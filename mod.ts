/**
 * The Linux kernel connector: watch every process of the machine, talk to drivers, speak your own protocol on the bus.
 *
 * ```ts no-eval
 * import { watchProcesses } from "kernel-connector";
 *
 * for await (const event of await watchProcesses()) console.log(event.type, event.timestampNs);
 * ```
 *
 * @module
 */
export {
  type CbId,
  type CnMsg,
  type CnMsgHeader,
  decodeCnMsg,
  decodeCnMsgs,
  encodeCnMsg,
} from "./lib/connector/message.ts";
export { DecodeError } from "./lib/errors/decode_error.ts";
export { SyscallError } from "./lib/errors/syscall_error.ts";
export { TimeoutError } from "./lib/errors/timeout_error.ts";
export { UnsupportedError, type UnsupportedReason } from "./lib/errors/unsupported_error.ts";
export type { ProcessField, ProcessInfo, UnknownReason } from "./lib/process/info.ts";
export type { ProcessTableOptions, WithProcess } from "./lib/process/table.ts";
export {
  type ProcessEvent,
  type ProcessWatch,
  watchProcesses,
  type WatchProcessesOptions,
} from "./lib/process/watch.ts";
export { PROC_EVENT_KINDS } from "./lib/protocols/proc/constants.ts";
export type {
  CommEvent,
  CoredumpEvent,
  ExecEvent,
  ExitEvent,
  ForkEvent,
  GidEvent,
  KernelProcEvent,
  LostEvent,
  ProcEvent,
  ProcEventCommon,
  ProcEventKind,
  PtraceEvent,
  SidEvent,
  UidEvent,
  UnknownEvent,
} from "./lib/protocols/proc/event.ts";
export { decodeProcEvent, type ProcAck } from "./lib/protocols/proc/message.ts";
export type { ProcWatch, ProcWatchOptions, ProcWatchStats } from "./lib/protocols/proc/watch.ts";
