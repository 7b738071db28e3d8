// SPDX-License-Identifier: MIT
/*
 * receiver - the cost of process events in a C program.
 *
 *   --mode recv       one blocking recvmsg for each event, as most C tools do it
 *   --mode wake       poll, then recvmmsg until the queue is empty, with no pause
 *   --mode batch      the same with a pause after each wake-up (--pause-us, 2000): the practical limit
 *   --mode latency    as recv, and the time from the kernel's timestamp to here is kept
 *
 *   --of PID          also count the events of PID and its children separately
 *   --buffer BYTES    receive buffer (67108864), by SO_RCVBUFFORCE or else SO_RCVBUF
 *   --enobufs         leave the kernel's overrun reports on (they are off: NETLINK_NO_ENOBUFS)
 *   --vlen N          messages for one recvmmsg (64)
 *   --seconds S       end after S seconds (600)
 *   --until-exit-of P end when process P has ended
 *
 * Prints "ready" when the kernel has acknowledged the subscription. SIGTERM or SIGINT: the queue is
 * drained and one line of JSON is printed.
 *
 * For each event it does the work that no tool can omit: it checks the sender, the message type and the
 * sequence number, and reads and uses the fields.
 */
#define _GNU_SOURCE
#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>
#include <linux/netlink.h>

/* Not in every libc's headers, and the uapi header has renamed its enum once: kept here instead. */
#ifndef SO_MEMINFO
#define SO_MEMINFO 55
#endif
#define MEMINFO_WORDS 9
#define MEMINFO_DROPS 8

#define CN_IDX_PROC 1
#define CN_VAL_PROC 1
#define PROC_CN_MCAST_LISTEN 1
#define PROC_CN_MCAST_IGNORE 2

#define EVENT_NONE 0x0
#define EVENT_FORK 0x1
#define EVENT_EXEC 0x2
#define EVENT_UID 0x4
#define EVENT_GID 0x40
#define EVENT_SID 0x80
#define EVENT_PTRACE 0x100
#define EVENT_COMM 0x200
#define EVENT_COREDUMP 0x40000000
#define EVENT_EXIT 0x80000000

#define NSEC_PER_SEC 1000000000ULL
#define MAX_CPUS 4096
#define MAX_PIDS (1 << 22)
#define MAX_VLEN 1024
#define MAX_SAMPLES (1 << 20)
#define SLOT_BYTES 128
#define ACK_SECONDS 5
#define DRAIN_SECONDS 10

struct event {
	uint32_t what;
	uint32_t cpu;
	uint64_t timestamp_ns;
	uint32_t data[6];
} __attribute__((packed));

struct message {
	struct nlmsghdr nlh;
	uint32_t idx;
	uint32_t val;
	uint32_t seq;
	uint32_t ack;
	uint16_t len;
	uint16_t flags;
	struct event event;
} __attribute__((packed));

struct request {
	struct nlmsghdr nlh;
	uint32_t idx;
	uint32_t val;
	uint32_t seq;
	uint32_t ack;
	uint16_t len;
	uint16_t flags;
	uint32_t op;
} __attribute__((packed));

enum kind { FORK, EXEC, EXIT, COMM, UID, GID, SID, PTRACE, COREDUMP, OTHER, KINDS };

static const char *const kind_names[KINDS] = {
	"fork", "exec", "exit", "comm", "uid", "gid", "sid", "ptrace", "coredump", "unknown",
};

enum mode { MODE_RECV, MODE_WAKE, MODE_BATCH, MODE_LATENCY };

static const char *const mode_names[] = { "recv", "wake", "batch", "latency" };

struct options {
	enum mode mode;
	uint32_t of;
	uint32_t until_exit_of;
	long buffer;
	long vlen;
	long seconds;
	long pause_us;
	int enobufs;
};

struct tally {
	uint64_t kinds[KINDS];
	uint64_t own_fork, own_exit, own_comm, own_child_pid_sum;
	uint64_t pid_sum;
	uint64_t last_timestamp;
	uint64_t foreign;
	uint64_t gaps;
	uint64_t wakeups, calls;
	int finished;
	struct {
		uint32_t seq;
		int seen;
	} cpus[MAX_CPUS];
};

static volatile sig_atomic_t stopped;
static struct options options = {
	.buffer = 64 << 20, .vlen = 64, .seconds = 600, .pause_us = 2000,
};
static struct tally tally;
/* Which pids are children of --of now. Touched only where there are some. */
static unsigned char children[MAX_PIDS];
static uint32_t *samples;
static size_t sample_count;

