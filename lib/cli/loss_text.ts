import type { LossSum } from "../processes/loss_sum.ts";

/** `none lost`, `12 events lost`. */
export function lossText({ lost, uncountedLosses }: Pick<LossSum, "lost" | "uncountedLosses">): string {
  if (uncountedLosses > 0) return lost === 0 ? "some events lost" : `more than ${lost} events lost`;
  return lost === 0 ? "none lost" : `${lost} events lost`;
}
