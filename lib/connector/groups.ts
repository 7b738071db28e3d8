import { GIVE_CAPABILITY } from "../errors/advice.ts";
import { type Check, integer } from "../errors/arguments.ts";
import { ERRNO } from "../errors/errno.ts";
import { MAX_GROUP } from "../netlink/address.ts";
import type { NetlinkSocket } from "../netlink/socket.ts";

/** Memberships of a socket. Several may want the same group: it is left when none of them is left. */
export class Groups {
  readonly #socket: NetlinkSocket;
  readonly #wanted = new Map<number, number>();

  constructor(socket: NetlinkSocket) {
    this.#socket = socket;
  }

  /** Joins a group for one more that wants it. */
  join(group: number): void {
    checkGroup(group, "group", "join a group");
    const wanted = this.#wanted.get(group) ?? 0;
    if (wanted === 0) {
      const advice = (errno: number): string | undefined =>
        errno === ERRNO.EPERM ? whyNotJoined(group) : undefined;
      this.#socket.join(group, advice, `join group ${group}`);
    }
    this.#wanted.set(group, wanted + 1);
  }

  /** Takes one join back. */
  leave(group: number): void {
    const wanted = this.wanted(group);
    this.#wanted.set(group, wanted - 1);
    if (wanted === 1) this.#socket.leave(group);
  }

  /** How many want to be in a group. */
  wanted(group: number): number {
    return this.#wanted.get(group) ?? 0;
  }

  /** The groups that the kernel says the socket is in. */
  list(): number[] {
    const mask = this.#socket.memberships();
    return Array.from({ length: MAX_GROUP }, (_, i) => i + 1).filter((group) => (mask >>> (group - 1)) & 1);
  }
}

/** The joins of the connector's caller: it cannot take back those of a callback or of a stream. */
export class CallerGroups {
  readonly #groups: Groups;
  readonly #joins = new Map<number, number>();

  constructor(groups: Groups) {
    this.#groups = groups;
  }

  /** Joins once more. */
  join(group: number): void {
    this.#groups.join(group);
    this.#joins.set(group, (this.#joins.get(group) ?? 0) + 1);
  }

  /** Takes one join back; false where there is none. */
  leave(group: number): boolean {
    checkGroup(group, "group", "leave a group");
    const joins = this.#joins.get(group) ?? 0;
    if (joins === 0) return false;
    this.#joins.set(group, joins - 1);
    this.#groups.leave(group);
    return true;
  }
}

/** Refuses what is no group's number. A mask is no number: group 12 is 12, not `1 << 11`. */
export const checkGroup: Check = integer(1, MAX_GROUP);

function whyNotJoined(group: number): string {
  const rule = "joining a group wants CAP_NET_ADMIN; kernels from 6.6 on let everybody join the odd groups";
  return group % 2 === 1
    ? `${rule}, and this one (group ${group}) is refused: ${GIVE_CAPABILITY}`
    : `${rule}, and group ${group} is even: ${GIVE_CAPABILITY}`;
}
