/* Execs in ways that a shell does not know: execs WAY PATH [ARGUMENT...] */
#define _GNU_SOURCE
#include <fcntl.h>
#include <pthread.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/sendfile.h>
#include <sys/syscall.h>
#include <unistd.h>

extern char **environ;
static char **arguments;

static void *from_thread(void *unused)
{
	(void)unused;
	execv(arguments[0], arguments);
	_exit(1);
}

int main(int argc, char **argv)
{
	if (argc < 3)
		return 2;
	arguments = argv + 2;
	if (strcmp(argv[1], "empty") == 0) {
		char *none[] = { NULL };
		execve(argv[2], none, environ);
	} else if (strcmp(argv[1], "thread") == 0) {
		pthread_t thread;
		if (pthread_create(&thread, NULL, from_thread, NULL) == 0)
			pthread_join(thread, NULL);
	} else if (strcmp(argv[1], "memfd") == 0) {
		int from = open(argv[2], O_RDONLY | O_CLOEXEC);
		int to = memfd_create("copy", MFD_CLOEXEC);
		while (sendfile(to, from, NULL, 1 << 20) > 0)
			;
		syscall(SYS_execveat, to, "", arguments, environ, AT_EMPTY_PATH);
	}
	return 1;
}
