/**
 * The Hyper-V guest daemons for key-value pairs (KVP) and volume snapshots (VSS), as the kernel spoke them over the
 * connector before it had character devices for them.
 *
 * **Experimental**: tested against the documented messages only, never on a Hyper-V host. Newer kernels use
 * `/dev/vmbus/hv_kvp` and `hv_vss` instead.
 *
 * ```ts ignore
 * import { serveKvp } from "kernel-connector/hyperv";
 *
 * await using server = await serveKvp({ get: (pool, key) => key === "name" ? "guest" : undefined });
 * await server.closed;
 * ```
 *
 * @module
 */
export type { Server, ServerOptions } from "../../connector/server.ts";
export { VSS_NAMES, type VssOperationName } from "./constants.ts";
export type { KvpIpInfo, KvpReply, KvpRequest, VssRequest } from "./message.ts";
export {
  HypervError,
  type HypervServer,
  type HypervStats,
  type KvpImplementation,
  type KvpPair,
  type ServeHypervOptions,
  serveKvp,
  serveVss,
  type VssImplementation,
} from "./serve.ts";
