/** Makes a diagnosis and does nothing more: the process must end by itself. */
import { diagnose } from "../../../mod.ts";

console.log((await diagnose()).checks.length);
