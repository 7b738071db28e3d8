/**
 * Serves dirty logs of device-mapper mirrors, in memory and in files. Ends with Ctrl-C.
 *
 *   bun examples/dirty_log.ts /var/lib/dirty-logs
 *   dmsetup create m --table "0 32768 mirror userspace 3 UUID disk 1024 2 /dev/a 0 /dev/b 0"
 */
import { argv } from "node:process";
import { coreLogs, logsByName, openDiskLogs, serveDirtyLog } from "../lib/protocols/dm_log/mod.ts";

const folder = argv[2] ?? "/var/lib/dirty-logs";
const disk = await openDiskLogs({
  folder,
  onDamage: ({ path, regionCount }) => console.log(`${path}: ${regionCount} regions will be recovered`),
});
await using server = await serveDirtyLog(logsByName({ core: coreLogs(), disk }), {
  onError: (error, { request }) => console.log(request?.uuid ?? "?", request?.type ?? "?", String(error)),
});
console.log(`serving; disk logs are in ${folder}`);
await server.closed;
