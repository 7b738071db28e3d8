import type { ProcessEvent } from "../processes/event.ts";
import type { ProcessInfo } from "../processes/info.ts";
import { jsonMember } from "../wire/json_text.ts";
import type { ProcessUsage } from "../processes/usage.ts";
import type { RecordingEnd, RecordingHeader } from "./recording.ts";

/** The first or the last line of a recording, with its newline. */
export function encodeLine(line: RecordingHeader | RecordingEnd): string {
  return `{${members(line)}}\n`;
}

/**
 * An event as a line of a recording, with its newline: its fields as `cnctl watch --json` names them, as far as reports
 * want them. What a process is, the line of its exec says, and that of its fork only if `isNew`: if its parent is not in the
 * recording.
 */
export function encodeEvent(event: ProcessEvent, isNew: boolean): string {
  let line = `{"type":"${event.type}","timestampNs":"${event.timestampNs}"`;
  switch (event.type) {
    case "lost":
      return `${line},"sinceNs":"${event.sinceNs}",${jsonMember("count", event.count)}}\n`;
    case "fork":
      line += `,"pid":${event.pid},"parentPid":${event.parentPid}`;
      if (isNew && event.process !== undefined) line += `,"process":{${program(event.process)}}`;
      break;
    case "exec":
      line += `,"pid":${event.pid}`;
      if (event.process !== undefined) line += `,"process":{${program(event.process)}}`;
      break;
    case "exit": {
      line += `,"pid":${event.pid},"exitCode":${event.exitCode},${jsonMember("signal", event.signal)}`;
      if (event.coreDumped) line += ',"coreDumped":true';
      if (event.usage !== undefined) line += usageMember(event.usage);
    }
  }
  if ((event as { readonly synthetic?: true }).synthetic === true) line += ',"synthetic":true';
  return `${line}}\n`;
}

/** What is known of a program. Written out, as the next function: there are many of these lines. */
function program(info: ProcessInfo): string {
  const { comm, commandLine, commandLineTruncated, exe, cwd, uid, unknownBecause } = info;
  let text = jsonMember("comm", comm);
  if (commandLine !== undefined) text += `,${jsonMember("commandLine", commandLine)}`;
  if (commandLineTruncated) text += ',"commandLineTruncated":true';
  if (exe !== undefined) text += `,${jsonMember("exe", exe)}`;
  if (cwd !== undefined) text += `,${jsonMember("cwd", cwd)}`;
  if (uid !== undefined) text += `,"uid":${uid}`;
  if (unknownBecause !== undefined) text += `,"unknownBecause":"${unknownBecause}"`;
  return text;
}

/** What a process has used, without what is 0. */
function usageMember(usage: ProcessUsage): string {
  const { cpuNs, peakRssBytes, threads, incomplete } = usage;
  let text = `,"usage":{"cpuNs":${cpuNs},"peakRssBytes":${peakRssBytes},"threads":${threads}`;
  for (const name of RARE) {
    const value = usage[name];
    if (value !== undefined && value !== 0) text += `,"${name}":${value}`;
  }
  return `${text}${incomplete ? ',"incomplete":true}' : "}"}`;
}

/** Of most processes many of these are 0. */
const RARE = [
  "userNs",
  "systemNs",
  "runDelayNs",
  "blockIoDelayNs",
  "readBytes",
  "writeBytes",
  "minorFaults",
  "majorFaults",
  "voluntarySwitches",
  "involuntarySwitches",
] as const;

/** The members of an object that are not undefined. */
function members(object: object): string {
  let text = "";
  for (const name in object) {
    const value = (object as Readonly<Record<string, unknown>>)[name];
    if (value !== undefined) text += `${text === "" ? "" : ","}${jsonMember(name, value)}`;
  }
  return text;
}
