/** A C type as every runtime can pass it. `buffer` is the address of a typed array, `pointer` an address that C gave. */
type CType = "i32" | "u32" | "i64" | "u64" | "buffer" | "pointer";

/** One row of the signature table. */
export interface CFunction {
  readonly parameters: readonly CType[];
  readonly result: CType | "void";
}

/**
 * The C functions that are called, each with its prototype.
 *
 * A `size_t` is declared as u32: no buffer here is larger, and one runtime gives up its fast calls for ever when it
 * meets a number where it expects 64 bits. The upper half of the register is zero on both architectures.
 */
export const SYMBOLS = {
  // int socket(int domain, int type, int protocol);
  socket: { parameters: ["i32", "i32", "i32"], result: "i32" },
  // int bind(int sockfd, const struct sockaddr *addr, socklen_t addrlen);
  bind: { parameters: ["i32", "buffer", "u32"], result: "i32" },
  // int getsockname(int sockfd, struct sockaddr *addr, socklen_t *addrlen);
  getsockname: { parameters: ["i32", "buffer", "buffer"], result: "i32" },
  // int setsockopt(int sockfd, int level, int optname, const void *optval, socklen_t optlen);
  setsockopt: { parameters: ["i32", "i32", "i32", "buffer", "u32"], result: "i32" },
  // int getsockopt(int sockfd, int level, int optname, void *optval, socklen_t *optlen);
  getsockopt: { parameters: ["i32", "i32", "i32", "buffer", "buffer"], result: "i32" },
  // ssize_t sendto(int sockfd, const void *buf, size_t len, int flags, const struct sockaddr *addr, socklen_t addrlen);
  sendto: { parameters: ["i32", "buffer", "u32", "i32", "buffer", "u32"], result: "i32" },
  // int recvmmsg(int sockfd, struct mmsghdr *msgvec, unsigned int vlen, int flags, struct timespec *timeout);
  recvmmsg: { parameters: ["i32", "buffer", "u32", "i32", "pointer"], result: "i32" },
  // int poll(struct pollfd *fds, nfds_t nfds, int timeout);
  poll: { parameters: ["buffer", "u32", "i32"], result: "i32" },
  // int fcntl(int fd, int cmd, ...);
  fcntl: { parameters: ["i32", "i32", "u64"], result: "i32" },
  // int open(const char *pathname, int flags, mode_t mode);
  open: { parameters: ["buffer", "i32", "u32"], result: "i32" },
  // ssize_t read(int fd, void *buf, size_t count);
  read: { parameters: ["i32", "buffer", "u32"], result: "i32" },
  // int close(int fd);
  close: { parameters: ["i32"], result: "i32" },
  // pid_t getpid(void);
  getpid: { parameters: [], result: "i32" },
  // int clock_gettime(clockid_t clockid, struct timespec *tp);
  clock_gettime: { parameters: ["i32", "buffer"], result: "i32" },
  // int *__errno_location(void);
  __errno_location: { parameters: [], result: "pointer" },
} as const satisfies Record<string, CFunction>;

/**
 * The same for functions that opening a subscription does not need: they are bound when the first of them is called,
 * for one runtime takes a seventh of a millisecond for each.
 */
export const LAZY_SYMBOLS = {
  // ssize_t recvfrom(int sockfd, void *buf, size_t len, int flags, struct sockaddr *src_addr, socklen_t *addrlen);
  recvfrom: { parameters: ["i32", "buffer", "u32", "i32", "buffer", "buffer"], result: "i32" },
  // ssize_t pread64(int fd, void *buf, size_t count, off64_t offset);
  pread: { parameters: ["i32", "buffer", "u32", "i64"], result: "i32" },
  // ssize_t write(int fd, const void *buf, size_t count);
  write: { parameters: ["i32", "buffer", "u32"], result: "i32" },
  // ssize_t pwrite64(int fd, const void *buf, size_t count, off64_t offset);
  pwrite: { parameters: ["i32", "buffer", "u32", "i64"], result: "i32" },
  // int ftruncate64(int fd, off64_t length);
  ftruncate: { parameters: ["i32", "i64"], result: "i32" },
  // int fdatasync(int fd);
  fdatasync: { parameters: ["i32"], result: "i32" },
  // ssize_t readlink(const char *pathname, char *buf, size_t bufsiz);
  readlink: { parameters: ["buffer", "buffer", "u32"], result: "i32" },
  // int flock(int fd, int operation);
  flock: { parameters: ["i32", "i32"], result: "i32" },
  // int getpriority(int which, id_t who);
  getpriority: { parameters: ["i32", "u32"], result: "i32" },
  // uid_t geteuid(void);
  geteuid: { parameters: [], result: "u32" },
  // size_t confstr(int name, char *buf, size_t len);
  confstr: { parameters: ["i32", "buffer", "u32"], result: "u32" },
  // getdents64(fd, dirp, count) and fstat(fd, statbuf) are in glibc since 2.30 and 2.33 only, bpf(cmd, attr, size) never.
  // long syscall(long number, ...);
  syscall: { parameters: ["u32", "i32", "buffer", "u32"], result: "i32" },
  // int prctl(int option, unsigned long arg2, ...);
  prctl: { parameters: ["i32", "buffer"], result: "i32" },
  // int prlimit(pid_t pid, int resource, const struct rlimit *new_limit, struct rlimit *old_limit);
  prlimit: { parameters: ["i32", "i32", "buffer", "buffer"], result: "i32" },
} as const satisfies Record<string, CFunction>;

