import { assertEquals, assertRejects } from "@std/assert";
import { UnsupportedError, watchProcesses } from "kernel-connector";

// In a file of its own: what has been opened with the permission stays open without it.
Deno.test("without --allow-ffi the error names the permission", { permissions: { ffi: false } }, async () => {
  const error = await assertRejects(() => watchProcesses(), UnsupportedError, "--allow-ffi");
  assertEquals(error.reason, "permission");
});
