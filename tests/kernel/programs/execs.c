/*
 * Makes commands in every way in which execs differ, one after the other, and writes down the truth:
 *
 *	execs COUNT FOLDER
 *
 * One line for each exec, in order, before it happens: the process, the file that will run ("-" for one without a name)
 * and the arguments; texts are in hexadecimal, an empty one is "-". FOLDER, an existing and empty one, is for its files.
 */
#define _GNU_SOURCE
#include <fcntl.h>
#include <limits.h>
#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/sendfile.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#define MAX_ARGUMENTS 512
#define MAX_EXECS 8
#define TRUE_PATH "/bin/true"
/* What a record has room for: arguments around this length end at its end. */
#define RECORD_ARGUMENT_BYTES 4096

extern char **environ;

struct exec {
	const char *file;
	const char *arguments[MAX_ARGUMENTS + 1];
};

/* How the first exec is made; what follows is what the program then does. */
enum way { EXECVE, THREAD, MEMFD, DIRECTORY, RELATIVE, AFTER_FAILURE, OTHER_USER, PID_NAMESPACE };

static struct {
	enum way way;
	const char *path;
	/* What is given to execve where that is not what the program gets: a script's arguments. */
	const char *given[4];
	struct exec execs[MAX_EXECS];
	int count;
} command;

static const char *self, *script, *nested_script, *link_path;
static char number[16];
static char texts[16][4096];
static int texts_used;

static void fail(const char *what)
{
	perror(what);
	_exit(1);
}

static const char *text(const char *format, ...)
{
	char *place = texts[texts_used++ % 16];
	va_list values;

	va_start(values, format);
	vsnprintf(place, sizeof(texts[0]), format, values);
	va_end(values);
	return place;
}

static const char *repeated(char c, size_t length)
{
	static char buffer[128 * 1024];

	memset(buffer, c, length);
	buffer[length] = '\0';
	return buffer;
}

/* Adds an exec to the command; the arguments end with NULL. */
static struct exec *add(const char *file, ...)
{
	struct exec *exec = &command.execs[command.count++];
	va_list values;
	int i = 0;

	va_start(values, file);
	while ((exec->arguments[i] = va_arg(values, const char *)) != NULL)
		i++;
	va_end(values);
	exec->file = file;
	return exec;
}

static void plain(void)
{
	add(TRUE_PATH, "/bin/true", number, "", "two words", "\xc3\xbcn\xc3\xaf\ncode", NULL);
}

static void shell_exec(void)
{
	command.path = "/bin/sh";
	add("/bin/sh", "/bin/sh", "-c", text("exec /bin/true %s 'a b'", number), NULL);
	add(TRUE_PATH, "/bin/true", number, "a b", NULL);
}

static void shell_chain(void)
{
	command.path = "/bin/sh";
	add("/bin/sh", "/bin/sh", "-c", text("exec sh -c 'exec /bin/true %s'", number), NULL);
	add("/bin/sh", "sh", "-c", text("exec /bin/true %s", number), NULL);
	add(TRUE_PATH, "/bin/true", number, NULL);
}

static void script_run(void)
{
	command.path = script;
	command.given[0] = "a name that nobody sees";
	command.given[1] = number;
	add("/bin/sh", "/bin/sh", "-e", script, number, NULL);
}

static void nested_script_run(void)
{
	command.path = nested_script;
	command.given[0] = nested_script;
	command.given[1] = number;
	add("/bin/sh", "/bin/sh", "-e", script, "two options", nested_script, number, NULL);
}

static void long_argument(void)
{
	add(TRUE_PATH, "/bin/true", repeated('x', 3000), number, NULL);
}

static void longest_argument(void)
{
	add(TRUE_PATH, "/bin/true", number, repeated('y', 100000), NULL);
}

/* A few bytes less or more than a record has room for. */
static void edge_of_record(void)
{
	size_t length = RECORD_ARGUMENT_BYTES - sizeof("/bin/true") - 4 + atoi(number) % 7;

	add(TRUE_PATH, "/bin/true", repeated('z', length), NULL);
}

static void no_arguments(void)
{
	add(TRUE_PATH, NULL);
}

static void empty_arguments(void)
{
	add(TRUE_PATH, "", "", "", NULL);
}

static void from_memfd(void)
{
	command.way = MEMFD;
	add("", "/bin/true", number, NULL);
}

