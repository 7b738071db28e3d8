/*
 * Processes that end in every way, and the truth about each: a line "PID STATUS" by whoever waited for it.
 *
 *   exits ROUNDS    ROUNDS of each way, all at once; ends with 42 itself
 *   exits late      its main thread ends; a thread ends it with 7 once standard input does
 *   exits ids       a thread of it becomes user 65534, and starts a child that becomes cat after a byte of input
 *   exits code N | thread N | chain N    what the others exec: ends with N; by a thread; by an exec in a thread
 */
#define _GNU_SOURCE
#include <errno.h>
#include <linux/sched.h>
#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

static const char *self;
static int round_;

static void nap(void) { usleep(10000 + 3000 * round_); }

static void tell(pid_t pid, int status)
{
	char line[64];
	int length = snprintf(line, sizeof line, "%d %d\n", pid, status);
	if (write(1, line, length) != length) abort();
}

/* Until the main thread has ended: whose status counts would else be chance. */
static void wait_for_main(void)
{
	for (char text[64], *end;; usleep(2000)) {
		FILE *stat = fopen("/proc/self/stat", "r");
		if (stat == NULL || fgets(text, sizeof text, stat) == NULL) abort();
		fclose(stat);
		end = strrchr(text, ')');
		if (end != NULL && end[2] == 'Z') return;
	}
}

static void start(void *(*run)(void *), long argument)
{
	pthread_t thread;
	pthread_attr_t attributes;
	pthread_attr_init(&attributes);
	pthread_attr_setstacksize(&attributes, 65536);
	if (pthread_create(&thread, &attributes, run, (void *)argument) != 0) abort();
}

static void *sleeps(void *argument) { for (;;) pause(); return argument; }
static void *exits(void *code) { nap(); exit((int)(long)code); }
static void *exits_at_once(void *code) { exit((int)(long)code); }
static void *returns(void *argument) { (void)argument; nap(); return NULL; }
static void *returns_at_once(void *argument) { (void)argument; return NULL; }
static void *exits_after_main(void *code) { wait_for_main(); exit((int)(long)code); }
static void *exits_bare(void *code) { wait_for_main(); syscall(SYS_exit, (long)code); return NULL; }
static void *raises(void *signal) { nap(); raise((int)(long)signal); return NULL; }

static void run_self(const char *way, int code)
{
	char text[16];
	snprintf(text, sizeof text, "%d", code);
	execl(self, self, way, text, NULL);
	abort();
}
static void *execs(void *code) { nap(); run_self("code", (int)(long)code); return NULL; }
static void *execs_threads(void *code) { nap(); run_self("thread", (int)(long)code); return NULL; }
static void *execs_chain(void *code) { nap(); run_self("chain", (int)(long)code); return NULL; }

static void wait_for(pid_t pid)
{
	int status;
	if (waitpid(pid, &status, 0) == pid) tell(pid, status);
}

static void with_core(int signal)
{
	struct rlimit none = { 0, 0 };
	setrlimit(RLIMIT_CORE, &none);
	raise(signal);
}

