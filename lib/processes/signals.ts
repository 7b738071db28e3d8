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

/**
 * The real-time signals as glibc counts them, from 34: it keeps 32 and 33 for its threads. musl keeps 34 as well and
 * has no names beyond SIGRTMIN + n; the kernel's own first one, 32, is in nobody's tools.
 */
const SIGRTMIN = 34;
const SIGRTMAX = 64;

/**
 * The name of a signal as `kill -l` of bash and procps has it: "SIGKILL" for 9, "SIGRTMIN+3" for 37, "SIGRTMAX-14" for
 * 50; "signal 32" for one without a name.
 */
export function signalName(signal: number): string {
  return SIGNALS[signal] || realTimeName(signal) || `signal ${signal}`;
}

/** Counted from the nearer end, the middle one from the lower. */
function realTimeName(signal: number): string | undefined {
  if (signal < SIGRTMIN || signal > SIGRTMAX) return undefined;
  if (signal === SIGRTMIN) return "SIGRTMIN";
  if (signal === SIGRTMAX) return "SIGRTMAX";
  const above = signal - SIGRTMIN;
  const below = SIGRTMAX - signal;
  return above <= below ? `SIGRTMIN+${above}` : `SIGRTMAX-${below}`;
}
