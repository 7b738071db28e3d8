// SPDX-License-Identifier: GPL-2.0
/*
 * The counterpart of a connector client under test: one callback for each thing that the connector's
 * documentation says, all under index 20 (so the group of each is 20).
 *
 * A reply has the request's id, sequence number and flags, and the request's acknowledge number plus one; it
 * is unicast to the sender unless said otherwise. A message that is not a reply ("new") has the request's
 * acknowledge number unchanged. Numbers are in host byte order; "rest" is what follows the named fields.
 *
 *  id      request payload              what happens
 *  20:1    any                          reply: the same payload
 *  20:2    any                          reply to group 20: the same payload
 *  20:3    u32 count (1..64), rest      count replies in one datagram, each u32 index, rest
 *  20:4    u32 count [, u32 size]       count new messages to group 20, sequence numbers counting up from the
 *                                       request's, payload u32 index filled with zeroes to size (4..1024,
 *                                       default 4); only one if nobody listens; then
 *                                       reply: u32 sent, u32 failed, s32 last error (-ESRCH as well if no listener
 *                                       has room)
 *  20:5    any                          counted, no reply
 *  20:6    any                          reply: u32 portid, u32 pid, u32 uid, u32 gid, u32 destination group
 *  20:7    u32 milliseconds, rest       reply after that time (at most 60,000): rest
 *  20:8    u32 size (0..65,535)         reply: size bytes, byte i being i modulo 256
 *  20:9    [u32 reset]                  reply: what 20:5 counted: u64 messages, u64 bytes, u32 last sequence
 *                                       number, u32 messages whose number was not the last one plus one;
 *                                       counts from zero again if reset is not 0
 *  20:10   any                          the same reply twice: the same payload
 *  20:11   empty                        new message with id 20:11 to group 0 and no port, empty, then
 *          u32 idx, u32 val, rest       new message with id idx:val to group 0 and no port, payload rest; then
 *                                       reply: s32 what cn_netlink_send returned (-ENODEV: no such id)
 *  20:12   u32 group, rest              new message to that group, payload rest; then
 *                                       reply: s32 what cn_netlink_send returned (-ESRCH: nobody listens)
 *  20:13   [u32 idx, u32 val]           registers that id (default 20:1), and unregisters it if that worked;
 *                                       reply: s32 what cn_add_callback returned (-EINVAL: id is taken)
 *  20:14   u32 on [, u32 val]           registers (1) or unregisters (0) 20:val (default 100, one at a time),
 *                                       which echoes as 20:1 does; reply: s32 0 or the error
 *
 * A payload too short for its fields is answered with an empty reply whose flags are 0xffff.
 */
#define pr_fmt(fmt) KBUILD_MODNAME ": " fmt

#include <linux/connector.h>
#include <linux/kernel.h>
#include <linux/list.h>
#include <linux/module.h>
#include <linux/mutex.h>
#include <linux/sched/signal.h>
#include <linux/slab.h>
#include <linux/spinlock.h>
#include <linux/version.h>
#include <linux/workqueue.h>

#define COUNTERPART_IDX		20
#define COUNTERPART_GROUP	COUNTERPART_IDX
#define COUNTERPART_BAD		0xffff
#define MAX_MULTIPLE		64
#define MAX_DELAY_MS		60000
#define DEFAULT_EXTRA_VAL	100

/*
 * Never wait for room in a receiver: a callback runs inside the sender's send(), so a sender whose own queue
 * is full would wait for itself.
 */
#define COUNTERPART_GFP		(GFP_KERNEL & ~__GFP_DIRECT_RECLAIM)

static int send_mult(struct cn_msg *msg, u16 len, u32 portid, u32 group)
{
#if LINUX_VERSION_CODE >= KERNEL_VERSION(6, 6, 0)
	return cn_netlink_send_mult(msg, len, portid, group, COUNTERPART_GFP, NULL, NULL);
#else
	return cn_netlink_send_mult(msg, len, portid, group, COUNTERPART_GFP);
#endif
}

/* A message that answers @req; @payload may be NULL to leave the data to the caller. */
static struct cn_msg *make_reply(const struct cn_msg *req, const void *payload, size_t len)
{
	struct cn_msg *msg = kvzalloc(sizeof(*msg) + len, GFP_KERNEL);

	if (!msg)
		return NULL;
	msg->id = req->id;
	msg->seq = req->seq;
	msg->ack = req->ack + 1;
	msg->flags = req->flags;
	msg->len = len;
	if (payload)
		memcpy(msg->data, payload, len);
	return msg;
}

