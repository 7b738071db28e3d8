/*
 * Processes that another program waits for. Each stops until it is asked to end, and then ends in its own way.
 *
 *   waits N        N processes; writes "PID" of each; a line with a byte for each lets them end; at the end of
 *                  standard input collects each, and writes "PID STATUS"
 *   waits zombies N    as above, but they end at once, and the first line comes when they are zombies
 *   waits racing N     N processes one after the other, which end at once; of each "PID", and once it was collected
 *                  "PID STATUS FROM TO": the CLOCK_MONOTONIC before and after that, in nanoseconds. Each wants a line,
 *                  every second one before it is collected
 */
#define _GNU_SOURCE
#include <pthread.h>
#include <signal.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

static int code;

static void *exit_group(void *unused) {
	usleep(20000);
	exit(code);
	return unused;
}

static void *exit_thread(void *unused) {
	usleep(20000);
	syscall(SYS_exit, 0);
	return unused;
}

static void *execute(void *unused) {
	char text[32];
	usleep(20000);
	snprintf(text, sizeof text, "exit %d", code);
	execl("/bin/sh", "sh", "-c", text, NULL);
	return unused;
}

static void *sleep_on(void *unused) {
	for (;;) pause();
	return unused;
}

static void start(void *(*body)(void *)) {
	pthread_t thread;
	if (pthread_create(&thread, NULL, body, NULL) != 0) abort();
}

static void end(int i) {
	static const int signals[] = { SIGKILL, SIGTERM, SIGHUP, SIGSEGV, SIGABRT, SIGUSR1, 37, 64 };
	int signal_ = signals[(i / 8) % 8];
	code = i % 256;
	switch (i % 8) {
	case 0:
		_exit(code);
	case 1:
		signal(signal_, SIG_DFL);
		kill(getpid(), signal_);
		pause();
		break;
	case 2: /* the main thread first, another ends the process */
		start(exit_group);
		pthread_exit(NULL);
	case 3: /* the main thread first, the last of three others has the last word */
		for (int n = 0; n < 3; n++) start(exit_thread);
		pthread_exit(NULL);
	case 4: /* another thread becomes another program */
		start(execute);
		pause();
		break;
	case 5: /* the same, when the main thread has ended */
		start(execute);
		pthread_exit(NULL);
	case 6: /* one of many ends them all */
		for (int n = 0; n < 12; n++) start(sleep_on);
		start(exit_group);
		pause();
		break;
	case 7: /* a signal ends many, the main thread among the dead */
		for (int n = 0; n < 6; n++) start(sleep_on);
		usleep(20000);
		kill(getpid(), SIGKILL);
		pause();
	}
	_exit(255);
}

static long long now(void) {
	struct timespec time;
	clock_gettime(CLOCK_MONOTONIC, &time);
	return time.tv_sec * 1000000000LL + time.tv_nsec;
}

static void racing(int count) {
	char line[16];
	for (int i = 0; i < count; i++) {
		siginfo_t info;
		int status;
		pid_t pid = fork();
		if (pid == 0) {
			usleep((i % 8) * 500);
			_exit(i % 256);
		}
		printf("%d\n", pid);
		fflush(stdout);
		waitid(P_PID, pid, &info, WEXITED | WNOWAIT);
		usleep((i % 3) * 1000);
		if (i % 2 == 0 && fgets(line, sizeof line, stdin) == NULL) return;
		long long from = now();
		waitpid(pid, &status, 0);
		long long to = now();
		printf("%d %d %lld %lld\n", pid, status, from, to);
		fflush(stdout);
		if (i % 2 == 1 && fgets(line, sizeof line, stdin) == NULL) return;
	}
}

int main(int argc, char **argv) {
	struct rlimit none = { 0, 0 };
	setrlimit(RLIMIT_CORE, &none);
	int zombies = argc == 3 && strcmp(argv[1], "zombies") == 0;
	int count = atoi(argv[argc - 1]);
	if (argc == 3 && !zombies) {
		racing(count);
		return 0;
	}
	int gate[2];
	pid_t *pids = calloc(count, sizeof *pids);
	char byte, line[16];
	if (pipe(gate) != 0) return 1;
	for (int i = 0; i < count; i++) {
		pids[i] = fork();
		if (pids[i] < 0) return 1;
		if (pids[i] > 0) continue;
		close(gate[1]);
		if (!zombies && read(gate[0], &byte, 1) != 0) return 1;
		end(i);
	}
	for (int i = 0; zombies && i < count; i++) {
		siginfo_t info;
		waitid(P_PID, pids[i], &info, WEXITED | WNOWAIT);
	}
	for (int i = 0; i < count; i++) printf("%d\n", pids[i]);
	fflush(stdout);
	/* A line lets them go, the end collects them: in between they may be left. */
	if (fgets(line, sizeof line, stdin) != NULL) {
		close(gate[1]);
		while (fgets(line, sizeof line, stdin) != NULL) {}
	}
	for (int i = 0; i < count; i++) {
		int status;
		waitpid(pids[i], &status, 0);
		printf("%d %d\n", pids[i], status);
	}
	return 0;
}