/** The same for waiting on another thread. */
export const EVENT_SYMBOLS = {
  // int epoll_create1(int flags);
  epoll_create1: { parameters: ["i32"], result: "i32" },
  // int epoll_ctl(int epfd, int op, int fd, struct epoll_event *event);
  epoll_ctl: { parameters: ["i32", "i32", "i32", "buffer"], result: "i32" },
  // int eventfd(unsigned int initval, int flags);
  eventfd: { parameters: ["u32", "i32"], result: "i32" },
} as const satisfies Record<string, CFunction>;

/** The same for calls on a single process, by its pidfd. */
export const PROCESS_SYMBOLS = {
  // long syscall(long number, ...); as pidfd_open(pid_t pid, unsigned int flags), which glibc has since 2.36 only
  syscall: { parameters: ["u32", "i32", "u32"], result: "i32" },
  // int waitid(idtype_t idtype, id_t id, siginfo_t *infop, int options);
  waitid: { parameters: ["i32", "u32", "buffer", "i32"], result: "i32" },
  // int ioctl(int fd, unsigned long op, ...);
  ioctl: { parameters: ["i32", "u32", "buffer"], result: "i32" },
} as const satisfies Record<string, CFunction>;

/**
 * `void *memcpy(void *dest, const void *src, size_t n)` under its two other faces: copying nothing it answers the
 * address of a buffer, and from a pointer it reads errno. Neither needs more than permission to call libc, where the
 * runtimes' own tools for pointers want permission for everything.
 */
export const MEMCPY_ADDRESS = {
  memcpy: { parameters: ["buffer", "buffer", "u32"], result: "u64" },
} as const satisfies Record<string, CFunction>;
export const MEMCPY_READ = {
  memcpy: { parameters: ["buffer", "pointer", "u32"], result: "pointer" },
} as const satisfies Record<string, CFunction>;

/**
 * Memory that is mapped, by numbers instead of pointers, which no runtime makes of them without further permissions:
 * memmove is memcpy with the address on the other side.
 */
export const MAPPING_SYMBOLS = {
  // void *mmap(void *addr, size_t length, int prot, int flags, int fd, off_t offset);
  mmap: { parameters: ["u64", "u32", "i32", "i32", "i32", "i64"], result: "i64" },
  // int munmap(void *addr, size_t length);
  munmap: { parameters: ["u64", "u32"], result: "i32" },
  // int getpagesize(void);
  getpagesize: { parameters: [], result: "i32" },
  // void *memcpy(void *dest, const void *src, size_t n);
  memcpy: { parameters: ["buffer", "u64", "u32"], result: "u64" },
  // void *memmove(void *dest, const void *src, size_t n);
  memmove: { parameters: ["u64", "buffer", "u32"], result: "u64" },
} as const satisfies Record<string, CFunction>;

/** `int epoll_wait(int epfd, struct epoll_event *events, int maxevents, int timeout)`: called only on a waiting thread. */
export const EPOLL_WAIT = {
  epoll_wait: { parameters: ["i32", "buffer", "i32", "i32"], result: "i32" },
} as const satisfies Record<string, CFunction>;

// deno-lint-ignore no-explicit-any -- what a runtime's dlopen returns, callable as the table declares
type Callable = (...values: any[]) => any;

/** The functions of a table, bound. */
export type Bound<Table extends Record<string, CFunction>> = { readonly [Name in keyof Table]: Callable };
