export { DecodeError } from "./lib/errors/decode_error.ts";
export { SyscallError } from "./lib/errors/syscall_error.ts";
export { TimeoutError } from "./lib/errors/timeout_error.ts";
export { UnsupportedError } from "./lib/errors/unsupported_error.ts";
export { watchProcesses } from "./lib/process/watch.ts";
