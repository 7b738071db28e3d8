import { GIVE_CAPABILITY } from "../errors/advice.ts";
import { readTextFile } from "../procfs/file.ts";
import { type Finding, ok, unknown, warn } from "./check.ts";
import type { ReadableScene } from "./context.ts";
import { OwnStatus } from "./status.ts";

/** Whether what is known of processes is hidden from us: hidepid and subset on /proc. */
export function checkProc({ files }: ReadableScene): Finding {
  const mounts = readTextFile(files, "/proc/self/mountinfo");
  if (mounts === undefined) return unknown("/proc/self/mountinfo cannot be read");
  const options = optionsOfProc(mounts);
  if (options === undefined) return unknown("no file system of type proc is mounted on /proc");
  const hidepid = options.get("hidepid") ?? "off";
  if (options.get("subset") === "pid") {
    return warn(
      "/proc is mounted with subset=pid: what concerns no process cannot be read",
      "mount it without",
    );
  }
  if (hidepid === "off" || hidepid === "0") return ok("shows the processes of every user");
  const status = OwnStatus.read(files);
  if (status?.has("CAP_SYS_PTRACE") === true) return ok(`hidepid=${hidepid} does not concern CAP_SYS_PTRACE`);
  const gid = options.get("gid");
  // hidepid=4 (ptraceable) makes no exception for the group.
  if (
    gid !== undefined && hidepid !== "4" && hidepid !== "ptraceable" && status?.groups.includes(Number(gid))
  ) {
    return ok(`hidepid=${hidepid} does not concern group ${gid}, which we are in`);
  }
  return warn(
    `hidepid=${hidepid}: of other users' processes the events come, but neither command line, program nor user`,
    gid === undefined ? GIVE_CAPABILITY_TO_TRACE : `join group ${gid}, or ${GIVE_CAPABILITY_TO_TRACE}`,
  );
}

const GIVE_CAPABILITY_TO_TRACE = `${GIVE_CAPABILITY} (CAP_SYS_PTRACE)`;

/** The options of the file system on /proc, the last mounted one; undefined where that is no proc. */
function optionsOfProc(mounts: string): ReadonlyMap<string, string> | undefined {
  let options: ReadonlyMap<string, string> | undefined;
  for (const line of mounts.split("\n")) {
    // id parent device root mountpoint options [fields] - type source superoptions
    const [before = "", after = ""] = line.split(" - ");
    if (before.split(" ")[4] !== "/proc") continue;
    const [type, , superOptions = ""] = after.split(" ");
    options = type !== "proc" ? undefined : new Map(
      superOptions.split(",").map((option) => {
        const [name = "", value = ""] = option.split("=");
        return [name, value];
      }),
    );
  }
  return options;
}
