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
export type { TrustPolicy } from "./lib/connector/trust.ts";
export type { Callback, RegisteredCallback, Reply, ReplyOptions } from "./lib/connector/callbacks.ts";
export { ClosedError } from "./lib/errors/closed_error.ts";
export type { UntrustedSender } from "./lib/connector/untrusted_senders.ts";
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
export type {
  ConnectorOptions,
  MessagesOptions,
  RequestManyOptions,
  RequestOptions,
  SendOptions,
  SentNumbers,
} from "./lib/connector/options.ts";
export type { SocketOwner } from "./lib/connector/owners.ts";
export type { KernelIdentifier } from "./lib/connector/proc_net.ts";
export type { JsonValue, Protocol } from "./lib/connector/protocol.ts";
export type { LostMessages, ReceivedMessage, Sender } from "./lib/connector/received.ts";
export type { ProtocolServer, ServerOptions } from "./lib/connector/server.ts";
export type { ConnectorStats } from "./lib/connector/stats.ts";
export { closeTerminatedWorkers } from "./lib/processes/terminated_workers.ts";
export { type BusSnapshot, type ConnectorSocket, inspectBus } from "./lib/connector/bus.ts";
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
export type { Credentials } from "./lib/netlink/datagram_batch.ts";
export type { ProcessFilter, ProcessPatterns, TextPattern } from "./lib/processes/process_filter.ts";
export { groupNames, userNames } from "./lib/procfs/accounts.ts";
export { ProcessGoneError, type ProcessGoneReason } from "./lib/errors/process_gone_error.ts";
export type { ProcessField, ProcessInfo, UnknownReason } from "./lib/processes/info.ts";
export { PROCESS_FIELDS } from "./lib/processes/enricher.ts";
export type { ReadFailure } from "./lib/procfs/process.ts";
export type { ProcessTableOptions, WithProcess } from "./lib/processes/table.ts";
export { type ExitStatus, waitForExit, type WaitForExitOptions } from "./lib/processes/wait_for_exit.ts";
export {
  type ProcessEvent,
  type ProcessWatch,
  watchProcesses,
  type WatchProcessesOptions,
} from "./lib/processes/watch.ts";
export { PROTOCOLS } from "./lib/protocols/all.ts";
export type { DirtyLogStats } from "./lib/protocols/dm_log/dispatcher.ts";
export { DM_ULOG_NAMES, type DmLogRequestName } from "./lib/protocols/dm_log/constants.ts";
export { coreLogs } from "./lib/protocols/dm_log/core.ts";
export { type DiskLogOptions, openDiskLogs } from "./lib/protocols/dm_log/disk.ts";
export type { DiskLogDamage } from "./lib/protocols/dm_log/disk_state.ts";
export {
  type CreatedLog,
  type DirtyLog,
  DirtyLogError,
  type DirtyLogs,
  type RemoteRecovering,
} from "./lib/protocols/dm_log/log.ts";
export type {
  DmLogCtr,
  DmLogDtr,
  DmLogPlain,
  DmLogRegionQuestion,
  DmLogRegions,
  DmLogRequest,
  DmLogRequestCommon,
  DmLogSetRegionSync,
  DmLogUnknown,
} from "./lib/protocols/dm_log/message.ts";
export {
  type DirtyLogServer,
  logsByName,
  serveDirtyLog,
  type ServeDirtyLogOptions,
} from "./lib/protocols/dm_log/serve.ts";
export { RETIRED_PROTOCOLS, type RetiredProtocol } from "./lib/protocols/retired.ts";
export { VSS_NAMES, type VssOperationName } from "./lib/protocols/hyperv/constants.ts";
export type { KvpIpInfo, KvpReply, KvpRequest, VssRequest } from "./lib/protocols/hyperv/message.ts";
export {
  HypervError,
  type HypervServer,
  type KvpImplementation,
  type KvpPair,
  type ServeHypervOptions,
  serveKvp,
  serveVss,
  type VssImplementation,
} from "./lib/protocols/hyperv/serve.ts";
export { PROC_EVENT_KINDS } from "./lib/processes/constants.ts";
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
} from "./lib/processes/event.ts";
export { decodeProcEvent, type ProcAck } from "./lib/processes/codec.ts";
export type { FilterPlace, ProcFilter } from "./lib/processes/event_filter.ts";
export type { ProcWatch } from "./lib/processes/event_watch.ts";
export type { ProcWatchOptions } from "./lib/processes/watch_options.ts";
export type { FilterPlacement, ProcWatchStats } from "./lib/processes/watch_stats.ts";
export {
  type FramebufferMode,
  type FramebufferOptions,
  linearFramebuffer,
} from "./lib/protocols/uvesafb/framebuffer.ts";
export type { UvesafbTask, V86Regs } from "./lib/protocols/uvesafb/message.ts";
export {
  serveV86d,
  type ServeV86dOptions,
  type UvesafbAnswer,
  type V86d,
  type V86dServer,
  type V86dStats,
} from "./lib/protocols/uvesafb/serve.ts";
export type { W1StreamEvent } from "./lib/protocols/w1/events.ts";
export { crc8, type W1Event, type W1NetlinkCmd, type W1NetlinkMsg } from "./lib/protocols/w1/message.ts";
export {
  openW1,
  type W1,
  type W1Master,
  type W1Options,
  type W1RequestOptions,
  type W1Slave,
} from "./lib/protocols/w1/open.ts";
export { W1Error, type W1Result, W1Transaction } from "./lib/protocols/w1/transaction.ts";
export type { AsyncStream } from "./lib/stream.ts";
