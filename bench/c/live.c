// SPDX-License-Identifier: MIT
/*
 * live - many sleeping processes, to fill a process table.
 *
 *   live N [--seconds S]
 *
 * Makes N children that sleep, prints one line of JSON when all are there, and ends them when a
 * line or the end of the file comes on standard input, on SIGTERM or SIGINT, or after S seconds
 * (600). A child waits for the end of a pipe that only the parent holds open: however the parent
 * dies, no child stays.
 */
#define _GNU_SOURCE
#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#define MAX_COUNT 1000000L

static volatile sig_atomic_t stopped;

static void on_stop(int sig)
{
	(void)sig;
	stopped = 1;
}

static void sleep_until_closed(const int *ends)
{
	char c;

	signal(SIGTERM, SIG_DFL);
	close(ends[1]);
	while (read(ends[0], &c, 1) < 0 && errno == EINTR)
		;
	_exit(0);
}

static long make(long count, const int *ends, pid_t *first, pid_t *last)
{
	long made;
	pid_t pid;

	for (made = 0; made < count && !stopped; made++) {
		pid = fork();
		if (pid < 0) {
			perror("live: fork");
			break;
		}
		if (pid == 0)
			sleep_until_closed(ends);
		if (!*first)
			*first = pid;
		*last = pid;
	}
	return made;
}

int main(int argc, char **argv)
{
	struct sigaction action = { .sa_handler = on_stop };
	struct sigaction ignore = { .sa_handler = SIG_IGN };
	struct pollfd input = { .fd = 0, .events = POLLIN };
	long count = argc > 1 ? atol(argv[1]) : -1;
	long seconds = argc > 3 && !strcmp(argv[2], "--seconds") ? atol(argv[3]) : 600;
	pid_t first = 0, last = 0;
	int ends[2];
	long made;

	if (count < 0 || count > MAX_COUNT || seconds < 1 || (argc != 2 && argc != 4)) {
		fputs("usage: live N [--seconds S]\n", stderr);
		return 2;
	}
	sigaction(SIGTERM, &action, NULL);
	sigaction(SIGALRM, &action, NULL);
	/* The terminal's interrupt reaches the children too: they must outlive it with the parent. */
	sigaction(SIGINT, &ignore, NULL);
	if (pipe(ends)) {
		perror("live: pipe");
		return 1;
	}
	alarm(seconds);
	made = make(count, ends, &first, &last);
	sigaction(SIGINT, &action, NULL);
	printf("{\"count\":%ld,\"pid\":%d,\"firstChild\":%d,\"lastChild\":%d}\n", made, getpid(), first,
	       last);
	fflush(stdout);
	if (!stopped && made == count)
		poll(&input, 1, -1);
	close(ends[1]);
	while (wait(NULL) > 0 || errno == EINTR)
		;
	return made == count ? 0 : 1;
}
