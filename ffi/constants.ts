/** Flags of open(2), the same on x86-64 and arm64. */
export const O_RDONLY = 0;
export const O_WRONLY = 0o1;
export const O_RDWR = 0o2;
export const O_CREAT = 0o100;
export const O_NOCTTY = 0o400;
export const O_NONBLOCK = 0o4000;
export const O_ASYNC = 0o20000;
export const O_CLOEXEC = 0o2000000;
export const O_PATH = 0o10000000;
/** As above; this one differs. */
export const O_NOFOLLOW = { x64: 0o400000, arm64: 0o100000 } as const;

/** Operations of fcntl(2). */
export const F_GETFL = 3;
export const F_SETFL = 4;
export const F_SETSIG = 10;
export const F_SETOWN_EX = 15;
/** Where the members of `struct f_owner_ex` are, in 32-bit words. */
export const F_OWNER_EX = { type: 0, pid: 1, SIZE: 2 } as const;
export const F_OWNER_TID = 0;

/** Events of poll(2). */
export const POLLIN = 0x1;
export const POLLOUT = 0x4;
/** Where the members of `struct pollfd` are, in 16-bit words; `fd` takes two. */
export const POLLFD = { fd: 0, events: 2, revents: 3, SIZE: 4 } as const;

export const EPOLL_CTL_ADD = 1;
export const EPOLL_CTL_DEL = 2;
export const EPOLL_CTL_MOD = 3;
export const EPOLLIN = 0x1;
export const EPOLLONESHOT = 0x4000_0000;
/** Where the members of `struct epoll_event` are, in 32-bit words: it is packed on x86-64 and nowhere else. */
export const EPOLL_EVENT = {
  x64: { events: 0, data: 1, SIZE: 3 },
  arm64: { events: 0, data: 2, SIZE: 4 },
} as const;
/** Flags of eventfd(2). */
export const EFD_CLOEXEC_NONBLOCK = 0o2004000;
