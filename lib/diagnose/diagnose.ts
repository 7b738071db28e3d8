import { checkExecRecords } from "./exec_records.ts";
import { type DiagnosisCheck, explain, type Finding, unknown } from "./check.ts";
import { type CallableContext, type Context, openContext, type ReadableContext } from "./context.ts";
import {
  checkConnector,
  checkIdentifiers,
  checkKernel,
  checkNetworkNamespace,
  checkProcessEvents,
} from "./kernel.ts";
import {
  checkCapabilities,
  checkPidNamespace,
  checkSeccomp,
  checkTimeNamespace,
  checkUserNamespace,
} from "./permissions.ts";
import { checkLibc, checkPermission, checkRuntime } from "./runtime.ts";
import { checkSubscription } from "./subscription.ts";
import { checkUsage } from "./usage.ts";
import { checkDescriptors, checkListeners, checkProc, checkReceiveBuffer } from "./system.ts";

/** Whether processes can be watched here, and how well. */
export interface Diagnosis {
  /** The worst result: `fail` means that process events cannot be watched here. */
  readonly verdict: DiagnosisCheck["verdict"];
  /** The checks, always the same ones in the same order; the last one, `subscription`, is an actual subscription. */
  readonly checks: readonly DiagnosisCheck[];
}

/** A check and what it requires: nothing, readable files, or calls into C. */
type Row =
  | readonly [name: string, requires: "nothing", check: (context: Context) => Finding]
  | readonly [name: string, requires: "files", check: (context: ReadableContext) => Finding]
  | readonly [
    name: string,
    requires: "calls",
    check: (context: CallableContext) => Finding | Promise<Finding>,
  ];

const CHECKS: readonly Row[] = [
  ["runtime", "nothing", checkRuntime],
  ["permission", "nothing", checkPermission],
  ["libc", "nothing", checkLibc],
  ["kernel", "files", checkKernel],
  ["connector", "calls", checkConnector],
  ["network-namespace", "files", checkNetworkNamespace],
  ["pid-namespace", "files", checkPidNamespace],
  ["user-namespace", "files", checkUserNamespace],
  ["time-namespace", "files", checkTimeNamespace],
  ["process-events", "files", checkProcessEvents],
  ["identifiers", "files", checkIdentifiers],
  ["capabilities", "files", checkCapabilities],
  ["seccomp", "files", checkSeccomp],
  ["receive-buffer", "calls", checkReceiveBuffer],
  ["listeners", "files", checkListeners],
  ["proc", "files", checkProc],
  ["descriptors", "files", checkDescriptors],
  ["exec-records", "calls", checkExecRecords],
  ["usage", "calls", checkUsage],
  ["subscription", "calls", checkSubscription],
];

/** Runs every check, one after the other. Never throws. */
export async function runChecks(context: Context): Promise<Diagnosis> {
  const checks: DiagnosisCheck[] = [];
  for (const row of CHECKS) checks.push({ name: row[0], ...await runCheck(row, context) });
  const verdict = (["fail", "warn"] as const).find((bad) => checks.some((check) => check.verdict === bad));
  return { verdict: verdict ?? "ok", checks };
}

async function runCheck([, requires, check]: Row, context: Context): Promise<Finding> {
  const { files, system } = context;
  try {
    switch (requires) {
      case "nothing":
        return check(context);
      case "files":
        return files === undefined ? unknown("C cannot be called") : check({ ...context, files });
      case "calls":
        return files === undefined || system === undefined
          ? unknown("C cannot be called")
          : await check({ ...context, files, system });
    }
  } catch (error) {
    return unknown(explain(error).finding);
  }
}

/**
 * Checks whether process events can be watched here, and what to do if not: the runtime and its permissions, the kernel,
 * namespaces, privileges, limits, other listeners, and finally an actual subscription.
 *
 * Never throws. Takes a few milliseconds, or two seconds where the kernel does not answer. A check that could not be
 * made is a `warn` that says why. The library's errors use the same words.
 *
 * @example
 * ```ts
 * import assert from "node:assert/strict";
 * import { diagnose } from "kernel-connector";
 *
 * const { verdict, checks } = await diagnose();
 * const proof = checks.at(-1)!;
 * assert.equal(proof.name, "subscription");
 * assert.equal(verdict === "fail", checks.some((check) => check.verdict === "fail"));
 * for (const { name, verdict, finding, advice } of checks) {
 *   if (verdict !== "ok") console.log(`${name}: ${finding}${advice ? `; ${advice}` : ""}`);
 * }
 * ```
 */
export async function diagnose(): Promise<Diagnosis> {
  return await runChecks(await openContext());
}
