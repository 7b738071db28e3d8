// A server of dirty logs as a program of its own, to be killed: `dirty_log_server.ts FOLDER`. It says when it listens.

import { coreLogs } from "../../../lib/protocols/dm_log/core.ts";
import { openDiskLogs } from "../../../lib/protocols/dm_log/disk.ts";
import { logsByName, serveDirtyLog } from "../../../lib/protocols/dm_log/serve.ts";

const folder = process.argv[2]!;
const onDamage = (damage: unknown) => console.log(`damage ${JSON.stringify(damage)}`);
const server = await serveDirtyLog(
  logsByName({ core: coreLogs(), disk: await openDiskLogs({ folder, onDamage }) }),
  {
    onError: (error, { request }) => console.log(`error ${request?.type ?? ""} ${error}`),
  },
);
console.log("ready");
process.stdin.on("data", () => console.log(JSON.stringify(server.stats())));
