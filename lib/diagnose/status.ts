import type { Libc } from "../../ffi/libc.ts";
import { readTextFile } from "../procfs/file.ts";

/** Numbers of capabilities (include/uapi/linux/capability.h). */
const CAPABILITIES = { CAP_NET_ADMIN: 12, CAP_SYS_PTRACE: 19 } as const;

/** What /proc/self/status says of us. */
export class OwnStatus {
  readonly #text: string;

  private constructor(text: string) {
    this.#text = text;
  }

  /** Undefined where it cannot be read. */
  static read(libc: Libc): OwnStatus | undefined {
    const text = readTextFile(libc, "/proc/self/status");
    return text === undefined ? undefined : new OwnStatus(text);
  }

  /** The effective user. */
  get uid(): number | undefined {
    return number(this.#words("Uid")?.[1]);
  }

  /** The effective group and the supplementary ones. */
  get groups(): readonly number[] {
    return [this.#words("Gid")?.[1], ...this.#words("Groups") ?? []]
      .map(number)
      .filter((gid) => gid !== undefined);
  }

  /** Whether a capability is in effect; undefined where that is not told. */
  has(capability: keyof typeof CAPABILITIES): boolean | undefined {
    const hex = this.#words("CapEff")?.[0];
    if (hex === undefined || !/^[0-9a-f]+$/i.test(hex)) return undefined;
    return ((BigInt(`0x${hex}`) >> BigInt(CAPABILITIES[capability])) & 1n) === 1n;
  }

  /** 0 none, 1 strict, 2 filters; undefined where the kernel has no seccomp. */
  get seccomp(): number | undefined {
    return number(this.#words("Seccomp")?.[0]);
  }

  /** How many filters there are; undefined before kernel 5.9. */
  get seccompFilters(): number | undefined {
    return number(this.#words("Seccomp_filters")?.[0]);
  }

  /** Whether no_new_privs is set. */
  get noNewPrivileges(): boolean {
    return this.#words("NoNewPrivs")?.[0] === "1";
  }

  #words(name: string): readonly string[] | undefined {
    return new RegExp(`^${name}:[ \\t]*(.*)$`, "m").exec(this.#text)?.[1]?.split(/\s+/).filter(Boolean);
  }
}

function number(text: string | undefined): number | undefined {
  return text !== undefined && /^\d+$/.test(text) ? Number(text) : undefined;
}
