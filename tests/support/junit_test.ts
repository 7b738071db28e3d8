import assert from "node:assert/strict";
import { test } from "node:test";
import { parseJunit } from "./junit.ts";

const BUN = `<?xml version="1.0" encoding="UTF-8"?>
<testsuites name="bun test" tests="4" failures="1" skipped="1">
  <testsuite name="a_test.ts" file="a_test.ts">
    <testsuite name="group &lt;a&gt;" file="a_test.ts">
      <testcase name="fine" classname="group &lt;a&gt;" time="0.001" file="a_test.ts" />
      <testcase name="bad &quot;x&quot;" classname="group &lt;a&gt;" time="0.001" file="a_test.ts">
        <failure type="AssertionError" message="short">1 !== 2&#10;  at here</failure>
      </testcase>
      <testcase name="later" classname="group &lt;a&gt;" time="0" file="a_test.ts">
        <skipped />
      </testcase>
    </testsuite>
    <testcase name="top" classname="" time="0" file="a_test.ts" />
  </testsuite>
</testsuites>`;

const DENO = `<?xml version="1.0" encoding="UTF-8"?>
<testsuites name="deno test" tests="6" failures="2" errors="0">
    <testsuite name="./a_test.ts">
        <testcase name="group &lt;a&gt;" classname="./a_test.ts" line="3" col="1">
            <failure message="1 test step failed">1 test step failed.</failure>
        </testcase>
        <testcase name="top" classname="./a_test.ts" line="4" col="1">
        </testcase>
    </testsuite>
    <testsuite name="ext:deno_node/testing.ts">
        <testcase name="group &lt;a&gt; &gt; fine" classname="ext:deno_node/testing.ts">
        </testcase>
        <testcase name="group &lt;a&gt; &gt; bad &quot;x&quot;" classname="ext:deno_node/testing.ts">
            <failure message="Uncaught">1 !== 2
  at here</failure>
        </testcase>
        <testcase name="group &lt;a&gt; &gt; later" classname="ext:deno_node/testing.ts">
            <skipped/>
        </testcase>
    </testsuite>
</testsuites>`;

const NODE = `<?xml version="1.0" encoding="utf-8"?>
<testsuites>
	<testsuite name="group &lt;a>" time="0.003" disabled="0" errors="0" tests="3" failures="1" skipped="1">
		<testcase name="fine" time="0.0004" classname="group &lt;a>"/>
		<testcase name="bad &quot;x&quot;" time="0.001" classname="group &lt;a>" failure="1">
			<failure type="testCodeFailure" message="short">
1 !== 2
  at here
			</failure>
		</testcase>
		<testcase name="later" time="0.0001" classname="group &lt;a>">
			<skipped type="skipped" message=""/>
		</testcase>
	</testsuite>
	<testcase name="top" time="0.00008" classname="test"/>
	<!-- tests 4 -->
</testsuites>`;

const EXPECTED = [
  { name: `group <a> > bad "x"`, outcome: "failed", message: "1 !== 2\n  at here" },
  { name: "group <a> > fine", outcome: "passed", message: "" },
  { name: "group <a> > later", outcome: "skipped", message: "" },
  { name: "top", outcome: "passed", message: "" },
];

test("reports of Bun, Deno and Node yield the same list of tests", () => {
  for (const report of [BUN, DENO, NODE]) {
    const tests = [...parseJunit(report)].sort((a, b) => a.name < b.name ? -1 : 1);
    assert.deepEqual(tests, EXPECTED);
  }
});

test("a group that fails by itself counts in addition to its tests", () => {
  const report = DENO.replace("1 test step failed.", "the hook threw");
  const failed = parseJunit(report).filter((result) => result.outcome === "failed").map((result) =>
    result.name
  );
  assert.deepEqual(failed, ["group <a>", `group <a> > bad "x"`]);
});

test("an empty report has no tests", () => {
  assert.deepEqual(parseJunit(""), []);
});
