/*
 * stoppable FILE PROGRAM ARG... : runs a program until its end, or ends it once FILE exists, and then exits with 124.
 * The host creates FILE, as only the host knows how much of the time it gave to the machine. Nothing is started to find
 * out: some tests count the processes that start.
 */
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

enum { POLL_SECONDS = 2, GRACE_POLLS = 3, STOPPED = 124, CANNOT_RUN = 127 };

int main(int count, char **words) {
  if (count < 3) return 2;
  sigset_t child_ended;
  sigemptyset(&child_ended);
  sigaddset(&child_ended, SIGCHLD);
  sigprocmask(SIG_BLOCK, &child_ended, NULL);
  pid_t child = fork();
  if (child < 0) return CANNOT_RUN;
  if (child == 0) {
    sigprocmask(SIG_UNBLOCK, &child_ended, NULL);
    execvp(words[2], words + 2);
    perror(words[2]);
    _exit(CANNOT_RUN);
  }
  struct timespec poll = { .tv_sec = POLL_SECONDS };
  int polls_since_stop = 0, status;
  while (waitpid(child, &status, WNOHANG) == 0) {
    if (polls_since_stop > 0 || access(words[1], F_OK) == 0) {
      kill(child, polls_since_stop < GRACE_POLLS ? SIGTERM : SIGKILL);
      polls_since_stop++;
    }
    sigtimedwait(&child_ended, NULL, &poll);
  }
  if (polls_since_stop > 0) return STOPPED;
  return WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
}
