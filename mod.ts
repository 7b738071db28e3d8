/**
 * The Linux kernel connector: watch every process of the machine, talk to drivers, speak your own protocol on the bus.
 *
 * ```ts ignore
 * import { watchProcesses } from "kernel-connector";
 *
 * for await (const event of await watchProcesses()) console.log(event.type, event.timestampNs);
 * ```
 *
 * @module
 */
export type { Connector } from "./lib/connector/connector.ts";
export type { TrustPolicy } from "./lib/connector/sender.ts";
export type { Callback, RegisteredCallback, Reply, ReplyOptions } from "./lib/connector/callbacks.ts";
export { ClosedError } from "./lib/errors/closed_error.ts";
export type { UntrustedSender } from "./lib/connector/untrusted_senders.ts";
export {
  type IdentifierEvent,
  type IdentifierWatch,
  type IdentifierWatchOptions,
  watchIdentifiers,
} from "./lib/connector/identifiers.ts";
export { type CbId, type CnMsg, type CnMsgHeader } from "./lib/connector/message.ts";
export type { NotifyRange } from "./lib/connector/notification.ts";
export { openConnector } from "./lib/connector/connector.ts";
export type {
  ConnectorOptions,
  ErrorContext,
  MessagesOptions,
  RequestManyOptions,
  RequestOptions,
  SendOptions,
} from "./lib/connector/options.ts";
export type { KernelIdentifier } from "./lib/connector/proc_net.ts";
export type { LostEvent } from "./lib/lost_event.ts";
export type { ReceivedMessage, Sender } from "./lib/connector/sender.ts";
export type { ConnectorStats } from "./lib/connector/stats.ts";
export { closeTerminatedWorkers } from "./lib/processes/terminated_workers.ts";
export { type BusSnapshot, type ConnectorSocket, inspectBus } from "./lib/connector/bus.ts";
export type { DiagnosisCheck } from "./lib/diagnose/check.ts";
export { diagnose, type Diagnosis } from "./lib/diagnose/diagnose.ts";
export { DecodeError } from "./lib/errors/decode_error.ts";
export { SyscallError } from "./lib/errors/syscall_error.ts";
export { TimeoutError } from "./lib/errors/timeout_error.ts";
export { UnsupportedError, type UnsupportedReason } from "./lib/errors/unsupported_error.ts";
export type { Credentials } from "./lib/netlink/datagram_batch.ts";
export type { ProcessFilter, ProcessPatterns, TextPattern } from "./lib/processes/filter.ts";
export { ProcessGoneError } from "./lib/errors/process_gone_error.ts";
export type { ProcessField, ProcessInfo } from "./lib/processes/info.ts";
export type { ProcessInfoOptions } from "./lib/processes/info.ts";
export { type ExitStatus, waitForExit, type WaitOptions } from "./lib/processes/wait_for_exit.ts";
export { waitForStart } from "./lib/processes/wait_for_start.ts";
export type { ProcessWatch } from "./lib/processes/watch.ts";
export { watchProcesses } from "./lib/processes/open.ts";
export type { WatchProcessesOptions } from "./lib/processes/options.ts";
export type { ProcessEventType } from "./lib/processes/constants.ts";
export type {
  CommEvent,
  CoredumpEvent,
  ExecEvent,
  ExitEvent,
  ForkEvent,
  GidEvent,
  ProcessEvent,
  ProcessEventCommon,
  ProcessLostEvent,
  PtraceEvent,
  SidEvent,
  UidEvent,
  UnknownEvent,
  WithProcessInfo,
} from "./lib/processes/event.ts";
export type { FilterPlacement, ProcessWatchStats } from "./lib/processes/stats.ts";
export type { AsyncStream } from "./lib/stream.ts";
export { jsonReplacer } from "./lib/wire/json.ts";
export type { ProcessUsage } from "./lib/processes/usage.ts";
