import { CN_NETLINK_USERS } from "./constants.ts";
import type { CbId } from "./message.ts";
import { fromKernel, type Sender } from "./received.ts";

/**
 * Whom to believe: `"kernel"` only, `"anyone"`, or whom a function says. What is not believed is counted and reaches
 * nobody: no callback, no conversation, no stream.
 */
export type TrustPolicy = "kernel" | "anyone" | ((sender: Sender, id: CbId) => boolean);

/**
 * The judgement on one message. Without a policy of the caller's, identifiers that the kernel serves belong to it, and so do
 * the numbers that are given out to its drivers: there a program that sends is a forger, or an answer gone astray.
 */
export function isTrusted(
  belief: TrustPolicy | undefined,
  sender: Sender,
  id: CbId,
  kernelServes: (id: CbId) => boolean,
): boolean {
  if (typeof belief === "function") return belief(sender, id);
  if (fromKernel(sender) || belief === "anyone") return true;
  if (belief === "kernel") return false;
  return !(id.idx < CN_NETLINK_USERS || kernelServes(id));
}
