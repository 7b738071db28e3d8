/**
 * 1-wire over the connector: list bus masters and slaves, read, write and search, without a kernel driver for the
 * slave. Needs the kernel module `wire`; before kernel 6.6 `events()` needs CAP_NET_ADMIN as well.
 *
 * ```ts ignore
 * import { openW1 } from "kernel-connector/w1";
 *
 * await using w1 = await openW1();
 * for (const number of await w1.masters()) console.log(number, await w1.master(number).slaves());
 * ```
 *
 * @module
 */
export type { W1StreamEvent } from "./events.ts";
export { crc8, type W1Event, type W1NetlinkCmd, type W1NetlinkMsg } from "./message.ts";
export {
  openW1,
  type W1,
  type W1Master,
  type W1Options,
  type W1RequestOptions,
  type W1Slave,
} from "./open.ts";
export { W1Error, type W1Result, W1Transaction } from "./transaction.ts";
