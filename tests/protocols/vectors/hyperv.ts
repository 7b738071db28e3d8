/**
 * A C program that fills the structures of <linux/hyperv.h> field by field and prints each as a name and hex: there is
 * no Hyper-V to capture from, so the compiler is the witness.
 */
export const HYPERV_C = `
#include <stdio.h>
#include <string.h>
#include <linux/connector.h>
#include <linux/hyperv.h>

static struct hv_kvp_msg m;

static void show(const char *name, const void *bytes, size_t length) {
  printf("%s ", name);
  for (size_t i = 0; i < length; i++) printf("%02x", ((const unsigned char *)bytes)[i]);
  printf("\\n");
  memset(&m, 0, sizeof m);
}

static void value(struct hv_kvp_exchg_msg_value *v, const char *key, const char *text) {
  v->key_size = strlen(key) + 1;
  strcpy((char *)v->key, key);
  if (!text) return;
  v->value_type = REG_SZ;
  v->value_size = strlen(text) + 1;
  strcpy((char *)v->value, text);
}

static void addresses(struct hv_kvp_ipaddr_value *a) {
  strcpy((char *)a->adapter_id, "{11111111-2222}");
  a->addr_family = ADDR_FAMILY_IPV4 | ADDR_FAMILY_IPV6;
  a->dhcp_enabled = 1;
  strcpy((char *)a->ip_addr, "192.0.2.1;2001:db8::1");
  strcpy((char *)a->sub_net, "255.255.255.0;/64");
  strcpy((char *)a->gate_way, "192.0.2.254");
  strcpy((char *)a->dns_addr, "192.0.2.53");
}

int main(void) {
  struct hv_vss_msg v;
  __u32 version = VSS_OP_REGISTER1;

  m.kvp_hdr.operation = KVP_OP_REGISTER1;
  show("register", &m, sizeof m);
  m.kvp_hdr.operation = KVP_OP_REGISTER1;
  strcpy((char *)m.body.kvp_register.version, "3.1");
  show("registered", &m, sizeof m);
  m.kvp_hdr.operation = KVP_OP_GET;
  m.kvp_hdr.pool = KVP_POOL_EXTERNAL;
  value(&m.body.kvp_get.data, "colour", NULL);
  show("get", &m, sizeof m);
  m.kvp_hdr.operation = KVP_OP_SET;
  m.kvp_hdr.pool = KVP_POOL_EXTERNAL;
  value(&m.body.kvp_set.data, "colour", "blue");
  show("set", &m, sizeof m);
  m.kvp_hdr.operation = KVP_OP_DELETE;
  m.kvp_hdr.pool = KVP_POOL_GUEST;
  m.body.kvp_delete.key_size = sizeof "colour";
  strcpy((char *)m.body.kvp_delete.key, "colour");
  show("delete", &m, sizeof m);
  m.kvp_hdr.operation = KVP_OP_ENUMERATE;
  m.kvp_hdr.pool = KVP_POOL_AUTO;
  m.body.kvp_enum_data.index = 7;
  show("enumerate", &m, sizeof m);
  m.kvp_hdr.operation = KVP_OP_GET_IP_INFO;
  strcpy((char *)m.body.kvp_ip_val.adapter_id, "{11111111-2222}");
  m.body.kvp_ip_val.addr_family = ADDR_FAMILY_IPV4;
  show("get_ip_info", &m, sizeof m);
  m.kvp_hdr.operation = KVP_OP_SET_IP_INFO;
  addresses(&m.body.kvp_ip_val);
  show("set_ip_info", &m, sizeof m);

  m.error = HV_S_OK;
  /* Not body.kvp_get: drivers/hv/hv_kvp.c reads it here. */
  m.body.kvp_enum_data.data.value_type = REG_SZ;
  m.body.kvp_enum_data.data.value_size = sizeof "blue-green";
  strcpy((char *)m.body.kvp_enum_data.data.value, "blue-green");
  show("get_reply", &m, sizeof m);
  m.error = HV_S_OK;
  value(&m.body.kvp_enum_data.data, "OSName", "Linux");
  show("enumerate_reply", &m, sizeof m);
  m.error = HV_S_CONT;
  show("enumerate_end", &m, sizeof m);
  m.error = HV_S_OK;
  addresses(&m.body.kvp_ip_val);
  show("get_ip_info_reply", &m, sizeof m);
  m.error = HV_S_OK;
  show("set_reply", &m, sizeof m);

  memset(&v, 0, sizeof v);
  v.vss_hdr.operation = VSS_OP_REGISTER1;
  show("vss_register", &v, sizeof v);
  show("vss_registered", &version, sizeof version);
  v.vss_hdr.operation = VSS_OP_FREEZE;
  show("vss_freeze", &v, sizeof v);
  v.vss_hdr.operation = VSS_OP_THAW;
  show("vss_thaw", &v, sizeof v);
  memset(&v, 0, sizeof v);
  v.error = HV_E_FAIL;
  show("vss_fail", &v, sizeof v);
  return 0;
}
`;
