import { GIVE_CAPABILITY } from "../errors/advice.ts";
import { type Check, integer } from "../errors/arguments.ts";
import { ERRNO } from "../errors/errno.ts";
import { groupsOf, MAX_GROUP } from "../netlink/message.ts";
import type { NetlinkSocket } from "../netlink/socket.ts";

/** Memberships of a socket. A group that was joined several times is left with the last of them. */
export class Groups {
  readonly #socket: NetlinkSocket;
  readonly #joins = new Map<number, number>();

  constructor(socket: NetlinkSocket) {
    this.#socket = socket;
  }

  /** Joins a group, once more where it was joined already. */
  join(group: number): void {
    checkGroup(group, "group", "join a group");
    const joins = this.joins(group);
    if (joins === 0) {
      const advice = (errno: number): string | undefined =>
        errno === ERRNO.EPERM ? explainJoinRefusal(group) : undefined;
      this.#socket.join(group, advice, `join group ${group}`);
    }
    this.#joins.set(group, joins + 1);
  }

  /** Takes one join back. */
  leave(group: number): void {
    const joins = this.joins(group);
    this.#joins.set(group, joins - 1);
    if (joins === 1) this.#socket.leave(group);
  }

  /** How many joins of a group were not taken back. */
  joins(group: number): number {
    return this.#joins.get(group) ?? 0;
  }

  /** The groups that the kernel says the socket is in. */
  list(): number[] {
    return groupsOf(this.#socket.memberships());
  }
}

/** Joins by the connector's user, who cannot take back those of a callback or of a stream. */
export class CallerGroups {
  readonly #groups: Groups;
  readonly #joins = new Map<number, number>();

  constructor(groups: Groups) {
    this.#groups = groups;
  }

  /** Joins a group, once more where it was joined already. */
  join(group: number): void {
    this.#groups.join(group);
    this.#joins.set(group, (this.#joins.get(group) ?? 0) + 1);
  }

  /** Takes one join back. False where there is none. */
  leave(group: number): boolean {
    checkGroup(group, "group", "leave a group");
    const joins = this.#joins.get(group) ?? 0;
    if (joins === 0) return false;
    this.#joins.set(group, joins - 1);
    this.#groups.leave(group);
    return true;
  }
}

/** Checks the number of a group, which is not its mask: group 12 is 12, not `1 << 11`. */
export const checkGroup: Check = integer(1, MAX_GROUP);

function explainJoinRefusal(group: number): string {
  const rule =
    "joining a group requires CAP_NET_ADMIN, except that kernels from 6.6 on let everybody join the odd groups";
  return group % 2 === 1
    ? `${rule}; this one (group ${group}) is refused: ${GIVE_CAPABILITY}`
    : `${rule}; group ${group} is even: ${GIVE_CAPABILITY}`;
}