static void from_thread(void)
{
	command.way = THREAD;
	add(TRUE_PATH, "/bin/true", "thread", number, NULL);
}

static void hostile_bytes(void)
{
	add(TRUE_PATH, "/bin/true", "\xff\xfe\x80", "\xed\xa0\x80", "\x1b[31mred\x1b[0m", "\r\n\t", "a\xc3", number,
	    NULL);
}

/* The program overwrites its arguments as soon as it runs. */
static void rewritten(void)
{
	command.path = self;
	add(self, "overwrite", number, "what was there before", NULL);
}

/* The program declares its arguments to be elsewhere as soon as it runs. */
static void moved(void)
{
	command.path = self;
	add(self, "move", number, "what was there before", NULL);
}

/* Execs of itself without a moment between them. */
static void quick_chain(void)
{
	command.path = self;
	add(self, "again", "3", number, NULL);
	add(self, "again", "2", number, NULL);
	add(self, "again", "1", number, NULL);
	add(TRUE_PATH, "again", "0", number, NULL);
}

static void in_directory(void)
{
	command.way = DIRECTORY;
	add(TRUE_PATH, "true", "directory", number, NULL);
}

static void relative(void)
{
	command.way = RELATIVE;
	command.path = "./true";
	add(TRUE_PATH, "./true", number, NULL);
}

static void after_failure(void)
{
	command.way = AFTER_FAILURE;
	add(TRUE_PATH, "true", "found", number, NULL);
}

static void false_name(void)
{
	add(TRUE_PATH, "-not-true", number, NULL);
}

static void many_arguments(void)
{
	struct exec *exec = add(TRUE_PATH, "/bin/true", NULL);
	int i;

	for (i = 1; i < 400; i++)
		exec->arguments[i] = number;
	exec->arguments[i] = NULL;
}

static void through_link(void)
{
	command.path = link_path;
	add(TRUE_PATH, link_path, number, NULL);
}

static void other_user(void)
{
	command.way = OTHER_USER;
	add(TRUE_PATH, "/bin/true", "user", number, NULL);
}

static void pid_namespace(void)
{
	command.way = PID_NAMESPACE;
	add(TRUE_PATH, "/bin/true", "namespace", number, NULL);
}

/* The path that is given to execve means another file for every process. */
static void own_file(void)
{
	command.path = "/proc/self/exe";
	add(self, "end", "self", number, NULL);
}

static void (*const MAKERS[])(void) = {
	plain,		 shell_exec,	  shell_chain,	 script_run,  nested_script_run, long_argument,
	longest_argument, edge_of_record, no_arguments,	 empty_arguments, from_memfd,	 from_thread,
	hostile_bytes,	 rewritten,	  moved,	 quick_chain, in_directory,	 relative,
	after_failure,	 false_name,	  many_arguments, through_link, own_file,	 other_user,
	pid_namespace,
};
/* Those at the end need root. */
#define PRIVILEGED 2
#define MAKERS_COUNT (sizeof(MAKERS) / sizeof(MAKERS[0]))

static char **first_arguments(void)
{
	return (char **)(command.given[0] == NULL ? command.execs[0].arguments : command.given);
}

static void *exec_in_thread(void *unused)
{
	(void)unused;
	execve(command.path, first_arguments(), environ);
	fail("execve in a thread");
	return NULL;
}

static int copy_in_memory(const char *path)
{
	int from = open(path, O_RDONLY | O_CLOEXEC);
	int to = memfd_create("copy", MFD_CLOEXEC);

	while (sendfile(to, from, NULL, 1 << 20) > 0)
		;
	close(from);
	return to;
}

/* In the child: the first exec. */
static void run(void)
{
	char **arguments = first_arguments();
	pthread_t thread;

	switch (command.way) {
	case THREAD:
		if (pthread_create(&thread, NULL, exec_in_thread, NULL) == 0)
			pthread_join(thread, NULL);
		break;
	case MEMFD:
		syscall(SYS_execveat, copy_in_memory(TRUE_PATH), "", arguments, environ, AT_EMPTY_PATH);
		break;
	case DIRECTORY:
		syscall(SYS_execveat, open("/bin", O_PATH | O_DIRECTORY), "true", arguments, environ, 0);
		break;
	case RELATIVE:
		if (chdir("/bin") == 0)
			execve(command.path, arguments, environ);
		break;
	case AFTER_FAILURE:
		execve("/nowhere/true", arguments, environ);
		execve("/proc/self/cmdline", arguments, environ);
		execve(command.path, arguments, environ);
		break;
	case OTHER_USER:
		if (geteuid() == 0 && (setgid(65534) != 0 || setuid(65534) != 0))
			fail("setuid");
		execve(command.path, arguments, environ);
		break;
	default:
		execve(command.path, arguments, environ);
	}
	fail("execve");
}

