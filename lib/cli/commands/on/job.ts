import type { InstanceChange } from "../../../processes/instances.ts";
import type { UserAccount } from "../../../procfs/accounts.ts";
import { shellStatus } from "../../../processes/exit_status.ts";
import { safeText, shellQuote } from "../../../wire/escape.ts";

/** What a command can learn of a process, by the names of the placeholders. */
export interface Values {
  readonly pid: string;
  readonly name: string;
  readonly status: string;
  readonly user: string;
  readonly commandLine: string;
  readonly parents: string;
}

/** The variables that have them. */
const VARIABLES: Readonly<Record<keyof Values, string>> = {
  pid: "CNCTL_PID",
  name: "CNCTL_NAME",
  status: "CNCTL_STATUS",
  user: "CNCTL_USER",
  commandLine: "CNCTL_COMMAND_LINE",
  parents: "CNCTL_PARENTS",
};

/** The values of a process; what is not known is empty. Unsafe characters are escaped as `cnctl watch` does it. */
export function valuesOf(
  { event, process }: InstanceChange,
  accounts: ReadonlyMap<number, UserAccount>,
): Values {
  const { pid, comm = "", uid, commandLine = [], parents = [] } = process;
  const status = event.type === "exit" ? shellStatus(event) : undefined;
  return {
    pid: String(pid),
    name: safeText(comm),
    status: status === undefined ? "" : String(status),
    user: uid === undefined ? "" : safeText(accounts.get(uid)?.name ?? String(uid)),
    commandLine: shellQuote(commandLine),
    parents: parents.map((parent) => safeText(parent.comm ?? "?")).reverse().join(" > "),
  };
}

/** The command with its placeholders filled in. Other braces stay as they are. */
export function fillIn(command: readonly string[], values: Values): string[] {
  return command.map((word) =>
    word.replace(
      /\{(pid|name|status|user|commandLine|parents)\}/g,
      (_, name: string) => values[name as keyof Values],
    )
  );
}

/** The values as variables of the environment. */
export function variablesOf(values: Values, what: string): Record<string, string> {
  const variables: Record<string, string> = { CNCTL_EVENT: what };
  for (const name of Object.keys(VARIABLES) as (keyof Values)[]) variables[VARIABLES[name]] = values[name];
  return variables;
}
