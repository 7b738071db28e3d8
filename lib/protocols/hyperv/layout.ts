/** Byte offsets in `struct hv_kvp_msg`, packed (include/uapi/linux/hyperv.h). `error` overlaps the header. */
export const HV_KVP_MSG = { operation: 0, pool: 1, pad: 2, error: 0, body: 4, SIZE: 7432 } as const;

/** Byte offsets in `struct hv_kvp_exchg_msg_value`, packed; SIZE is the end of the value. */
export const HV_KVP_EXCHG_MSG_VALUE = {
  value_type: 0,
  key_size: 4,
  value_size: 8,
  key: 12,
  value: 524,
  SIZE: 2572,
} as const;

/** Byte offsets in `struct hv_kvp_msg_enumerate`, packed. */
export const HV_KVP_MSG_ENUMERATE = { index: 0, data: 4, SIZE: 2576 } as const;

/** Byte offsets in `struct hv_kvp_msg_delete`. */
export const HV_KVP_MSG_DELETE = { key_size: 0, key: 4, SIZE: 516 } as const;

/** Byte offsets in `struct hv_kvp_register`. */
export const HV_KVP_REGISTER = { version: 0, SIZE: 512 } as const;

/** Byte offsets in `struct hv_kvp_ipaddr_value`, packed. */
export const HV_KVP_IPADDR_VALUE = {
  adapter_id: 0,
  addr_family: 256,
  dhcp_enabled: 257,
  ip_addr: 258,
  sub_net: 2306,
  gate_way: 4354,
  dns_addr: 5378,
  SIZE: 7426,
} as const;

/** Byte offsets in `struct hv_vss_msg`, packed. `error` overlaps the header. */
export const HV_VSS_MSG = { operation: 0, reserved: 1, error: 0, flags: 8, SIZE: 12 } as const;
