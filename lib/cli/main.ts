#!/usr/bin/env node
import process from "node:process";
import { hideFfiWarning } from "./node_warning.ts";
import { run, standardSpeech } from "./program.ts";

hideFfiWarning();
// By force: a reader that does not read any more must not keep us.
process.exit(await run(process.argv.slice(2), standardSpeech()));
