// SPDX-License-Identifier: MIT
/*
 * cn_echo - requests and replies between two C programs on the connector's bus.
 *
 *   cn_echo service IDX VAL                        answers each message for IDX:VAL with its own payload
 *   cn_echo client IDX VAL PORT COUNT INFLIGHT     sends COUNT requests, INFLIGHT at a time
 *   --bytes N      payload of a request (16)
 *   --batch        recvmmsg, up to 64 messages at a time, instead of one recvmsg for each
 *
 * A reply has the request's identifier and sequence number and its acknowledge number plus one, and comes from the
 * port of the service; anything else ends the client with status 1. The service prints its port as one line of JSON
 * and ends with its standard input; the client prints how fast it was. Needs CAP_NET_ADMIN.
 */
#define _GNU_SOURCE
#include <errno.h>
#include <pthread.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>
#include <linux/connector.h>
#include <linux/netlink.h>

#define BATCH 64
#define SLOT 2048
#define MAX_BYTES 1024
#define RECEIVE_BUFFER (4 << 20)

struct packet {
	struct nlmsghdr nl;
	struct cn_msg cn;
	uint8_t data[MAX_BYTES];
};

struct ring {
	struct mmsghdr headers[BATCH];
	struct iovec vectors[BATCH];
	struct sockaddr_nl names[BATCH];
	uint8_t slots[BATCH][SLOT];
};

static int batch_size = 1;
static size_t payload = 16;

static void die(const char *what)
{
	fprintf(stderr, "cn_echo: %s: %s\n", what, strerror(errno));
	exit(1);
}

static int open_socket(uint32_t *port)
{
	struct sockaddr_nl own = { .nl_family = AF_NETLINK };
	socklen_t length = sizeof(own);
	int size = RECEIVE_BUFFER, fd = socket(AF_NETLINK, SOCK_RAW | SOCK_CLOEXEC, NETLINK_CONNECTOR);

	if (fd < 0 || bind(fd, (struct sockaddr *)&own, sizeof(own)) < 0 ||
	    getsockname(fd, (struct sockaddr *)&own, &length) < 0)
		die("socket");
	if (setsockopt(fd, SOL_SOCKET, SO_RCVBUFFORCE, &size, sizeof(size)) < 0)
		die("SO_RCVBUFFORCE");
	*port = own.nl_pid;
	return fd;
}

static void prepare(struct ring *ring)
{
	for (int i = 0; i < BATCH; i++) {
		ring->vectors[i] = (struct iovec){ ring->slots[i], SLOT };
		ring->headers[i].msg_hdr = (struct msghdr){
			.msg_name = &ring->names[i],
			.msg_namelen = sizeof(ring->names[i]),
			.msg_iov = &ring->vectors[i],
			.msg_iovlen = 1,
		};
	}
}

/* Waits for at least one message. */
static int receive(int fd, struct ring *ring)
{
	for (;;) {
		int count;

		if (batch_size == 1) {
			count = recvmsg(fd, &ring->headers[0].msg_hdr, 0);
			if (count >= 0) {
				ring->headers[0].msg_len = count;
				return 1;
			}
		} else {
			count = recvmmsg(fd, ring->headers, batch_size, MSG_WAITFORONE, NULL);
			if (count > 0)
				return count;
		}
		if (errno != EINTR)
			die("receive");
	}
}

static void send_packet(int fd, struct packet *packet, uint32_t port)
{
	struct sockaddr_nl to = { .nl_family = AF_NETLINK, .nl_pid = port };

	while (sendto(fd, packet, packet->nl.nlmsg_len, 0, (struct sockaddr *)&to, sizeof(to)) < 0)
		if (errno != EINTR)
			die("sendto");
}

/* The message in slot i, or NULL where it is none for us. */
static struct packet *message_at(struct ring *ring, int i, const struct cb_id *id)
{
	struct packet *packet = (struct packet *)ring->slots[i];
	size_t length = ring->headers[i].msg_len;

	if (length < sizeof(packet->nl) + sizeof(packet->cn) || packet->nl.nlmsg_len > length ||
	    sizeof(packet->nl) + sizeof(packet->cn) + packet->cn.len > packet->nl.nlmsg_len)
		return NULL;
	if (packet->cn.id.idx != id->idx || packet->cn.id.val != id->val)
		return NULL;
	return packet;
}

