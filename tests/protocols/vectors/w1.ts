import { hex } from "./hex.ts";

/**
 * Captured from the kernel's 1-wire driver, Linux 6.12 on x86-64 (5.10 and 6.1 send the same bytes), on a software bus
 * with two DS18B20 (28-0000deadbe01 and 28-0000deadbe02, the second with an alarm) and one DS2401 (01-000012345678).
 * A name that ends with `Datagram` holds whole `cn_msg`; the others hold the payload of one.
 */

export const listMastersRequest = hex`
  06 00 0000        # type W1_LIST_MASTERS, status 0, len 0
  0000000000000000  # id: none
`;

export const listMastersReply = hex`
  06 00 0400        # type W1_LIST_MASTERS, status 0, len 4
  0000000000000000  # id: none
  01000000          # master 1
`;

export const noMastersReply = hex`
  06 00 0000        # type W1_LIST_MASTERS, status 0, len 0: no masters
  0000000000000000  # id: none
`;

export const searchRequest = hex`
  04 00 0400        # type W1_MASTER_CMD, status 0, len 4
  01000000 00000000 # id: master 1, reserved
  02 00 0000        # cmd W1_CMD_SEARCH, reserved, len 0
`;

export const searchReply = hex`
  04 00 1c00        # type W1_MASTER_CMD, status 0, len 28
  01000000 00000000 # id: master 1, reserved
  02 00 1800        # cmd W1_CMD_SEARCH, reserved, len 24
  2802beadde000044  # 28-0000deadbe02, CRC 44
  2801beadde00001d  # 28-0000deadbe01, CRC 1d
  017856341200004e  # 01-000012345678, CRC 4e
`;

export const searchStatus = hex`
  04 00 0400        # type W1_MASTER_CMD, status 0, len 4
  01000000 00000000 # id: master 1, reserved
  02 00 0000        # cmd W1_CMD_SEARCH, reserved, len 0
`;

export const transactionRequest = hex`
  04 00 1700        # type W1_MASTER_CMD, status 0, len 23
  01000000 00000000 # id: master 1, reserved
  05 00 0000        # cmd W1_CMD_RESET, len 0
  01 00 0200 ccbe   # cmd W1_CMD_WRITE, len 2: SKIP ROM, READ SCRATCHPAD
  00 00 0900        # cmd W1_CMD_READ, len 9
  000000000000000000 # room for nine bytes
`;

/** The answer to the same request with W1_CN_BUNDLE, seq 106 and ack 0: three cn_msg in one netlink message. */
export const bundleReplyDatagram = hex`
  03000000 01000000 # idx CN_W1_IDX, val CN_W1_VAL
  6a000000 00000000 # seq 106, ack 0: statuses
  2000 0100         # len 32, flags W1_CN_BUNDLE
    04 00 0400      # type W1_MASTER_CMD, status 0, len 4
    01000000 00000000 # id: master 1
    05 00 0000      # cmd W1_CMD_RESET done
    04 00 0400      # type W1_MASTER_CMD, status 0, len 4
    01000000 00000000 # id: master 1
    01 00 0000      # cmd W1_CMD_WRITE done
  03000000 01000000 # idx CN_W1_IDX, val CN_W1_VAL
  6a000000 6b000000 # seq 106, ack 107: data
  1900 0100         # len 25, flags W1_CN_BUNDLE
    04 00 0d00      # type W1_MASTER_CMD, status 0, len 13
    01000000 00000000 # id: master 1
    00 00 0900      # cmd W1_CMD_READ, len 9
    91014b467fff0c1070 # scratchpad: 25.0625 degrees, CRC 70
  03000000 01000000 # idx CN_W1_IDX, val CN_W1_VAL
  6a000000 00000000 # seq 106, ack 0: status
  1000 0100         # len 16, flags W1_CN_BUNDLE
    04 00 0400      # type W1_MASTER_CMD, status 0, len 4
    01000000 00000000 # id: master 1
    00 00 0000      # cmd W1_CMD_READ done
`;

export const slaveRequest = hex`
  05 00 1200        # type W1_SLAVE_CMD, status 0, len 18
  2801beadde00001d  # id: 28-0000deadbe01
  01 00 0100 be     # cmd W1_CMD_WRITE, len 1: READ SCRATCHPAD
  00 00 0900        # cmd W1_CMD_READ, len 9
  000000000000000000 # room for nine bytes
`;

export const unknownSlaveReply = hex`
  05 13 0000        # type W1_SLAVE_CMD, status 19 ENODEV, len 0
  2809090909090909  # id, as asked for
`;

export const unknownMasterReply = hex`
  04 13 0000        # type W1_MASTER_CMD, status 19 ENODEV, len 0
  63000000 00000000 # id: master 99
`;

export const unknownCommandReply = hex`
  04 16 0400        # type W1_MASTER_CMD, status 22 EINVAL, len 4
  01000000 00000000 # id: master 1
  4d 00 0000        # cmd 77
`;

/** Sent before the answers to a reset and to an unknown command, by every kernel from 5.10 to 7.2. */
export const strayDatagram = hex`
  00000000 00000000 # idx 0, val 0
  00000000 00000000 # seq 0, ack 0
  0000 0000         # len 0, flags 0
`;

export const twoMessagesRequest = hex`
  06 00 0000        # type W1_LIST_MASTERS, status 0, len 0
  0000000000000000  # id: none
  04 00 0400        # type W1_MASTER_CMD, status 0, len 4
  01000000 00000000 # id: master 1
  02 00 0000        # cmd W1_CMD_SEARCH, len 0
`;

export const masterAddEvent = hex`
  02 00 0000        # type W1_MASTER_ADD, status 0, len 0
  01000000 00000000 # id: master 1
`;

export const slaveAddEvent = hex`
  00 00 0000        # type W1_SLAVE_ADD, status 0, len 0
  2802beadde000044  # id: 28-0000deadbe02, CRC 44
`;
