import type { CnMsg } from "../../connector/message.ts";
import { type JsonValue, type Protocol } from "../../connector/protocol.ts";
import {
  CN_W1_IDX,
  CN_W1_VAL,
  W1_CMD_ALARM_SEARCH,
  W1_CMD_LIST_SLAVES,
  W1_CMD_SEARCH,
  W1_CN_BUNDLE,
  W1_COMMAND_NAMES,
  W1_LIST_MASTERS,
  W1_MESSAGE_NAMES,
  W1_SLAVE_CMD,
} from "./constants.ts";
import {
  decodeMasterIds,
  decodeSlaveIds,
  decodeW1Commands,
  decodeW1Event,
  decodeW1Messages,
  formatSlaveId,
  holdsCommands,
  masterIdOf,
  type W1NetlinkCmd,
  type W1NetlinkMsg,
} from "./message.ts";
import { hexOf } from "../../wire/json.ts";

/** The 1-wire bus of the kernel (drivers/w1). */
export const w1: Protocol = {
  name: "w1",
  title: "1-wire buses: find, read and write slaves; masters and slaves added and removed",
  id: { idx: CN_W1_IDX, val: CN_W1_VAL },
  describe,
};

/** The content of a message of 3:1. */
function describe(message: CnMsg): JsonValue {
  const messages = decodeW1Messages(message.data).map(describeMessage);
  return (message.flags & W1_CN_BUNDLE) === 0 ? { messages } : { bundle: true, messages };
}

/** Optional fields; without this type, less strict compilers infer them as undefined. */
type JsonFields = { readonly [field: string]: JsonValue };

function describeMessage(message: W1NetlinkMsg): JsonValue {
  const type = W1_MESSAGE_NAMES[message.type] ?? `type ${message.type}`;
  const event = decodeW1Event(message);
  if (event !== undefined) return { ...event };
  const status: JsonFields = message.status === 0 ? {} : { status: message.status };
  if (message.type === W1_LIST_MASTERS) return { type, ...status, masters: decodeMasterIds(message.data) };
  if (!holdsCommands(message)) return { type, ...status, id: hexOf(message.id), data: hexOf(message.data) };
  const target: JsonFields = message.type === W1_SLAVE_CMD
    ? { slave: formatSlaveId(message.id) }
    : { master: masterIdOf(message) };
  return { type, ...status, ...target, commands: decodeW1Commands(message.data).map(describeCommand) };
}

function describeCommand({ cmd, data }: W1NetlinkCmd): JsonValue {
  const name = W1_COMMAND_NAMES[cmd] ?? `command ${cmd}`;
  const lists = cmd === W1_CMD_SEARCH || cmd === W1_CMD_ALARM_SEARCH || cmd === W1_CMD_LIST_SLAVES;
  if (data.length === 0) return { command: name };
  return lists ? { command: name, slaves: decodeSlaveIds(data) } : { command: name, data: hexOf(data) };
}