/* Ways to end; each is run in a process of its own. */
static void w_code(void) { _exit(round_); }
static void w_code_255(void) { exit(255); }
static void w_kill(void) { raise(SIGKILL); }
static void w_term(void) { raise(SIGTERM); }
static void w_realtime(void) { raise(SIGRTMIN + 3); }
static void w_segv(void) { with_core(SIGSEGV); }
static void w_core(void)
{
	struct rlimit all = { 1 << 24, 1 << 24 };
	setrlimit(RLIMIT_CORE, &all);
	start(sleeps, 0);
	abort();
}
static void w_main_first(void) { start(exits, 7); pthread_exit(NULL); }
static void w_main_first_at_once(void) { start(exits_at_once, 7); pthread_exit(NULL); }
static void w_main_first_returns(void) { start(returns, 0); pthread_exit(NULL); }
static void w_main_first_bare(void) { start(exits_bare, 5); pthread_exit(NULL); }
static void w_main_first_signal(void) { start(raises, SIGSEGV); pthread_exit(NULL); }
static void w_main_first_killed(void) { start(raises, SIGKILL); start(sleeps, 0); pthread_exit(NULL); }
static void w_main_bare_thread_exits(void) { start(exits_after_main, 6); syscall(SYS_exit, 5); }
static void w_exec_thread(void) { start(execs, 6); sleeps(NULL); }
static void w_exec_thread_others(void) { for (int i = 0; i < 5; i++) start(sleeps, 0); start(execs, 6); sleeps(NULL); }
static void w_exec_thread_main_gone(void) { start(execs, 9); pthread_exit(NULL); }
static void w_exec_thread_clean(void) { start(execs, 0); pthread_exit(NULL); }
static void w_exec_thread_threads(void) { start(execs_threads, 12); pthread_exit(NULL); }
static void w_exec_chain(void) { start(execs_chain, 13); pthread_exit(NULL); }
static void w_exec_main(void) { for (int i = 0; i < 5; i++) start(sleeps, 0); run_self("code", 14); }
static void w_group_thread(void) { for (int i = 0; i < 8; i++) start(sleeps, 0); start(exits, 21); sleeps(NULL); }
static void w_group_main(void) { for (int i = 0; i < 8; i++) start(sleeps, 0); nap(); exit(22); }
static void w_group_main_clean(void) { for (int i = 0; i < 8; i++) start(sleeps, 0); nap(); exit(0); }
static void w_group_kill(void) { for (int i = 0; i < 8; i++) start(sleeps, 0); start(raises, SIGKILL); sleeps(NULL); }
static void w_join(void)
{
	pthread_t threads[8];
	for (int i = 0; i < 8; i++) pthread_create(&threads[i], NULL, returns_at_once, NULL);
	for (int i = 0; i < 8; i++) pthread_join(threads[i], NULL);
	exit(3);
}
static void w_many(void) { for (int i = 0; i < 299; i++) start(sleeps, 0); start(exits, 8); pthread_exit(NULL); }
static void w_many_return(void) { for (int i = 0; i < 299; i++) start(returns, 0); nap(); exit(9); }
static void w_two_exit(void) { start(exits_at_once, 31); exit(31); }
static void w_vfork(void)
{
	pid_t pid = vfork();
	if (pid == 0) _exit(4);
	wait_for(pid);
	pid = vfork();
	if (pid == 0) { execl(self, self, "thread", "5", NULL); _exit(127); }
	wait_for(pid);
	_exit(2);
}
static void w_double_fork(void) { if (fork() == 0) { nap(); _exit(16); } _exit(1); }
static void w_double_fork_threads(void) { if (fork() == 0) { start(exits, 17); pthread_exit(NULL); } _exit(0); }
static void w_subreaper(void)
{
	prctl(PR_SET_CHILD_SUBREAPER, 1);
	pid_t pid = fork();
	if (pid == 0) { if (fork() == 0) { nap(); _exit(18); } _exit(0); }
	for (int status; (pid = wait(&status)) > 0;) tell(pid, status);
	_exit(19);
}
static void w_clone_parent(void)
{
	if (syscall(SYS_clone, CLONE_PARENT | SIGCHLD, 0, 0, 0, 0) == 0) { nap(); _exit(20); }
	_exit(23);
}
static void *forks(void *argument)
{
	(void)argument;
	pid_t pid = fork();
	if (pid == 0) { nap(); _exit(24); }
	wait_for(pid);
	exit(25);
}
static void w_thread_forks(void) { start(forks, 0); pthread_exit(NULL); }
static void w_same_number(void)
{
	pid_t pid = fork();
	if (pid == 0) { start(exits, 26); pthread_exit(NULL); }
	wait_for(pid);
	struct clone_args arguments = { .exit_signal = SIGCHLD, .set_tid = (uintptr_t)&pid, .set_tid_size = 1 };
	pid_t again = syscall(SYS_clone3, &arguments, sizeof arguments);
	if (again == 0) _exit(27);
	if (again > 0) wait_for(again); /* else we may not choose, or somebody else was faster */
	_exit(28);
}

static void (*const ways[])(void) = {
	w_code, w_code_255, w_kill, w_term, w_realtime, w_segv, w_core, w_main_first, w_main_first_at_once,
	w_main_first_returns, w_main_first_bare, w_main_first_signal, w_main_first_killed, w_main_bare_thread_exits,
	w_exec_thread, w_exec_thread_others, w_exec_thread_main_gone, w_exec_thread_clean, w_exec_thread_threads,
	w_exec_chain, w_exec_main, w_group_thread, w_group_main, w_group_main_clean, w_group_kill, w_join, w_many,
	w_many_return, w_two_exit, w_vfork, w_double_fork, w_double_fork_threads, w_subreaper, w_clone_parent,
	w_thread_forks, w_same_number,
};

static void *starts_as_nobody(void *argument)
{
	(void)argument;
	if (syscall(SYS_setresuid, 65534, 65534, 65534) != 0) abort();
	pid_t pid = fork();
	char byte;
	if (pid == 0) { if (read(0, &byte, 1) == 1) execl("/bin/cat", "cat", NULL); abort(); }
	wait_for(pid);
	exit(0);
}

static void *ends_late(void *argument)
{
	(void)argument;
	for (char byte; read(0, &byte, 1) > 0;) ;
	exit(7);
}

int main(int count, char **arguments)
{
	self = "/proc/self/exe";
	if (count == 3) {
		int code = atoi(arguments[2]);
		if (strcmp(arguments[1], "code") == 0) _exit(code);
		if (strcmp(arguments[1], "thread") == 0) { start(sleeps, 0); start(exits, code); pthread_exit(NULL); }
		if (strcmp(arguments[1], "chain") == 0) { start(execs_threads, code); pthread_exit(NULL); }
	}
	if (count != 2) return 2;
	if (strcmp(arguments[1], "late") == 0) { start(ends_late, 0); pthread_exit(NULL); }
	if (strcmp(arguments[1], "ids") == 0) { start(starts_as_nobody, 0); sleeps(NULL); }
	prctl(PR_SET_CHILD_SUBREAPER, 1);
	int rounds = atoi(arguments[1]);
	for (round_ = 0; round_ < rounds; round_++) {
		for (unsigned i = 0; i < sizeof ways / sizeof *ways; i++) {
			pid_t pid = fork();
			if (pid < 0) return 1;
			if (pid == 0) { ways[i](); abort(); }
		}
	}
	pid_t pid;
	for (int status; (pid = waitpid(-1, &status, __WALL)) > 0;) tell(pid, status);
	return 42;
}