static unsigned char slots[MAX_VLEN][SLOT_BYTES] __attribute__((aligned(64)));
static struct sockaddr_nl names[MAX_VLEN];
static struct iovec iovs[MAX_VLEN];
static struct mmsghdr headers[MAX_VLEN];

static void on_stop(int sig)
{
	(void)sig;
	stopped = 1;
}

static void fail(const char *what)
{
	perror(what);
	exit(1);
}

static uint64_t now_ns(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	return ts.tv_sec * NSEC_PER_SEC + ts.tv_nsec;
}

static uint64_t timeval_ns(struct timeval tv)
{
	return tv.tv_sec * NSEC_PER_SEC + tv.tv_usec * 1000ULL;
}

/* ---- the command line ---- */

static void usage(void)
{
	fputs("usage: receiver --mode recv|wake|batch|latency [--of PID] [--buffer BYTES] [--enobufs]\n"
	      "       [--vlen N] [--pause-us N] [--seconds S] [--until-exit-of PID]\n", stderr);
	exit(2);
}

static long number(const char *text, long min, long max)
{
	char *end;
	long value;

	if (!text || !*text)
		usage();
	errno = 0;
	value = strtol(text, &end, 10);
	if (errno || *end || value < min || value > max)
		usage();
	return value;
}

static enum mode mode_of(const char *text)
{
	for (int i = 0; text && i <= MODE_LATENCY; i++)
		if (!strcmp(text, mode_names[i]))
			return i;
	usage();
	return MODE_RECV;
}

static void parse(int argc, char **argv)
{
	for (int i = 1; i < argc; i++) {
		const char *value = i + 1 < argc ? argv[i + 1] : NULL;

		if (!strcmp(argv[i], "--enobufs")) {
			options.enobufs = 1;
			continue;
		}
		if (!strcmp(argv[i], "--mode"))
			options.mode = mode_of(value);
		else if (!strcmp(argv[i], "--of"))
			options.of = number(value, 0, 1 << 30);
		else if (!strcmp(argv[i], "--until-exit-of"))
			options.until_exit_of = number(value, 0, 1 << 30);
		else if (!strcmp(argv[i], "--buffer"))
			options.buffer = number(value, 1, 1 << 30);
		else if (!strcmp(argv[i], "--vlen"))
			options.vlen = number(value, 1, MAX_VLEN);
		else if (!strcmp(argv[i], "--pause-us"))
			options.pause_us = number(value, 0, 1000000);
		else if (!strcmp(argv[i], "--seconds"))
			options.seconds = number(value, 1, 3600);
		else
			usage();
		i++;
	}
}

/* ---- the socket ---- */

static int open_socket(void)
{
	struct sockaddr_nl address = { .nl_family = AF_NETLINK, .nl_groups = 1 << (CN_IDX_PROC - 1) };
	int bytes = options.buffer, on = 1;
	int fd = socket(AF_NETLINK, SOCK_DGRAM | SOCK_CLOEXEC, NETLINK_CONNECTOR);

	if (fd < 0)
		fail("receiver: socket");
	if (setsockopt(fd, SOL_SOCKET, SO_RCVBUFFORCE, &bytes, sizeof(bytes)) &&
	    setsockopt(fd, SOL_SOCKET, SO_RCVBUF, &bytes, sizeof(bytes)))
		fail("receiver: SO_RCVBUF");
	if (!options.enobufs &&
	    setsockopt(fd, SOL_NETLINK, NETLINK_NO_ENOBUFS, &on, sizeof(on)))
		fail("receiver: NETLINK_NO_ENOBUFS");
	if (bind(fd, (struct sockaddr *)&address, sizeof(address)))
		fail("receiver: bind");
	return fd;
}

static void control(int fd, uint32_t op, uint32_t ack)
{
	struct request request = {
		.nlh = { .nlmsg_len = sizeof(request), .nlmsg_type = NLMSG_DONE },
		.idx = CN_IDX_PROC,
		.val = CN_VAL_PROC,
		.ack = ack,
		.len = sizeof(uint32_t),
		.op = op,
	};

	if (send(fd, &request, sizeof(request), 0) != sizeof(request))
		fail("receiver: send");
}

static uint32_t drops_of(int fd)
{
	uint32_t words[MEMINFO_WORDS] = { 0 };
	socklen_t len = sizeof(words);

	if (getsockopt(fd, SOL_SOCKET, SO_MEMINFO, words, &len))
		return 0;
	return words[MEMINFO_DROPS];
}

