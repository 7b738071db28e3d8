import { hexOf } from "./json.ts";
import { safeJson } from "./escape.ts";

/**
 * A value as one line of JSON, with its newline. A bigint is a decimal string, bytes are hexadecimal digits, and
 * undefined is null. Anything a terminal could interpret is escaped; the line still parses to the same text.
 */
export function jsonLine(value: unknown): string {
  return `${jsonText(value)}\n`;
}

/**
 * As {@linkcode jsonLine}, without the newline. Written out: a copy that JSON.stringify() can take, or a replacer
 * function for it, costs two to three times as much, and `cnctl watch --json` writes little else.
 */
export function jsonText(value: unknown): string {
  switch (typeof value) {
    case "string":
      return stringText(value);
    case "number":
      return Number.isFinite(value) ? String(value) : "null";
    case "boolean":
      return String(value);
    case "bigint":
      return `"${value}"`;
    case "object":
      if (value === null) return "null";
      if (value instanceof Uint8Array) return `"${hexOf(value)}"`;
      return Array.isArray(value) ? arrayText(value) : objectText(value);
    default:
      return "null";
  }
}

/** A member of an object, without commas. */
export function jsonMember(name: string, value: unknown): string {
  return nameText(name) + jsonText(value);
}

function objectText(object: object): string {
  let text = "";
  for (const name in object) {
    text += `${text === "" ? "" : ","}${
      jsonMember(name, (object as Readonly<Record<string, unknown>>)[name])
    }`;
  }
  return `{${text}}`;
}

function arrayText(array: readonly unknown[]): string {
  let text = "";
  for (let i = 0; i < array.length; i++) text += `${i === 0 ? "" : ","}${jsonText(array[i])}`;
  return `[${text}]`;
}

/** What stands in a JSON string as it is, and is safe on a terminal. */
const PLAIN = /^[ !#-[\]-~]*$/;

function stringText(text: string): string {
  return PLAIN.test(text) ? `"${text}"` : safeJson(JSON.stringify(text));
}

/** Names of members with their colons. There are few, and each is written many times. */
const names = new Map<string, string>();
const MAX_NAMES = 1000;

function nameText(name: string): string {
  let text = names.get(name);
  if (text === undefined) {
    text = `${stringText(name)}:`;
    if (names.size < MAX_NAMES) names.set(name, text);
  }
  return text;
}
