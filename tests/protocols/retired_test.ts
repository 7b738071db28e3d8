import assert from "node:assert/strict";
import { test } from "node:test";
import { RETIRED_PROTOCOLS } from "../../lib/protocols/retired.ts";
import { runC, whyNoC } from "./vectors/c_program.ts";

test("RETIRED_PROTOCOLS has one line of history for each identifier", () => {
  for (const { name, id, history } of RETIRED_PROTOCOLS) {
    assert.match(name, /^[a-z]+$/);
    assert.ok(history.length > 20 && !history.includes("\n"), name);
    assert.ok(Number.isInteger(id.idx) && id.idx > 0 && Number.isInteger(id.val), name);
  }
  assert.equal(new Set(RETIRED_PROTOCOLS.map(({ id }) => id.idx)).size, RETIRED_PROTOCOLS.length);
});

/** The constants that the header still has. Those of notification were removed from it. */
const IN_HEADER: Readonly<Record<string, readonly [idx: string, val?: string]>> = {
  cifs: ["CN_IDX_CIFS", "CN_VAL_CIFS"],
  blackboard: ["CN_IDX_BB"],
  dst: ["CN_DST_IDX", "CN_DST_VAL"],
  drbd: ["CN_IDX_DRBD", "CN_VAL_DRBD"],
};

test(
  "the identifiers are still in the kernel's header",
  { skip: whyNoC(["linux/connector.h"]) },
  () => {
    assert.deepEqual(RETIRED_PROTOCOLS.map(({ name }) => name), [...Object.keys(IN_HEADER), "notify"]);
    const checks = RETIRED_PROTOCOLS.flatMap(({ name, id }) =>
      (IN_HEADER[name] ?? []).map((constant, i) =>
        `_Static_assert(${constant} == ${i === 0 ? id.idx : id.val}, "${constant}");`
      )
    );
    assert.equal(checks.length, 7);
    runC(`#include <linux/connector.h>\n${checks.join("\n")}\nint main(void) { return 0; }\n`);
  },
);
