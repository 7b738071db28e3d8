import { groupNameOf } from "../processes/aggregate.ts";
import { globMatcher } from "../processes/glob.ts";
import type { ProcessInfo } from "../processes/info.ts";
import { withoutDeleted } from "../processes/program_file.ts";

/** Programs that are counted together under a name. */
export interface GroupRule {
  readonly group: string;
  /** The name that the kernel keeps or that of the program's file, with `*` and `?`. */
  readonly pattern: string;
}

/** The name of a process's group: that of the first rule that matches, or else the name of its program. */
export function groupNamer(rules: readonly GroupRule[]): (process: ProcessInfo) => string | undefined {
  const tests = rules.map(({ group, pattern }) => ({ group, matches: globMatcher(pattern) }));
  return (process) => {
    const { comm, exe } = process;
    const file = exe === undefined ? undefined : withoutDeleted(exe).split("/").at(-1)!;
    const rule = tests.find(({ matches }) =>
      (comm !== undefined && matches(comm)) || (file !== undefined && matches(file))
    );
    return rule?.group ?? groupNameOf(process, "program");
  };
}
