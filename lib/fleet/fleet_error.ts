/** Shipping or collecting that cannot go on, in a sentence that says why and what to do. */
export class FleetError extends Error {
  /** Always `"FleetError"`. */
  override readonly name = "FleetError";
}
