/** Numbers of capabilities (include/uapi/linux/capability.h). */
export const CAPABILITIES = {
  CAP_NET_ADMIN: 12,
  CAP_SYS_PTRACE: 19,
  CAP_SYS_ADMIN: 21,
  CAP_PERFMON: 38,
  CAP_BPF: 39,
} as const;

/** Whether a capability is in effect, by the text of a /proc/PID/status; undefined if that does not say. */
export function hasCapability(
  status: string | undefined,
  capability: keyof typeof CAPABILITIES,
): boolean | undefined {
  const mask = /^CapEff:\s*([\da-f]+)$/im.exec(status ?? "")?.[1];
  return mask === undefined
    ? undefined
    : ((BigInt(`0x${mask}`) >> BigInt(CAPABILITIES[capability])) & 1n) === 1n;
}
