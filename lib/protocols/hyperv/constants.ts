/** Hyper-V's services for guests, spelled as in include/uapi/linux/hyperv.h and connector.h. */
export const CN_KVP_IDX = 0x9;
export const CN_KVP_VAL = 0x1;
export const CN_VSS_IDX = 0xa;
export const CN_VSS_VAL = 0x1;

/** Registration of a KVP daemon. */
export const KVP_OP_REGISTER1 = 100;

/** `enum hv_kvp_exchg_op`. */
export const KVP_OP_GET = 0;
export const KVP_OP_SET = 1;
export const KVP_OP_DELETE = 2;
export const KVP_OP_ENUMERATE = 3;
export const KVP_OP_GET_IP_INFO = 4;
export const KVP_OP_SET_IP_INFO = 5;

/** The type of a value that is text: between the kernel and a daemon all are. */
export const REG_SZ = 1;

/** Sizes of a key and of a value, including the NUL. */
export const HV_KVP_EXCHANGE_MAX_KEY_SIZE = 512;
export const HV_KVP_EXCHANGE_MAX_VALUE_SIZE = 2048;

/** Statuses: success; failure; nothing more to enumerate; not supported. */
export const HV_S_OK = 0x0000_0000;
export const HV_E_FAIL = 0x8000_4005;
export const HV_S_CONT = 0x8007_0103;
export const HV_ERROR_NOT_SUPPORTED = 0x8007_0032;

/** Registration of a VSS daemon without and with a reply from the kernel. */
export const VSS_OP_REGISTER = 128;
export const VSS_OP_REGISTER1 = 129;

/** `enum hv_vss_op`. */
const VSS_OP_CREATE = 0;
const VSS_OP_DELETE = 1;
const VSS_OP_HOT_BACKUP = 2;
const VSS_OP_GET_DM_INFO = 3;
const VSS_OP_BU_COMPLETE = 4;
const VSS_OP_FREEZE = 5;
const VSS_OP_THAW = 6;
const VSS_OP_AUTO_RECOVER = 7;

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
