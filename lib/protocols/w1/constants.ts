/** The 1-wire protocol, spelled as in drivers/w1/w1_netlink.h, which is not a uapi header. */
export const CN_W1_IDX = 0x3;
export const CN_W1_VAL = 0x1;

/** `enum w1_cn_msg_flags`: reply with several `cn_msg` in one netlink message. */
export const W1_CN_BUNDLE = 1;

/** `enum w1_netlink_message_types`: 0 to 3 are bus events, 4 to 6 are requests and their replies. */
export const W1_SLAVE_ADD = 0;
export const W1_SLAVE_REMOVE = 1;
export const W1_MASTER_ADD = 2;
export const W1_MASTER_REMOVE = 3;
export const W1_MASTER_CMD = 4;
export const W1_SLAVE_CMD = 5;
export const W1_LIST_MASTERS = 6;

/** `enum w1_commands`: READ, WRITE and TOUCH for masters and slaves, the others for masters only. */
export const W1_CMD_READ = 0;
export const W1_CMD_WRITE = 1;
export const W1_CMD_SEARCH = 2;
export const W1_CMD_ALARM_SEARCH = 3;
export const W1_CMD_TOUCH = 4;
export const W1_CMD_RESET = 5;
export const W1_CMD_SLAVE_ADD = 6;
export const W1_CMD_SLAVE_REMOVE = 7;
export const W1_CMD_LIST_SLAVES = 8;

/** The names of the message types, by number. */
export const W1_MESSAGE_NAMES = [
  "slave_add",
  "slave_remove",
  "master_add",
  "master_remove",
  "master_cmd",
  "slave_cmd",
  "list_masters",
] as const;

/** The names of the commands, by number. */
export const W1_COMMAND_NAMES = [
  "read",
  "write",
  "search",
  "alarm_search",
  "touch",
  "reset",
  "slave_add",
  "slave_remove",
  "list_slaves",
] as const;
