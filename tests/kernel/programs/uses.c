/* Starts processes that use processor time, memory, storage and threads, one after the other, and prints what wait4(2) says of each. */
#define _GNU_SOURCE
#include <fcntl.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

static long cpu_ms(void) {
  struct timespec t;
  clock_gettime(CLOCK_THREAD_CPUTIME_ID, &t);
  return t.tv_sec * 1000 + t.tv_nsec / 1000000;
}
static void burn(long ms) { while (cpu_ms() < ms) for (volatile int i = 0; i < 10000; i++); }
static void calls(long ms) { while (cpu_ms() < ms) for (int i = 0; i < 1000; i++) syscall(SYS_getppid); }
static void memory(size_t bytes) {
  char *p = mmap(0, bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  memset(p, 1, bytes);
  munmap(p, bytes);
}
static void sleeps(void) { for (int i = 0; i < 50; i++) usleep(100); }
static void *thread(void *ms) { burn((long)ms); return 0; }
static void threads(int count, long ms, int leader_first) {
  pthread_t ids[16];
  for (int i = 0; i < count; i++) pthread_create(&ids[i], 0, thread, (void *)(ms * (i + 1)));
  if (leader_first) pthread_exit(0);
  for (int i = 0; i < count; i++) pthread_join(ids[i], 0);
}
static void store(const char *path, size_t bytes) {
  int fd = open(path, O_CREAT | O_WRONLY | O_TRUNC, 0600);
  char block[65536];
  memset(block, 7, sizeof block);
  for (size_t done = 0; done < bytes; done += sizeof block) if (write(fd, block, sizeof block) < 0) _exit(9);
  fsync(fd);
  close(fd);
}

int main(int argc, char **argv) {
  setbuf(stdout, 0);
  if (argc > 2 && !strcmp(argv[1], "burn")) { burn(atol(argv[2])); return 0; }
  for (int kind = 0; kind < 9; kind++) {
    pid_t pid = fork();
    if (pid == 0) {
      switch (kind) {
        case 0: break;
        case 1: burn(60); break;
        case 2: calls(60); break;
        case 3: memory(48 << 20); break;
        case 4: sleeps(); break;
        case 5: threads(4, 15, 0); break;
        case 6: threads(4, 15, 1); break;
        case 7: store(argv[1], 1 << 20); break;
        case 8: burn(30); execl("/proc/self/exe", argv[0], "burn", "60", (char *)0); _exit(9);
      }
      exit(kind);
    }
    int status;
    struct rusage r;
    if (wait4(pid, &status, 0, &r) != pid) return 1;
    printf("{\"kind\":%d,\"pid\":%d,\"cpuUs\":%ld,\"maxRssKb\":%ld,\"minorFaults\":%ld,\"majorFaults\":%ld,\"writeBytes\":%ld,\"voluntary\":%ld}\n",
      kind, pid, (r.ru_utime.tv_sec + r.ru_stime.tv_sec) * 1000000 + r.ru_utime.tv_usec + r.ru_stime.tv_usec,
      r.ru_maxrss, r.ru_minflt, r.ru_majflt, r.ru_oublock * 512, r.ru_nvcsw);
  }
  return 0;
}
