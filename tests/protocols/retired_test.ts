import assert from "node:assert/strict";
import { test } from "node:test";
import * as gone from "../../lib/protocols/retired.ts";
import { runC, whyNoC } from "./vectors/c_program.ts";

test("RETIRED_PROTOCOLS has one line of history for each identifier", () => {
  for (const { name, id, history } of gone.RETIRED_PROTOCOLS) {
    assert.match(name, /^[a-z]+$/);
    assert.ok(history.length > 20 && !history.includes("\n"), name);
    assert.ok(Number.isInteger(id.idx) && id.idx > 0 && Number.isInteger(id.val), name);
  }
  assert.equal(new Set(gone.RETIRED_PROTOCOLS.map(({ id }) => id.idx)).size, gone.RETIRED_PROTOCOLS.length);
});

test(
  "the identifiers are still those of the kernel's header",
  { skip: whyNoC(["linux/connector.h"]) },
  () => {
    // The constants of notification were removed from the header together with its code.
    const { RETIRED_PROTOCOLS: _list, CN_IDX_CONNECTOR: _idx, CN_VAL_CONNECTOR: _val, ...given } = gone;
    const checks = Object.entries(given).map(([name, value]) =>
      `_Static_assert(${name} == ${value}, "${name}");`
    );
    runC(`#include <linux/connector.h>\n${checks.join("\n")}\nint main(void) { return 0; }\n`);
  },
);
