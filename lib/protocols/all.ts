import type { Protocol } from "../connector/protocol.ts";
import { dmLog } from "./dm_log/protocol.ts";
import { kvp, vss } from "./hyperv/protocol.ts";
import { proc } from "../processes/protocol.ts";
import { uvesafb } from "./uvesafb/protocol.ts";
import { w1 } from "./w1/protocol.ts";

/** Every protocol that a current kernel speaks, by its identifier's number. */
export const PROTOCOLS: readonly Protocol[] = [proc, w1, uvesafb, dmLog, kvp, vss];
