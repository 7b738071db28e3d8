import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";

/** A folder that is removed after the test. */
export function testFolder(t: { after(action: () => void): void }): string {
  const folder = mkdtempSync(join(tmpdir(), "kernel-connector-test-"));
  t.after(() => rmSync(folder, { recursive: true, force: true }));
  return folder;
}
