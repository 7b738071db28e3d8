import type { RecordedEvent, Recording } from "./recording.ts";
import { isTextArray } from "./recording.ts";

/** What stands for a secret. */
const HIDDEN = "[hidden]";

/** What is in a name whose value is a secret: DB_PASSWORD, api-key, clientSecret, GITHUB_TOKEN, _authToken. */
const SECRET_WORD = String
  .raw`(?:passw(?:or)?d|passphrase|passcode|\bpass|secret|token|api[_-]?key|access[_-]?key|private[_-]?key|credential|_auth)`;

/** An argument that is the name of an option; its value is the next one. */
const SECRET_OPTION = new RegExp(`^--?[\\w.-]{0,40}${SECRET_WORD}[\\w.-]{0,40}$`, "i");

/** What a value is, bare or in quotes. */
const VALUE = String.raw`(?:"[^"]*"|'[^']*'|[^\s"'&;|]+)`;

/**
 * Within an argument, each with what stays of it. All repetitions before something that may be missing are bounded: an
 * argument can be long, and made to be slow.
 */
const SECRETS: readonly (readonly [RegExp, string])[] = [
  // Authorization: Bearer abc; Cookie: a=b; c=d
  [/((?:proxy-)?authorization|(?:set-)?cookie)(["']?\s{0,8}:\s{0,8})[^"'\r\n]+/gi, `$1$2${HIDDEN}`],
  // --password=x, TOKEN="x y", "secret": "x", ?access_token=x&
  [
    new RegExp(String.raw`(${SECRET_WORD}[\w.-]{0,40}["']?\s{0,8}[=:]\s{0,8})${VALUE}`, "gi"),
    `$1${HIDDEN}`,
  ],
  // --password x, in the text of a script
  [
    new RegExp(
      String.raw`((?:^|\s)--?[\w.-]{0,40}${SECRET_WORD}[\w.-]{0,40}\s{1,8})(?![-|&;[])${VALUE}`,
      "gi",
    ),
    `$1${HIDDEN}`,
  ],
  // https://user:password@host, https://token@host
  [/\b([a-z][a-z\d+.-]{0,20}:\/\/)[^\s/?#"'@]+@/gi, `$1${HIDDEN}@`],
  [/\b(Bearer|Basic)\s{1,8}[\w+/=.~-]{8,}/g, `$1 ${HIDDEN}`],
  // Tokens that say what they are: GitHub, GitLab, npm, Slack, AWS, OpenAI, JSON web tokens
  [/\b(?:gh[opsur]_|github_pat_|npm_)\w{20,}/g, HIDDEN],
  [/\b(?:glpat-[\w-]{16,200}|xox[abeprs]-[\w-]{10,200}|AKIA[A-Z\d]{16}|sk-[\w-]{20,200})/g, HIDDEN],
  [/\beyJ[\w-]{10,2000}\.[\w-]{10,2000}\.[\w-]*/g, HIDDEN],
];

/**
 * Command line arguments without what looks like a secret: values of options, variables and headers that are named after
 * passwords, tokens, keys or cookies, the user part of URLs, and well-known tokens. A secret that nothing gives away stays.
 *
 * @example
 * ```ts
 * import assert from "node:assert/strict";
 * import { redactArguments } from "kernel-connector/trace";
 *
 * const command = ["curl", "--password", "hunter2", "-HAuthorization: Bearer abc", "https://u:p@example.org/?token=t&n=1"];
 * assert.deepEqual(redactArguments(command), [
 *   "curl",
 *   "--password",
 *   "[hidden]",
 *   "-HAuthorization: [hidden]",
 *   "https://[hidden]@example.org/?token=[hidden]&n=1",
 * ]);
 * ```
 */
export function redactArguments(commandLine: readonly string[]): string[] {
  return commandLine.map((argument, i) => {
    if (i > 0 && SECRET_OPTION.test(commandLine[i - 1]!) && !argument.startsWith("-")) return HIDDEN;
    return SECRETS.reduce((text, [pattern, rest]) => text.replace(pattern, rest), argument);
  });
}

/** A recording without the secrets in its command lines: see {@linkcode redactArguments}. */
export function redactRecording(recording: Recording): Recording {
  const { header, events } = recording;
  return {
    ...recording,
    header: { ...header, command: redactArguments(header.command) },
    events: events.map(redactEvent),
  };
}

/** An event of a recording without what looks like a secret. */
export function redactEvent(event: RecordedEvent): RecordedEvent {
  const process = event.process as { readonly commandLine?: unknown } | undefined;
  const commandLine = process?.commandLine;
  if (!isTextArray(commandLine)) return event;
  return { ...event, process: { ...process, commandLine: redactArguments(commandLine) } };
}
