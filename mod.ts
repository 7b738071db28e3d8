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
export type {
  Connector,
  ConnectorOptions,
  ConnectorStats,
  MessagesOptions,
  RequestManyOptions,
  RequestOptions,
  SendOptions,
  SentNumbers,
} from "./lib/connector/agent.ts";
export type { Belief } from "./lib/connector/belief.ts";
export type { Callback, RegisteredCallback, Reply, ReplyOptions } from "./lib/connector/callbacks.ts";
export { ClosedError } from "./lib/connector/closed_error.ts";
export {
  type IdentifierEvent,
  type IdentifierWatch,
  type IdentifierWatchOptions,
  watchIdentifiers,
} from "./lib/connector/identifiers.ts";
export {
  type CbId,
  type CnMsg,
  type CnMsgHeader,
  decodeCnMsg,
  decodeCnMsgs,
  encodeCnMsg,
} from "./lib/connector/message.ts";
export type { NotifyRange } from "./lib/connector/notification.ts";
export { openConnector } from "./lib/connector/open.ts";
export type { SocketOwner } from "./lib/connector/owners.ts";
export type { KernelIdentifier } from "./lib/connector/proc_net.ts";
export type { JsonValue, Protocol } from "./lib/connector/protocol.ts";
export type { LostMessages, ReceivedMessage, Sender } from "./lib/connector/received.ts";
export { type ConnectorSocket, type ConnectorUsers, connectorUsers } from "./lib/connector/users.ts";
export type { Finding, Verdict } from "./lib/diagnose/check.ts";
export { diagnose, type Diagnosis, type DiagnosisCheck } from "./lib/diagnose/diagnose.ts";
export { DecodeError } from "./lib/errors/decode_error.ts";
export { SyscallError } from "./lib/errors/syscall_error.ts";
export { TimeoutError } from "./lib/errors/timeout_error.ts";
export {
  UnsupportedError,
  type UnsupportedErrorOptions,
  type UnsupportedReason,
} from "./lib/errors/unsupported_error.ts";
export type { Credentials } from "./lib/netlink/ring.ts";
export type { ProcessFilter, TextPattern } from "./lib/process/filters.ts";
export { ProcessGoneError, type ProcessGoneReason } from "./lib/process/gone_error.ts";
export type { ProcessField, ProcessInfo, UnknownReason } from "./lib/process/info.ts";
export type { Missing } from "./lib/process/proc_fs.ts";
export type { ProcessTableOptions, WithProcess } from "./lib/process/table.ts";
export { type ExitStatus, waitForExit, type WaitForExitOptions } from "./lib/process/wait_for_exit.ts";
export {
  type ProcessEvent,
  type ProcessWatch,
  watchProcesses,
  type WatchProcessesOptions,
} from "./lib/process/watch.ts";
export { dmLog } from "./lib/protocols/dm_log/protocol.ts";
export { kvp, vss } from "./lib/protocols/hyperv/protocol.ts";
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
export type { FilterPlace, ProcFilter } from "./lib/protocols/proc/filter.ts";
export type {
  FilterPlacement,
  ProcWatch,
  ProcWatchOptions,
  ProcWatchStats,
} from "./lib/protocols/proc/watch.ts";
export { uvesafb } from "./lib/protocols/uvesafb/protocol.ts";
export { w1 } from "./lib/protocols/w1/protocol.ts";
