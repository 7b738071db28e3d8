/** Hyper-V's services for guests, spelled as in include/uapi/linux/hyperv.h and connector.h. */
export const CN_KVP_IDX = 0x9;
export const CN_KVP_VAL = 0x1;
export const CN_VSS_IDX = 0xa;
export const CN_VSS_VAL = 0x1;

/** Registration of a KVP daemon that cannot inject addresses. The same number as KVP_OP_GET_IP_INFO. */
export const KVP_OP_REGISTER = 4;
/** Registration of a KVP daemon. */
export const KVP_OP_REGISTER1 = 100;

/** `enum hv_kvp_exchg_op`. */
export const KVP_OP_GET = 0;
export const KVP_OP_SET = 1;
export const KVP_OP_DELETE = 2;
export const KVP_OP_ENUMERATE = 3;
export const KVP_OP_GET_IP_INFO = 4;
export const KVP_OP_SET_IP_INFO = 5;

/** `enum hv_kvp_exchg_pool`. */
export const KVP_POOL_EXTERNAL = 0;
export const KVP_POOL_GUEST = 1;
export const KVP_POOL_AUTO = 2;
export const KVP_POOL_AUTO_EXTERNAL = 3;
export const KVP_POOL_AUTO_INTERNAL = 4;

/** Types of a value. Between the kernel and a daemon all are text. */
export const REG_SZ = 1;
export const REG_U32 = 4;
export const REG_U64 = 8;

/** Room for a key and for a value, with their NUL. */
export const HV_KVP_EXCHANGE_MAX_KEY_SIZE = 512;
export const HV_KVP_EXCHANGE_MAX_VALUE_SIZE = 2048;

/** Statuses: done; failed; there is nothing more to enumerate. */
export const HV_S_OK = 0x0000_0000;
export const HV_E_FAIL = 0x8000_4005;
export const HV_S_CONT = 0x8007_0103;
export const HV_ERROR_NOT_SUPPORTED = 0x8007_0032;
export const HV_ERROR_MACHINE_LOCKED = 0x8007_04f7;
export const HV_ERROR_DEVICE_NOT_CONNECTED = 0x8007_048f;
export const HV_INVALIDARG = 0x8007_0057;
export const HV_GUID_NOTFOUND = 0x8004_1002;
export const HV_ERROR_ALREADY_EXISTS = 0x8007_0050;
export const HV_ERROR_DISK_FULL = 0x8007_0070;

/** Families of addresses, a mask. */
export const ADDR_FAMILY_NONE = 0x00;
export const ADDR_FAMILY_IPV4 = 0x01;
export const ADDR_FAMILY_IPV6 = 0x02;

/** Registration of a VSS daemon without, and with, an answer of the kernel. */
export const VSS_OP_REGISTER = 128;
export const VSS_OP_REGISTER1 = 129;

/** `enum hv_vss_op`. */
export const VSS_OP_CREATE = 0;
export const VSS_OP_DELETE = 1;
export const VSS_OP_HOT_BACKUP = 2;
export const VSS_OP_GET_DM_INFO = 3;
export const VSS_OP_BU_COMPLETE = 4;
export const VSS_OP_FREEZE = 5;
export const VSS_OP_THAW = 6;
export const VSS_OP_AUTO_RECOVER = 7;

/** The one flag of VSS_OP_HOT_BACKUP that Linux answers with. */
export const VSS_HBU_NO_AUTO_RECOVERY = 0x5;

/** The names of the VSS operations. */
export const VSS_NAMES = {
  create: VSS_OP_CREATE,
  delete: VSS_OP_DELETE,
  hot_backup: VSS_OP_HOT_BACKUP,
  get_dm_info: VSS_OP_GET_DM_INFO,
  bu_complete: VSS_OP_BU_COMPLETE,
  freeze: VSS_OP_FREEZE,
  thaw: VSS_OP_THAW,
  auto_recover: VSS_OP_AUTO_RECOVER,
} as const;

/** The name of a VSS operation. */
export type VssOperationName = keyof typeof VSS_NAMES;
