import { explain, type Finding, unknown } from "./check.ts";
import { checkConnector, checkIdentifiers, checkNetworkNamespace, checkProcessEvents } from "./connector.ts";
import { checkDescriptors } from "./descriptors.ts";
import { checkKernel } from "./kernel.ts";
import { checkListeners } from "./listeners.ts";
import { checkPidNamespace, checkTimeNamespace, checkUserNamespace } from "./namespaces.ts";
import { checkCapabilities, checkSeccomp } from "./privileges.ts";
import { checkProc } from "./proc_mount.ts";
import { checkReceiveBuffer } from "./receive_buffer.ts";
import { checkLibc, checkPermission, checkRuntime } from "./runtime.ts";
import { type CallableScene, type Context, openScene, type ReadableScene } from "./context.ts";
import { checkSubscription } from "./subscription.ts";

/** One check and what it has found. */
export interface DiagnosisCheck {
  /** What was checked: a name that stays the same from version to version. */
  readonly name: string;
  /**
   * `ok`; `warn` for what limits something, or for what could not be found out; `fail` for what keeps process events
   * from being watched.
   */
  readonly verdict: "ok" | "warn" | "fail";
  /** What was found, as a sentence without a capital and a full stop. */
  readonly finding: string;
  /** What to do about it, if something can be done. */
  readonly advice?: string | undefined;
}

/** What there is to know about watching processes here. */
export interface Diagnosis {
  /** The worst of the checks: `fail` means that process events cannot be watched here. */
  readonly verdict: DiagnosisCheck["verdict"];
  /** The checks, always the same and in the same order; the last one, `subscription`, is the proof. */
  readonly checks: readonly DiagnosisCheck[];
}

/** A check by what it wants: nothing, files to read, or calls into C. */
type Row =
  | readonly [name: string, wants: "nothing", check: (scene: Context) => Finding]
  | readonly [name: string, wants: "files", check: (scene: ReadableScene) => Finding]
  | readonly [name: string, wants: "calls", check: (scene: CallableScene) => Finding | Promise<Finding>];

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
  ["subscription", "calls", checkSubscription],
];

/** Makes every check in a scene, one after the other. Never throws. */
export async function runChecks(scene: Context): Promise<Diagnosis> {
  const checks: DiagnosisCheck[] = [];
  for (const row of CHECKS) checks.push({ name: row[0], ...await runCheck(row, scene) });
  const verdict = (["fail", "warn"] as const).find((bad) => checks.some((check) => check.verdict === bad));
  return { verdict: verdict ?? "ok", checks };
}

async function runCheck([, wants, check]: Row, scene: Context): Promise<Finding> {
  const { files, system } = scene;
  try {
    switch (wants) {
      case "nothing":
        return check(scene);
      case "files":
        return files === undefined ? unknown("libc cannot be called") : check({ ...scene, files });
      case "calls":
        return files === undefined || system === undefined
          ? unknown("libc cannot be called")
          : await check({ ...scene, files, system });
    }
  } catch (error) {
    return unknown(explain(error).finding);
  }
}

/**
 * Finds out whether and how well process events can be watched here, and what to do where they cannot: the runtime and
 * its permissions, the kernel, namespaces, privileges, limits, other listeners, and at the end a real subscription.
 *
 * Never throws and takes a few milliseconds, two seconds at most where the kernel does not answer. What a check could
 * not find out is a `warn` that says so. Errors of this library say the same in the same words.
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
  return await runChecks(await openScene());
}