static void reply(const struct cn_msg *req, struct netlink_skb_parms *nsp, const void *payload, size_t len)
{
	struct cn_msg *msg = make_reply(req, payload, len);

	if (!msg)
		return;
	cn_netlink_send(msg, nsp->portid, 0, COUNTERPART_GFP);
	kvfree(msg);
}

static void reply_status(const struct cn_msg *req, struct netlink_skb_parms *nsp, int status)
{
	s32 value = status;

	reply(req, nsp, &value, sizeof(value));
}

static void reply_bad(const struct cn_msg *req, struct netlink_skb_parms *nsp)
{
	struct cn_msg *msg = make_reply(req, NULL, 0);

	if (!msg)
		return;
	msg->flags = COUNTERPART_BAD;
	cn_netlink_send(msg, nsp->portid, 0, COUNTERPART_GFP);
	kvfree(msg);
}

/* A message of our own with the same numbers as @req: not a reply, since the acknowledge number is the same. */
static struct cn_msg *make_new(const struct cn_msg *req, const void *payload, size_t len)
{
	struct cn_msg *msg = make_reply(req, payload, len);

	if (msg)
		msg->ack = req->ack;
	return msg;
}

static bool read_u32(const struct cn_msg *msg, size_t index, u32 *value)
{
	if (msg->len < (index + 1) * sizeof(u32))
		return false;
	memcpy(value, msg->data + index * sizeof(u32), sizeof(u32));
	return true;
}

static void on_echo(struct cn_msg *req, struct netlink_skb_parms *nsp)
{
	reply(req, nsp, req->data, req->len);
}

static void on_multicast(struct cn_msg *req, struct netlink_skb_parms *nsp)
{
	struct cn_msg *msg = make_reply(req, req->data, req->len);

	if (!msg)
		return;
	cn_netlink_send(msg, 0, COUNTERPART_GROUP, COUNTERPART_GFP);
	kvfree(msg);
}

static void on_several(struct cn_msg *req, struct netlink_skb_parms *nsp)
{
	size_t rest, part, total;
	u32 count, i;
	u8 *buffer;

	if (!read_u32(req, 0, &count) || !count || count > MAX_MULTIPLE)
		return reply_bad(req, nsp);
	rest = req->len - sizeof(u32);
	part = sizeof(struct cn_msg) + sizeof(u32) + rest;
	total = count * part;
	if (total - sizeof(struct cn_msg) > U16_MAX)
		return reply_bad(req, nsp);
	buffer = kvzalloc(total, GFP_KERNEL);
	if (!buffer)
		return;
	for (i = 0; i < count; i++) {
		struct cn_msg head = {
			.id = req->id,
			.seq = req->seq,
			.ack = req->ack + 1,
			.flags = req->flags,
			.len = sizeof(u32) + rest,
		};
		u8 *at = buffer + i * part;

		/* the parts follow each other without padding, so they may lie at any address */
		memcpy(at, &head, sizeof(head));
		memcpy(at + sizeof(head), &i, sizeof(i));
		memcpy(at + sizeof(head) + sizeof(i), req->data + sizeof(u32), rest);
	}
	send_mult((struct cn_msg *)buffer, total - sizeof(struct cn_msg), nsp->portid, 0);
	kvfree(buffer);
}

static void on_burst(struct cn_msg *req, struct netlink_skb_parms *nsp)
{
	struct {
		u32 sent;
		u32 failed;
		s32 error;
	} result = { 0 };
	u32 count, size = sizeof(u32), i;
	struct cn_msg *msg;

	if (!read_u32(req, 0, &count))
		return reply_bad(req, nsp);
	if (read_u32(req, 1, &size) && (size < sizeof(u32) || size > 1024))
		return reply_bad(req, nsp);
	msg = make_new(req, NULL, size);
	if (!msg)
		return;
	for (i = 0; i < count && !fatal_signal_pending(current); i++) {
		int err;

		msg->seq = req->seq + i;
		memcpy(msg->data, &i, sizeof(i));
		err = cn_netlink_send(msg, 0, COUNTERPART_GROUP, COUNTERPART_GFP);
		if (err >= 0) {
			result.sent++;
		} else {
			result.failed++;
			result.error = err;
			/*
			 * -ESRCH also means that no listener had room, so only the first message shows that there
			 * are none.
			 */
			if (err == -ESRCH && !i)
				break;
		}
		cond_resched();
	}
	kvfree(msg);
	reply(req, nsp, &result, sizeof(result));
}

