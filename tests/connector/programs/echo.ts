// Answers each message for an identifier with its own payload, as bench/c/cn_echo.c does.
// Arguments: idx val

import { openConnector } from "../../../mod.ts";
import { say, whileWanted } from "../kernel.ts";

const [idx, val] = process.argv.slice(2).map(Number) as [number, number];
const bus = await openConnector();
bus.addCallback({ idx, val }, "echo", ({ data }, reply) => reply(data));
say({ port: bus.port });
whileWanted();