static void *input_ends(void *unused)
{
	char byte;

	(void)unused;
	while (read(STDIN_FILENO, &byte, 1) > 0)
		;
	_exit(0);
}

static __attribute__((noreturn)) void serve(int fd, const struct cb_id *id, struct ring *ring)
{
	for (;;) {
		int count = receive(fd, ring);

		for (int i = 0; i < count; i++) {
			struct packet *packet = message_at(ring, i, id);

			if (!packet)
				continue;
			packet->cn.ack++;
			send_packet(fd, packet, ring->names[i].nl_pid);
		}
	}
}

static double now(void)
{
	struct timespec time;

	clock_gettime(CLOCK_MONOTONIC, &time);
	return time.tv_sec + time.tv_nsec / 1e9;
}

static double used(void)
{
	struct rusage usage;

	getrusage(RUSAGE_SELF, &usage);
	return usage.ru_utime.tv_sec + usage.ru_stime.tv_sec + (usage.ru_utime.tv_usec + usage.ru_stime.tv_usec) / 1e6;
}

static void ask(int fd, struct packet *packet, uint32_t port, uint32_t *acks, uint32_t seq)
{
	packet->nl.nlmsg_seq = packet->cn.seq = seq;
	packet->cn.ack = acks[seq] = random();
	send_packet(fd, packet, port);
}

static int hold(int fd, const struct cb_id *id, struct ring *ring, uint32_t port, uint32_t count, uint32_t inflight)
{
	uint32_t *acks = calloc(count, sizeof(*acks)), asked = 0, answered = 0;
	struct packet packet = { .cn = { .id = *id, .len = payload } };
	double start = now(), cpu = used();

	if (!acks)
		die("calloc");
	packet.nl.nlmsg_len = sizeof(packet.nl) + sizeof(packet.cn) + payload;
	packet.nl.nlmsg_type = NLMSG_DONE;
	while (asked < inflight && asked < count)
		ask(fd, &packet, port, acks, asked++);
	while (answered < count) {
		int got = receive(fd, ring);

		for (int i = 0; i < got; i++) {
			struct packet *reply = message_at(ring, i, id);

			if (!reply || ring->names[i].nl_pid != port || reply->cn.seq >= asked ||
			    reply->cn.ack != acks[reply->cn.seq] + 1 || reply->cn.len != payload) {
				fprintf(stderr, "cn_echo: a wrong answer\n");
				return 1;
			}
			answered++;
			if (asked < count)
				ask(fd, &packet, port, acks, asked++);
		}
	}
	double seconds = now() - start;

	printf("{\"requests\":%u,\"seconds\":%.6f,\"perSecond\":%.0f,\"cpuUsPerRequest\":%.3f}\n", count, seconds,
	       count / seconds, (used() - cpu) / count * 1e6);
	return 0;
}

int main(int argc, char **argv)
{
	static struct ring ring;
	char *plain[8];
	int plain_count = 0, fd;
	pthread_t thread;
	uint32_t port;

	for (int i = 1; i < argc; i++) {
		if (!strcmp(argv[i], "--batch"))
			batch_size = BATCH;
		else if (!strcmp(argv[i], "--bytes") && i + 1 < argc)
			payload = strtoul(argv[++i], NULL, 10);
		else if (plain_count < 8)
			plain[plain_count++] = argv[i];
	}
	int serves = plain_count == 3 && !strcmp(plain[0], "service");

	if ((!serves && (plain_count != 6 || strcmp(plain[0], "client"))) || payload > MAX_BYTES) {
		fprintf(stderr, "usage: cn_echo service IDX VAL | client IDX VAL PORT COUNT INFLIGHT [--bytes N] [--batch]\n");
		return 2;
	}
	struct cb_id id = { strtoul(plain[1], NULL, 10), strtoul(plain[2], NULL, 10) };

	fd = open_socket(&port);
	prepare(&ring);
	if (!serves)
		return hold(fd, &id, &ring, strtoul(plain[3], NULL, 10), strtoul(plain[4], NULL, 10),
			    strtoul(plain[5], NULL, 10));
	printf("{\"port\":%u}\n", port);
	fflush(stdout);
	if (pthread_create(&thread, NULL, input_ends, NULL))
		die("pthread_create");
	serve(fd, &id, &ring);
}