static DEFINE_SPINLOCK(sink_lock);
static struct {
	u64 messages;
	u64 bytes;
	u32 last_seq;
	u32 jumps;
} sink;

static void on_sink(struct cn_msg *req, struct netlink_skb_parms *nsp)
{
	spin_lock(&sink_lock);
	if (sink.messages && req->seq != sink.last_seq + 1)
		sink.jumps++;
	sink.messages++;
	sink.bytes += req->len;
	sink.last_seq = req->seq;
	spin_unlock(&sink_lock);
}

static void on_sink_report(struct cn_msg *req, struct netlink_skb_parms *nsp)
{
	u32 reset = 0;
	typeof(sink) copy;

	read_u32(req, 0, &reset);
	spin_lock(&sink_lock);
	copy = sink;
	if (reset)
		memset(&sink, 0, sizeof(sink));
	spin_unlock(&sink_lock);
	reply(req, nsp, &copy, sizeof(copy));
}

static void on_credentials(struct cn_msg *req, struct netlink_skb_parms *nsp)
{
	u32 seen[5] = {
		nsp->portid,
		nsp->creds.pid,
		from_kuid(&init_user_ns, nsp->creds.uid),
		from_kgid(&init_user_ns, nsp->creds.gid),
		nsp->dst_group,
	};

	reply(req, nsp, seen, sizeof(seen));
}

/* Replies that wait for their time; removed from the list by whoever sends or cancels them. */
struct late_reply {
	struct list_head entry;
	struct delayed_work work;
	u32 portid;
	struct cn_msg *msg;
};

static LIST_HEAD(late_replies);
static DEFINE_MUTEX(late_lock);

static void send_late(struct work_struct *work)
{
	struct late_reply *late = container_of(to_delayed_work(work), struct late_reply, work);

	mutex_lock(&late_lock);
	list_del(&late->entry);
	mutex_unlock(&late_lock);
	cn_netlink_send(late->msg, late->portid, 0, COUNTERPART_GFP);
	kvfree(late->msg);
	kfree(late);
}

static struct workqueue_struct *late_queue;

static void on_delayed(struct cn_msg *req, struct netlink_skb_parms *nsp)
{
	struct late_reply *late;
	u32 delay;

	if (!read_u32(req, 0, &delay) || delay > MAX_DELAY_MS)
		return reply_bad(req, nsp);
	late = kzalloc(sizeof(*late), GFP_KERNEL);
	if (!late)
		return;
	late->portid = nsp->portid;
	late->msg = make_reply(req, req->data + sizeof(u32), req->len - sizeof(u32));
	if (!late->msg) {
		kfree(late);
		return;
	}
	INIT_DELAYED_WORK(&late->work, send_late);
	mutex_lock(&late_lock);
	list_add(&late->entry, &late_replies);
	queue_delayed_work(late_queue, &late->work, msecs_to_jiffies(delay));
	mutex_unlock(&late_lock);
}

static void cancel_late_replies(void)
{
	struct late_reply *late, *next;

	mutex_lock(&late_lock);
	list_for_each_entry_safe(late, next, &late_replies, entry) {
		/* one that has started takes itself off the list and is waited for below */
		if (!cancel_delayed_work(&late->work))
			continue;
		list_del(&late->entry);
		kvfree(late->msg);
		kfree(late);
	}
	mutex_unlock(&late_lock);
	destroy_workqueue(late_queue);
}

static void on_large(struct cn_msg *req, struct netlink_skb_parms *nsp)
{
	struct cn_msg *msg;
	u32 size, i;

	if (!read_u32(req, 0, &size) || size > U16_MAX)
		return reply_bad(req, nsp);
	msg = make_reply(req, NULL, size);
	if (!msg)
		return;
	for (i = 0; i < size; i++)
		msg->data[i] = i;
	cn_netlink_send(msg, nsp->portid, 0, COUNTERPART_GFP);
	kvfree(msg);
}

static void on_twice(struct cn_msg *req, struct netlink_skb_parms *nsp)
{
	reply(req, nsp, req->data, req->len);
	reply(req, nsp, req->data, req->len);
}

static void on_group_of_id(struct cn_msg *req, struct netlink_skb_parms *nsp)
{
	size_t skip = req->len ? 2 * sizeof(u32) : 0;
	struct cn_msg *msg;
	int err;

	if (req->len < skip)
		return reply_bad(req, nsp);
	msg = make_new(req, req->data + skip, req->len - skip);
	if (!msg)
		return;
	if (skip) {
		read_u32(req, 0, &msg->id.idx);
		read_u32(req, 1, &msg->id.val);
	}
	err = cn_netlink_send(msg, 0, 0, COUNTERPART_GFP);
	kvfree(msg);
	reply_status(req, nsp, err);
}

