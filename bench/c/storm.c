// SPDX-License-Identifier: MIT
/*
 * storm - a load with an exact number of process events and a time limit.
 *
 *   storm vfork N     N children that exit at once: 2 N events (fork, exit)
 *   storm exec N      N children that become /bin/true: 3 N events (fork, exec, exit)
 *   storm comm N      N calls of prctl(PR_SET_NAME): N events, the cheapest kind
 *   storm thread N    N threads that end at once: 2 N events (fork, exit)
 *
 *   --rate R          at most R iterations a second (absolute schedule: late iterations catch up)
 *   --cpu K           run on CPU K only (the children inherit this)
 *   --start-fd FD     begin when a line can be read from FD; end of file ends the program, no storm
 *   --wait-for-stdin  the same as --start-fd 0
 *   --seconds S       give up after S seconds of storm (300)
 *
 * One line of JSON goes to standard output at the end. SIGTERM and SIGINT end the storm early and
 * cleanly: the current child is reaped, and the line has the number of iterations.
 *
 * Every child is a child of the printed pid, one lives at a time, and each is reaped before the next.
 * The name set by "comm" counts the turns (s000000000, s000000001, ...), and so does the second
 * argument of the /bin/true of "exec": a watcher can tell which ones it missed.
 */
#define _GNU_SOURCE
#include <errno.h>
#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#define NSEC_PER_SEC 1000000000ULL
#define MAX_COUNT 100000000L
#define NAME_DIGITS 9

static volatile sig_atomic_t stopped;

struct storm {
	const char *kind;
	long asked;
	long rate;
	long seconds;
	int cpu;
	int start_fd;
	long done;
	pid_t first_child;
	pid_t last_child;
	uint64_t child_pid_sum;
};

static void on_stop(int sig)
{
	(void)sig;
	stopped = 1;
}

static uint64_t now_ns(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	return ts.tv_sec * NSEC_PER_SEC + ts.tv_nsec;
}

static uint64_t cpu_ns(int who)
{
	struct rusage ru;

	getrusage(who, &ru);
	return (ru.ru_utime.tv_sec + ru.ru_stime.tv_sec) * NSEC_PER_SEC +
	       (ru.ru_utime.tv_usec + ru.ru_stime.tv_usec) * 1000ULL;
}

static void usage(void)
{
	fputs("usage: storm vfork|exec|comm|thread N [--rate R] [--cpu K] [--start-fd FD |\n"
	      "       --wait-for-stdin] [--seconds S]\n", stderr);
	exit(2);
}

static void fail(const char *what)
{
	perror(what);
	exit(1);
}

static long number(const char *text, long min, long max)
{
	char *end;
	long value;

	if (!text || !*text)
		usage();
	errno = 0;
	value = strtol(text, &end, 10);
	if (errno || *end || value < min || value > max) {
		fprintf(stderr, "storm: %s is not a number from %ld to %ld\n", text, min, max);
		exit(2);
	}
	return value;
}

static void parse(struct storm *storm, int argc, char **argv)
{
	if (argc < 3)
		usage();
	storm->kind = argv[1];
	storm->asked = number(argv[2], 0, MAX_COUNT);
	for (int i = 3; i < argc; i++) {
		const char *value = i + 1 < argc ? argv[i + 1] : NULL;

		if (!strcmp(argv[i], "--wait-for-stdin")) {
			storm->start_fd = 0;
			continue;
		}
		if (!strcmp(argv[i], "--rate"))
			storm->rate = number(value, 1, 1000000000);
		else if (!strcmp(argv[i], "--cpu"))
			storm->cpu = number(value, 0, CPU_SETSIZE - 1);
		else if (!strcmp(argv[i], "--start-fd"))
			storm->start_fd = number(value, 0, 1 << 20);
		else if (!strcmp(argv[i], "--seconds"))
			storm->seconds = number(value, 1, 3600);
		else
			usage();
		i++;
	}
}

static void pin(int cpu)
{
	cpu_set_t set;

	CPU_ZERO(&set);
	CPU_SET(cpu, &set);
	if (sched_setaffinity(0, sizeof(set), &set))
		fail("storm: sched_setaffinity");
}

/* Returns 0 when a line came, -1 at the end of the file or a signal: then there is no storm. */
static int wait_for_line(int fd)
{
	char c;
	ssize_t n;

	for (int i = 0; i < 4096 && !stopped; i++) {
		n = read(fd, &c, 1);
		if (n == 1 && c == '\n')
			return 0;
		if (n == 0 || (n < 0 && errno != EINTR))
			return -1;
	}
	return -1;
}

