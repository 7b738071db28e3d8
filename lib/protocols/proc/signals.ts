/** Signal names by number on x86-64 and arm64 (include/uapi/asm-generic/signal.h). */
const SIGNALS = [
  "",
  "SIGHUP",
  "SIGINT",
  "SIGQUIT",
  "SIGILL",
  "SIGTRAP",
  "SIGABRT",
  "SIGBUS",
  "SIGFPE",
  "SIGKILL",
  "SIGUSR1",
  "SIGSEGV",
  "SIGUSR2",
  "SIGPIPE",
  "SIGALRM",
  "SIGTERM",
  "SIGSTKFLT",
  "SIGCHLD",
  "SIGCONT",
  "SIGSTOP",
  "SIGTSTP",
  "SIGTTIN",
  "SIGTTOU",
  "SIGURG",
  "SIGXCPU",
  "SIGXFSZ",
  "SIGVTALRM",
  "SIGPROF",
  "SIGWINCH",
  "SIGIO",
  "SIGPWR",
  "SIGSYS",
];

/** "SIGKILL" for 9; "SIGRTMIN+n" for the real-time signals as the kernel counts them, from 32. */
export function signalName(signal: number): string {
  return SIGNALS[signal] ?? (signal >= 32 && signal <= 64 ? `SIGRTMIN+${signal - 32}` : `signal ${signal}`);
}
