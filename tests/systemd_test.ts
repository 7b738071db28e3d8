import assert from "node:assert/strict";
import { spawnSync } from "node:child_process";
import { readdirSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import process from "node:process";
import { test } from "node:test";
import { makeProgram } from "../lib/cli/program.ts";
import { testFolder } from "./support/folder.ts";
import { findProgram } from "./support/programs.ts";
import { root } from "./support/runtimes.ts";

const analyze = findProgram("systemd-analyze");
const version = analyze === undefined
  ? 0
  : Number(/\d+/.exec(spawnSync(analyze, ["--version"], { encoding: "utf8" }).stdout ?? "")?.[0] ?? 0);
const skip = analyze === undefined
  ? "systemd-analyze is not installed (Debian: systemd)"
  : version < 252
  ? `systemd-analyze is of version ${version}, without --offline`
  : false;

const folder = join(root, "systemd");
const units = readdirSync(folder).sort();
/** The most that systemd-analyze may find exposed, of 10. */
const MOST_EXPOSED = 4.5;

test("the units run commands that exist, with options that they have", () => {
  assert.deepEqual(units, ["cnctl-metrics.service", "cnctl-record.service", "cnctl-ship.service"]);
  const { commands } = makeProgram({ out() {}, error() {} }, () => {});
  for (const unit of units) {
    const [, name, words] = /^ExecStart=cnctl (\w+) (.*)$/m.exec(readFileSync(join(folder, unit), "utf8"))!;
    const command = commands.find((each) => each.name() === name);
    assert.equal(unit, `cnctl-${name}.service`);
    for (const option of words!.match(/--[\w-]+/g)!) {
      assert(command?.options.some(({ long }) => long === option), `${unit}: ${option}`);
    }
  }
});

test("systemd accepts the units, and finds little exposed", { skip }, (t) => {
  const copies = testFolder(t);
  for (const unit of units) {
    const path = join(copies, unit);
    // The command is not installed where this runs.
    const text = readFileSync(join(folder, unit), "utf8").replace("ExecStart=cnctl", "ExecStart=/bin/true");
    writeFileSync(path, text);
    const env = { ...process.env, SYSTEMD_LOG_LEVEL: "warning", LC_ALL: "C" };
    const verified = spawnSync(analyze!, ["verify", "--man=no", path], { encoding: "utf8", env });
    assert(verified.status === 0 && !verified.stderr.includes(unit), `${unit}: ${verified.stderr}`);
    const security = spawnSync(analyze!, ["security", "--offline=true", "--no-pager", path], {
      encoding: "utf8",
      env,
    });
    const exposed = Number(/Overall exposure level for .*: ([\d.]+)/.exec(security.stdout)?.[1]);
    assert(exposed <= MOST_EXPOSED, `${unit}: ${exposed}\n${security.stdout}${security.stderr}`);
  }
});