static void pace(const struct storm *storm, uint64_t start)
{
	uint64_t due;
	struct timespec ts;

	if (!storm->rate)
		return;
	due = start + (uint64_t)((double)storm->done * NSEC_PER_SEC / storm->rate);
	if (now_ns() >= due)
		return;
	ts.tv_sec = due / NSEC_PER_SEC;
	ts.tv_nsec = due % NSEC_PER_SEC;
	/* A signal ends the sleep early; the loop then sees the flag. */
	clock_nanosleep(CLOCK_MONOTONIC, TIMER_ABSTIME, &ts, NULL);
}

static void reap(struct storm *storm, pid_t pid)
{
	int status;

	if (pid < 0)
		fail("storm: vfork");
	if (!storm->first_child)
		storm->first_child = pid;
	storm->last_child = pid;
	storm->child_pid_sum += pid;
	while (waitpid(pid, &status, 0) < 0 && errno == EINTR)
		;
}

static void one_vfork(struct storm *storm)
{
	pid_t pid = vfork();

	if (pid == 0)
		_exit(0);
	reap(storm, pid);
}

static void one_exec(struct storm *storm)
{
	char turn[16];
	char *const argv[] = { "/bin/true", turn, NULL };
	char *const envp[] = { NULL };
	pid_t pid;

	snprintf(turn, sizeof(turn), "%ld", storm->done);
	pid = vfork();
	if (pid == 0) {
		execve(argv[0], argv, envp);
		_exit(127);
	}
	reap(storm, pid);
}

static void one_comm(struct storm *storm)
{
	static char name[16] = "s000000000";

	(void)storm;
	prctl(PR_SET_NAME, name, 0, 0, 0);
	/* The next number, in place: formatting would cost more than the call. */
	for (int i = NAME_DIGITS; i > 0; i--) {
		if (name[i] != '9') {
			name[i]++;
			break;
		}
		name[i] = '0';
	}
}

static void *nothing(void *unused)
{
	return unused;
}

static void one_thread(struct storm *storm)
{
	pthread_t thread;

	(void)storm;
	if (pthread_create(&thread, NULL, nothing, NULL))
		fail("storm: pthread_create");
	pthread_join(thread, NULL);
}

static void (*turn_of(const char *kind))(struct storm *)
{
	if (!strcmp(kind, "vfork"))
		return one_vfork;
	if (!strcmp(kind, "exec"))
		return one_exec;
	if (!strcmp(kind, "comm"))
		return one_comm;
	if (!strcmp(kind, "thread"))
		return one_thread;
	usage();
	return NULL;
}

static void print(const struct storm *storm, uint64_t start, uint64_t end, uint64_t cpu,
		  uint64_t child_cpu)
{
	printf("{\"kind\":\"%s\",\"count\":%ld,\"asked\":%ld,\"pid\":%d,\"firstChild\":%d,"
	       "\"lastChild\":%d,\"childPidSum\":%llu,\"startNs\":%llu,\"elapsedNs\":%llu,"
	       "\"cpuNs\":%llu,\"childCpuNs\":%llu}\n",
	       storm->kind, storm->done, storm->asked, getpid(), storm->first_child,
	       storm->last_child, (unsigned long long)storm->child_pid_sum,
	       (unsigned long long)start, (unsigned long long)(end - start),
	       (unsigned long long)cpu, (unsigned long long)child_cpu);
	fflush(stdout);
}

int main(int argc, char **argv)
{
	struct storm storm = { .seconds = 300, .cpu = -1, .start_fd = -1 };
	struct sigaction action = { .sa_handler = on_stop };
	void (*turn)(struct storm *);
	uint64_t start, end, cpu, child_cpu;

	parse(&storm, argc, argv);
	turn = turn_of(storm.kind);
	/* No SA_RESTART: a signal must end the wait for the line and the sleep between turns. */
	sigaction(SIGTERM, &action, NULL);
	sigaction(SIGINT, &action, NULL);
	sigaction(SIGALRM, &action, NULL);
	if (storm.cpu >= 0)
		pin(storm.cpu);
	if (storm.start_fd >= 0 && wait_for_line(storm.start_fd))
		return 1;

	alarm(storm.seconds);
	cpu = cpu_ns(RUSAGE_SELF);
	child_cpu = cpu_ns(RUSAGE_CHILDREN);
	start = now_ns();
	while (storm.done < storm.asked && !stopped) {
		pace(&storm, start);
		if (stopped)
			break;
		turn(&storm);
		storm.done++;
	}
	end = now_ns();
	print(&storm, start, end, cpu_ns(RUSAGE_SELF) - cpu, cpu_ns(RUSAGE_CHILDREN) - child_cpu);
	return 0;
}
