import { type EventClock, TimeText } from "./clock.ts";
import { formatHeader, formatRow, type Layout, layoutFor } from "./columns.ts";
import type { Selection } from "../commands/watch/kinds.ts";
import { LastSeen } from "../commands/watch/last_seen.ts";
import type { ShownEvent } from "../library.ts";
import type { Output } from "./output.ts";
import { RowMaker } from "../commands/watch/row.ts";
import type { IdNames } from "./id_names.ts";

/** Longest command that a terminal could show, in characters. */
const TERMINAL_LIMIT = 2048;

/** The table that a watch writes: lines as wide as the terminal is at the moment. */
export class Table {
  readonly #output: Output;
  readonly #rows: RowMaker;
  readonly #lastSeen: LastSeen | undefined;
  #layout: Layout;

  /** The table of a selection of rows. */
  constructor(
    clock: EventClock,
    selection: Selection,
    output: Output,
    names: { readonly users: IdNames; readonly groups: IdNames },
  ) {
    this.#output = output;
    this.#layout = layoutFor(output.width());
    const commandLimit = output.width() === undefined ? Infinity : TERMINAL_LIMIT;
    this.#rows = new RowMaker({ clock, times: new TimeText(), commandLimit, ...names });
    // Only rows that tell what was before need to know it.
    if (selection.kinds.has("comm") || selection.kinds.has("uid")) this.#lastSeen = new LastSeen();
  }

  /** Takes the terminal's width as it is now. */
  fit(): void {
    const width = this.#output.width();
    if (width !== undefined && width !== this.#layout.width) this.#layout = layoutFor(width);
  }

  /** The line above the columns, without its end. */
  header(): string {
    return formatHeader(this.#layout);
  }

  /** The line of an event, without its end. */
  line(event: ShownEvent): string {
    return formatRow(this.#rows.make(event, this.#lastSeen?.before(event)), this.#layout);
  }
}
