import assert from "node:assert/strict";
import { test } from "node:test";
import { newcArchive } from "./initramfs.ts";

interface Entry {
  readonly name: string;
  readonly mode: number;
  readonly data: string;
}

/** Reads the archive by the format's own description: 110 bytes of header, name and data padded to 4. */
function readArchive(archive: Buffer): readonly Entry[] {
  const entries: Entry[] = [];
  for (let at = 0; at < archive.length;) {
    assert.equal(archive.toString("latin1", at, at + 6), "070701");
    const field = (index: number): number =>
      Number.parseInt(archive.toString("latin1", at + 6 + index * 8, at + 14 + index * 8), 16);
    const nameEnd = at + 110 + field(11);
    const dataStart = nameEnd + (4 - nameEnd % 4) % 4;
    const dataEnd = dataStart + field(6);
    const name = archive.toString("utf8", at + 110, nameEnd - 1);
    if (name === "TRAILER!!!") break;
    entries.push({ name, mode: field(1), data: archive.toString("utf8", dataStart, dataEnd) });
    at = dataEnd + (4 - dataEnd % 4) % 4;
  }
  return entries;
}

test("an archive has its directories before its files, and every byte of the files", () => {
  const archive = newcArchive([
    { path: "init", mode: 0o755, data: Buffer.from("#!/bin/sh\n") },
    { path: "a/b/file", mode: 0o644, data: Buffer.from("12345") },
    { path: "empty", mode: 0o600, data: Buffer.alloc(0) },
  ], ["proc"]);
  assert.deepEqual(readArchive(archive), [
    { name: "a", mode: 0o040755, data: "" },
    { name: "a/b", mode: 0o040755, data: "" },
    { name: "proc", mode: 0o040755, data: "" },
    { name: "init", mode: 0o100755, data: "#!/bin/sh\n" },
    { name: "a/b/file", mode: 0o100644, data: "12345" },
    { name: "empty", mode: 0o100600, data: "" },
  ]);
});