static int granted_buffer(int fd)
{
	int bytes = 0;
	socklen_t len = sizeof(bytes);

	getsockopt(fd, SOL_SOCKET, SO_RCVBUF, &bytes, &len);
	return bytes;
}

/* ---- one message ---- */

static enum kind kind_of(uint32_t what)
{
	switch (what) {
	case EVENT_FORK:
		return FORK;
	case EVENT_EXEC:
		return EXEC;
	case EVENT_EXIT:
		return EXIT;
	case EVENT_COMM:
		return COMM;
	case EVENT_UID:
		return UID;
	case EVENT_GID:
		return GID;
	case EVENT_SID:
		return SID;
	case EVENT_PTRACE:
		return PTRACE;
	case EVENT_COREDUMP:
		return COREDUMP;
	default:
		return OTHER;
	}
}

static int from_kernel(const void *buffer, ssize_t bytes, const struct sockaddr_nl *name,
		       socklen_t namelen)
{
	const struct message *message = buffer;

	return bytes >= (ssize_t)sizeof(*message) && namelen == sizeof(*name) && name->nl_pid == 0 &&
	       message->idx == CN_IDX_PROC && message->val == CN_VAL_PROC &&
	       message->len >= sizeof(struct event);
}

/* An acknowledgement takes a number of its CPU as well, so this comes before any other test. */
static void check_sequence(uint32_t cpu, uint32_t seq)
{
	if (cpu >= MAX_CPUS)
		return;
	if (tally.cpus[cpu].seen)
		tally.gaps += seq - tally.cpus[cpu].seq - 1;
	tally.cpus[cpu].seen = 1;
	tally.cpus[cpu].seq = seq;
}

static void keep_latency(uint64_t timestamp_ns)
{
	uint64_t late = now_ns() - timestamp_ns;

	if (samples && sample_count < MAX_SAMPLES)
		samples[sample_count++] = late > UINT32_MAX ? UINT32_MAX : late;
}

/*
 * The kernel sends the exit event after it has notified the parent. If the parent reaps the child first, the
 * event has no parent, so children are identified by their pids.
 */
static int ends_child(const struct event *event)
{
	uint32_t pid = event->data[1];

	if (event->data[0] != pid || pid >= MAX_PIDS || !children[pid])
		return 0;
	children[pid] = 0;
	return 1;
}

static void take(const void *buffer, ssize_t bytes, const struct sockaddr_nl *name,
		 socklen_t namelen)
{
	const struct message *message = buffer;
	const struct event *event = &message->event;
	int own = 0;
	enum kind kind;

	if (!from_kernel(buffer, bytes, name, namelen)) {
		tally.foreign++;
		return;
	}
	check_sequence(event->cpu, message->seq);
	if (event->what == EVENT_NONE)
		return;

	kind = kind_of(event->what);
	tally.kinds[kind]++;
	tally.last_timestamp = event->timestamp_ns;
	switch (kind) {
	case FORK:
		tally.pid_sum += event->data[3];
		own = event->data[1] == options.of && event->data[2] == event->data[3];
		if (own) {
			tally.own_fork++;
			tally.own_child_pid_sum += event->data[2];
			children[event->data[2] % MAX_PIDS] = 1;
		}
		break;
	case EXIT:
		tally.pid_sum += event->data[1];
		own = ends_child(event);
		tally.own_exit += own;
		if (options.until_exit_of && event->data[1] == options.until_exit_of &&
		    event->data[0] == event->data[1])
			tally.finished = 1;
		break;
	case COMM:
		tally.pid_sum += event->data[1];
		own = event->data[1] == options.of;
		tally.own_comm += own;
		break;
	default:
		tally.pid_sum += event->data[1];
	}
	if (samples && (own || !options.of))
		keep_latency(event->timestamp_ns);
}

/* ---- receiving ---- */

static void prepare_slots(void)
{
	for (int i = 0; i < MAX_VLEN; i++) {
		iovs[i].iov_base = slots[i];
		iovs[i].iov_len = SLOT_BYTES;
		headers[i].msg_hdr.msg_iov = &iovs[i];
		headers[i].msg_hdr.msg_iovlen = 1;
		headers[i].msg_hdr.msg_name = &names[i];
		headers[i].msg_hdr.msg_namelen = sizeof(names[i]);
	}
}