static void on_given_group(struct cn_msg *req, struct netlink_skb_parms *nsp)
{
	struct cn_msg *msg;
	u32 group;
	int err;

	if (!read_u32(req, 0, &group) || !group)
		return reply_bad(req, nsp);
	msg = make_new(req, req->data + sizeof(u32), req->len - sizeof(u32));
	if (!msg)
		return;
	err = cn_netlink_send(msg, 0, group, COUNTERPART_GFP);
	kvfree(msg);
	reply_status(req, nsp, err);
}

static void on_register_taken(struct cn_msg *req, struct netlink_skb_parms *nsp)
{
	struct cb_id id = { COUNTERPART_IDX, 1 };
	int err;

	if (req->len && (!read_u32(req, 0, &id.idx) || !read_u32(req, 1, &id.val)))
		return reply_bad(req, nsp);
	err = cn_add_callback(&id, "cnc_probe", on_echo);
	if (!err)
		cn_del_callback(&id);
	reply_status(req, nsp, err);
}

static DEFINE_MUTEX(extra_lock);
static struct cb_id extra_id = { COUNTERPART_IDX, DEFAULT_EXTRA_VAL };
static bool extra_registered;

static int set_extra(bool on, u32 val)
{
	int err = 0;

	mutex_lock(&extra_lock);
	if (on) {
		/* with one already there this fails as cn_add_callback does for an id that is taken */
		err = -EINVAL;
		if (!extra_registered) {
			extra_id.val = val;
			err = cn_add_callback(&extra_id, "cnc_extra", on_echo);
			extra_registered = !err;
		}
	} else if (extra_registered && extra_id.val == val) {
		cn_del_callback(&extra_id);
		extra_registered = false;
	} else {
		err = -ENODEV;
	}
	mutex_unlock(&extra_lock);
	return err;
}

static void on_extra(struct cn_msg *req, struct netlink_skb_parms *nsp)
{
	u32 on, val = DEFAULT_EXTRA_VAL;

	if (!read_u32(req, 0, &on))
		return reply_bad(req, nsp);
	read_u32(req, 1, &val);
	reply_status(req, nsp, set_extra(on, val));
}

static const struct {
	u32 val;
	const char *name;
	void (*callback)(struct cn_msg *msg, struct netlink_skb_parms *nsp);
} callbacks[] = {
	{ 1, "cnc_echo", on_echo },
	{ 2, "cnc_multicast", on_multicast },
	{ 3, "cnc_several", on_several },
	{ 4, "cnc_burst", on_burst },
	{ 5, "cnc_sink", on_sink },
	{ 6, "cnc_credentials", on_credentials },
	{ 7, "cnc_delayed", on_delayed },
	{ 8, "cnc_large", on_large },
	{ 9, "cnc_sink_report", on_sink_report },
	{ 10, "cnc_twice", on_twice },
	{ 11, "cnc_group_of_id", on_group_of_id },
	{ 12, "cnc_given_group", on_given_group },
	{ 13, "cnc_register", on_register_taken },
	{ 14, "cnc_extra_control", on_extra },
};

static void remove_callbacks(size_t count)
{
	while (count--) {
		struct cb_id id = { COUNTERPART_IDX, callbacks[count].val };

		cn_del_callback(&id);
	}
}

static int __init counterpart_init(void)
{
	size_t i;

	late_queue = alloc_workqueue("cn_counterpart", 0, 0);
	if (!late_queue)
		return -ENOMEM;
	for (i = 0; i < ARRAY_SIZE(callbacks); i++) {
		struct cb_id id = { COUNTERPART_IDX, callbacks[i].val };
		int err = cn_add_callback(&id, callbacks[i].name, callbacks[i].callback);

		if (err) {
			pr_err("cannot register %u:%u: error %d\n", id.idx, id.val, err);
			remove_callbacks(i);
			cancel_late_replies();
			return err;
		}
	}
	return 0;
}

static void __exit counterpart_exit(void)
{
	remove_callbacks(ARRAY_SIZE(callbacks));
	set_extra(false, extra_id.val);
	cancel_late_replies();
}

module_init(counterpart_init);
module_exit(counterpart_exit);

MODULE_LICENSE("GPL");
MODULE_DESCRIPTION("Counterpart for tests of connector clients");
