import assert from "node:assert/strict";
import { test } from "node:test";
import fc from "fast-check";
import { groupMask, lowestGroup, MAX_GROUP, SOCKADDR_NL, sockaddrNl } from "../../lib/netlink/message.ts";
import { compareWithC, whyNoC } from "../protocols/vectors/c_program.ts";

test("sockaddrNl() writes what getsockname gave for a socket in group 1", () => {
  assert.deepEqual(
    [...sockaddrNl(115, 1)],
    [16, 0, 0, 0, 115, 0, 0, 0, 1, 0, 0, 0],
  );
  const far = [...sockaddrNl(0xf123_4567, 0x8000_0000)];
  assert.deepEqual(far, [16, 0, 0, 0, 0x67, 0x45, 0x23, 0xf1, 0, 0, 0, 0x80]);
});

test("groupMask() and lowestGroup() agree on every group", () => {
  assert.equal(groupMask(0), 0);
  assert.equal(lowestGroup(0), 0);
  const masks = new Set<number>();
  for (let group = 1; group <= MAX_GROUP; group++) {
    const mask = groupMask(group);
    assert.equal(mask, 2 ** (group - 1), "unsigned, one bit");
    assert.equal(lowestGroup(mask), group);
    assert.equal(lowestGroup(mask | 0), group, "also where it was made a signed number");
    masks.add(mask);
  }
  assert.equal(masks.size, 32);
  assert.equal(lowestGroup(0xffff_ffff), 1);
  assert.equal(lowestGroup(0xffff_fffe), 2);
});

test("lowestGroup() is the lowest of several, as the kernel sends to that one only", () => {
  fc.assert(fc.property(fc.uniqueArray(fc.integer({ min: 1, max: 32 }), { minLength: 1 }), (groups) => {
    const mask = groups.reduce((all, group) => all | groupMask(group), 0) >>> 0;
    assert.equal(lowestGroup(mask), Math.min(...groups));
  }));
});

test("offsets are those of a C compiler", { skip: whyNoC(["linux/netlink.h"]) }, () => {
  const spelled = Object.fromEntries(
    Object.keys(SOCKADDR_NL).filter((name) => name !== "SIZE").map((name) => [name, `nl_${name}`]),
  );
  compareWithC("#include <linux/netlink.h>\n", [{
    struct: "struct sockaddr_nl",
    ours: SOCKADDR_NL,
    spelled,
  }]);
});