/* One recvmmsg. Returns how many messages it gave, 0 when the queue is empty. */
static int take_many(int fd)
{
	int n = recvmmsg(fd, headers, options.vlen, MSG_DONTWAIT, NULL);

	tally.calls++;
	if (n < 0 && errno == ENOBUFS) {
		/*
		 * recvmmsg may take the error without the kernel seeing that the queue is empty, and
		 * then nothing is queued any more: a plain receive looks at the queue.
		 */
		tally.calls++;
		n = recvmmsg(fd, headers, 1, MSG_DONTWAIT, NULL);
	}
	if (n < 0) {
		if (errno == EAGAIN || errno == EINTR || errno == ENOBUFS)
			return 0;
		fail("receiver: recvmmsg");
	}
	for (int i = 0; i < n; i++) {
		take(slots[i], headers[i].msg_len, &names[i], headers[i].msg_hdr.msg_namelen);
		headers[i].msg_hdr.msg_namelen = sizeof(names[i]);
	}
	return n;
}

/* One recvmsg, blocking at most as long as SO_RCVTIMEO says. Returns 0 when nothing came. */
static int take_one(int fd, int flags)
{
	struct msghdr *header = &headers[0].msg_hdr;
	ssize_t bytes = recvmsg(fd, header, flags);

	tally.calls++;
	if (bytes < 0) {
		if (errno == EAGAIN || errno == EINTR || errno == ENOBUFS)
			return 0;
		fail("receiver: recvmsg");
	}
	take(slots[0], bytes, &names[0], header->msg_namelen);
	header->msg_namelen = sizeof(names[0]);
	return 1;
}

static void drain(int fd)
{
	uint64_t end = now_ns() + DRAIN_SECONDS * NSEC_PER_SEC;

	while (take_many(fd) > 0 && now_ns() < end)
		;
}

static void run_one_by_one(int fd)
{
	/* A signal that comes just before the receive is seen at the latest then. */
	struct timeval patience = { .tv_usec = 500000 };

	setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &patience, sizeof(patience));
	while (!stopped && !tally.finished)
		tally.wakeups += take_one(fd, 0);
}

static void run_many(int fd, const sigset_t *unblocked)
{
	struct pollfd pollfd = { .fd = fd, .events = POLLIN };
	struct timespec pause = {
		.tv_sec = options.pause_us / 1000000, .tv_nsec = options.pause_us % 1000000 * 1000,
	};
	int enough = options.mode == MODE_BATCH ? options.vlen : 1;
	int n;

	while (!stopped && !tally.finished) {
		if (ppoll(&pollfd, 1, NULL, unblocked) < 0)
			continue;
		tally.wakeups++;
		if (options.mode == MODE_BATCH)
			nanosleep(&pause, NULL);
		/*
		 * Until the queue is empty; with a pause to come, a short answer is empty enough, and
		 * chasing the last few messages of a storm would only make many small calls.
		 */
		do
			n = take_many(fd);
		while (n >= enough && !stopped);
	}
}

/* Everything before the acknowledgement belongs to nobody: it is received and thrown away. */
static void wait_for_ack(int fd, uint32_t sent_ack)
{
	struct pollfd pollfd = { .fd = fd, .events = POLLIN };
	uint64_t end = now_ns() + ACK_SECONDS * NSEC_PER_SEC;
	const struct message *message = (const struct message *)slots[0];

	while (now_ns() < end && !stopped) {
		if (poll(&pollfd, 1, 1000) <= 0 || take_one(fd, MSG_DONTWAIT) == 0)
			continue;
		if (message->event.what == EVENT_NONE && message->ack == sent_ack + 1)
			return;
	}
	fputs("receiver: the kernel did not acknowledge the subscription\n", stderr);
	exit(1);
}

/* ---- the result ---- */

static int by_value(const void *a, const void *b)
{
	uint32_t x = *(const uint32_t *)a, y = *(const uint32_t *)b;

	return x < y ? -1 : x > y;
}

static uint32_t quantile(double q)
{
	size_t index = (size_t)(q * sample_count);

	return samples[index < sample_count ? index : sample_count - 1];
}

static void print_latency(void)
{
	if (!samples)
		return;
	if (!sample_count) {
		printf(",\"latencyNs\":null");
		return;
	}
	qsort(samples, sample_count, sizeof(*samples), by_value);
	printf(",\"latencyNs\":{\"samples\":%zu,\"p50\":%u,\"p99\":%u,\"max\":%u}", sample_count,
	       quantile(0.5), quantile(0.99), samples[sample_count - 1]);
}

