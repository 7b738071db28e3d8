/** Calls diagnose() and nothing else: the process must end by itself. */
import { diagnose } from "../../../mod.ts";

console.log((await diagnose()).checks.length);