static void write_hex(const char *bytes)
{
	if (*bytes == '\0')
		putchar('-');
	for (; *bytes != '\0'; bytes++)
		printf("%02x", (unsigned char)*bytes);
}

static void write_truth(pid_t pid)
{
	int i, j;

	for (i = 0; i < command.count; i++) {
		const struct exec *exec = &command.execs[i];
		char file[PATH_MAX] = "";

		if (*exec->file != '\0' && realpath(exec->file, file) == NULL)
			fail(exec->file);
		printf("%d ", pid);
		write_hex(file);
		for (j = 0; exec->arguments[j] != NULL; j++) {
			putchar(' ');
			write_hex(exec->arguments[j]);
		}
		putchar('\n');
	}
}

/* Forks; the child makes the command, once the parent has written down its number. */
static void make(void)
{
	int gate[2], status;
	pid_t pid;
	char c;

	if (pipe2(gate, O_CLOEXEC) != 0)
		fail("pipe2");
	fflush(stdout);
	if (command.way == PID_NAMESPACE)
		pid = syscall(SYS_clone, CLONE_NEWPID | SIGCHLD, NULL, NULL, NULL, NULL);
	else
		pid = fork();
	if (pid < 0)
		fail("fork");
	if (pid == 0) {
		close(gate[1]);
		if (read(gate[0], &c, 1) != 0)
			_exit(1);
		run();
	}
	write_truth(pid);
	fflush(stdout);
	close(gate[0]);
	close(gate[1]);
	if (waitpid(pid, &status, 0) != pid || status != 0) {
		fprintf(stderr, "the command of %s ended with status %x\n", number, status);
		exit(1);
	}
}

static void write_script(const char *path, const char *first_line)
{
	FILE *file = fopen(path, "w");

	if (file == NULL || fprintf(file, "#!%s\n:\n", first_line) < 0 || fclose(file) != 0 || chmod(path, 0755) != 0)
		fail(path);
}

static void prepare(const char *folder)
{
	char *path = realpath("/proc/self/exe", NULL);

	self = path;
	script = strdup(text("%s/script", folder));
	nested_script = strdup(text("%s/nested", folder));
	link_path = strdup(text("%s/link", folder));
	write_script(script, "/bin/sh -e");
	write_script(nested_script, text("%s two options", script));
	if (symlink(TRUE_PATH, link_path) != 0)
		fail(link_path);
}

/* What this program does as one of its own commands. */
static int as_command(char **argv)
{
	size_t length = 0;
	int left, i;

	if (strcmp(argv[0], "again") == 0) {
		left = atoi(argv[1]) - 1;
		argv[1][0] = '0' + left;
		execve(left == 0 ? TRUE_PATH : self, argv, environ);
		fail("execve");
	}
	if (strcmp(argv[0], "end") == 0)
		return 0;
	for (i = 0; argv[i] != NULL; i++)
		length += strlen(argv[i]) + 1;
	if (strcmp(argv[0], "move") == 0) {
		/* Needs CAP_SYS_RESOURCE; the first argument begins where the last one ends. */
		prctl(PR_SET_MM, PR_SET_MM_ARG_START, argv[0] + length, 0, 0);
		return 0;
	}
	memset(argv[0], '!', length - 1);
	return 0;
}

int main(int argc, char **argv)
{
	int count, makers = MAKERS_COUNT - (geteuid() == 0 ? 0 : PRIVILEGED);

	if (argc > 0 && argv[0][0] != '/') {
		self = realpath("/proc/self/exe", NULL);
		return as_command(argv);
	}
	if (argc != 3)
		return 2;
	prepare(argv[2]);
	for (count = 0; count < atoi(argv[1]); count++) {
		memset(&command, 0, sizeof(command));
		command.path = TRUE_PATH;
		snprintf(number, sizeof(number), "%d", count);
		MAKERS[count % makers]();
		make();
	}
	return 0;
}