static void print_counts(void)
{
	uint64_t events = 0;

	for (int i = 0; i < KINDS; i++)
		events += tally.kinds[i];
	printf("\"events\":%llu,\"types\":{", (unsigned long long)events);
	for (int i = 0; i < KINDS; i++)
		printf("%s\"%s\":%llu", i ? "," : "", kind_names[i],
		       (unsigned long long)tally.kinds[i]);
	printf("},\"own\":{\"fork\":%llu,\"exit\":%llu,\"comm\":%llu,\"childPidSum\":%llu}",
	       (unsigned long long)tally.own_fork, (unsigned long long)tally.own_exit,
	       (unsigned long long)tally.own_comm, (unsigned long long)tally.own_child_pid_sum);
}

static void print_result(int fd, uint32_t drops, uint64_t elapsed, const struct rusage *from,
			 const struct rusage *to)
{
	uint64_t lost = drops > tally.gaps ? drops : tally.gaps;

	printf("{\"name\":\"c-%s\",", mode_names[options.mode]);
	print_counts();
	printf(",\"lost\":%llu,\"drops\":%u,\"gaps\":%llu,\"foreign\":%llu,\"wakeups\":%llu,"
	       "\"calls\":%llu,\"buffer\":%d,\"elapsedNs\":%llu",
	       (unsigned long long)lost, drops, (unsigned long long)tally.gaps,
	       (unsigned long long)tally.foreign, (unsigned long long)tally.wakeups,
	       (unsigned long long)tally.calls, granted_buffer(fd), (unsigned long long)elapsed);
	printf(",\"cpuNs\":{\"user\":%llu,\"system\":%llu}",
	       (unsigned long long)(timeval_ns(to->ru_utime) - timeval_ns(from->ru_utime)),
	       (unsigned long long)(timeval_ns(to->ru_stime) - timeval_ns(from->ru_stime)));
	printf(",\"processCpuNs\":{\"user\":%llu,\"system\":%llu}",
	       (unsigned long long)timeval_ns(to->ru_utime),
	       (unsigned long long)timeval_ns(to->ru_stime));
	/* Sums that only keep the compiler from leaving the reading out. */
	printf(",\"checksum\":%llu", (unsigned long long)(tally.pid_sum ^ tally.last_timestamp));
	print_latency();
	printf("}\n");
	fflush(stdout);
}

/*
 * In the modes that poll, the signals stay blocked except inside ppoll: none can slip in between
 * the test of the flag and the wait.
 */
static void catch_signals(sigset_t *unblocked)
{
	struct sigaction action = { .sa_handler = on_stop };
	sigset_t set;

	sigaction(SIGTERM, &action, NULL);
	sigaction(SIGINT, &action, NULL);
	sigaction(SIGALRM, &action, NULL);
	sigemptyset(&set);
	sigaddset(&set, SIGTERM);
	sigaddset(&set, SIGINT);
	sigaddset(&set, SIGALRM);
	sigprocmask(SIG_SETMASK, NULL, unblocked);
	if (options.mode == MODE_WAKE || options.mode == MODE_BATCH)
		sigprocmask(SIG_BLOCK, &set, NULL);
}

int main(int argc, char **argv)
{
	struct rusage from, to;
	uint64_t start, end;
	uint32_t ack, drops;
	sigset_t unblocked;
	int fd;

	parse(argc, argv);
	catch_signals(&unblocked);
	prepare_slots();
	fd = open_socket();
	ack = (uint32_t)now_ns() ^ (uint32_t)getpid() << 16;
	control(fd, PROC_CN_MCAST_LISTEN, ack);
	wait_for_ack(fd, ack);

	/* The CPUs' last numbers stay, the counts begin here. */
	memset(&tally, 0, offsetof(struct tally, cpus));
	if (options.mode == MODE_LATENCY)
		samples = malloc(MAX_SAMPLES * sizeof(*samples));
	drops = drops_of(fd);
	alarm(options.seconds);
	getrusage(RUSAGE_SELF, &from);
	start = now_ns();
	printf("ready\n");
	fflush(stdout);

	if (options.mode == MODE_WAKE || options.mode == MODE_BATCH)
		run_many(fd, &unblocked);
	else
		run_one_by_one(fd);
	drain(fd);

	end = now_ns();
	getrusage(RUSAGE_SELF, &to);
	drops = drops_of(fd) - drops;
	control(fd, PROC_CN_MCAST_IGNORE, ack + 1);
	print_result(fd, drops, end - start, &from, &to);
	close(fd);
	return 0;
}
