import type { InstanceChange } from "../../../processes/instances.ts";

/** What a command can run on. */
export const OCCASIONS = ["start", "exit", "fail", "core"] as const;
/** One of them. */
export type Occasion = typeof OCCASIONS[number];

/** When a change is an occasion to run the command. */
export interface Trigger {
  readonly occasion: Occasion;
  /** Only from no instance to the first one, or from the last one to none. */
  readonly first: boolean;
  readonly last: boolean;
}

/** Whether a change is what was asked for; undefined if that is not known. */
export function triggers({ occasion, first, last }: Trigger, change: InstanceChange): boolean | undefined {
  const { what, existing, before, after, event } = change;
  switch (occasion) {
    case "start":
      if (what !== "start") return false;
      return first ? before === 0 : !existing;
    case "exit":
      return last ? what !== "coredump" && before > 0 && after === 0 : what === "exit";
    case "fail":
      if (event.type !== "exit" || what !== "exit") return false;
      return event.status === null ? undefined : event.status !== 0;
    case "core":
      return what === "coredump";
  }
}
