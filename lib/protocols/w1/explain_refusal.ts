import { ERRNO } from "../../errors/errno.ts";
import { formatSlaveId, W1_REG_NUM_BYTES } from "./message.ts";

/** The status of a reset that no slave answered: the driver's return value 1, which is not an errno, negated in a byte. */
export const NOBODY_PRESENT = 255;

/**
 * What could not be done; completes "Cannot …". `command` is the protocol's name for it, `data` what was sent with it.
 */
export function describeFailure(command: string, target: string, data: Uint8Array): string {
  const slave = data.length === W1_REG_NUM_BYTES ? formatSlaveId(data) : "a slave";
  switch (command) {
    case "read":
      return `read from ${target}`;
    case "write":
      return `write to ${target}`;
    case "touch":
      return `touch ${target}`;
    case "alarm_search":
      return `search for alarms at ${target}`;
    case "slave_add":
      return `add ${slave} to ${target}`;
    case "slave_remove":
      return `remove ${slave} from ${target}`;
    case "list_slaves":
      return `list the slaves of ${target}`;
    case "search":
    case "reset":
      return `${command} at ${target}`;
    default:
      return `run ${command} at ${target}`;
  }
}

/** Why the kernel or the bus refused a command, or, without `command`, the target as a whole. */
export function explainRefusal(target: string, status: number, command?: string): string {
  const toMaster = target.startsWith("master");
  switch (status) {
    case NOBODY_PRESENT:
      return "no slave answered the reset";
    case ERRNO.ENODEV!:
      return toMaster ? "there is no such bus master" : "the kernel does not know it, or it was removed";
    case ERRNO.EINVAL!:
      if (toMaster && command === "slave_add") return "the kernel already knows this slave";
      if (toMaster && command === "slave_remove") return "the kernel knows no such slave on this bus";
      return "the kernel does not accept this command";
    default:
      return "the kernel refused it";
  }
}
