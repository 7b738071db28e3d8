/**
 * Checks of what callers give. Types are not there at run time: what is of another type is refused by name, before
 * anything is done, and not taken for something else in silence.
 *
 * `action` completes "Cannot …" in every message. What is of a wrong type is a TypeError, a number out of its range a
 * RangeError.
 */

/** Refuses a value; `name` is what the caller knows it by. */
export type Check = (value: unknown, name: string, action: string) => void;

/** A check for each of the options `T`. What is undefined was not given. */
export type OptionChecks<T> = { readonly [Name in keyof Required<T>]: Check };

/** Checks an object of options. */
export function checkOptions<T>(options: unknown, checks: OptionChecks<T>, action: string): void {
  checkObject(options, "options", action);
  const given = options as Readonly<Record<string, unknown>>;
  for (const name in checks) {
    const value = given[name];
    if (value !== undefined) checks[name](value, name, action);
  }
}

/** The error for a value of a wrong type. */
export function wrongType(value: unknown, name: string, wanted: string, action: string): TypeError {
  return new TypeError(`Cannot ${action}: ${name} must be ${wanted}, and is ${shown(value)}`);
}

/** What it wants is an object that is no array and no function. */
export function checkObject(value: unknown, name: string, action: string): void {
  if (typeof value === "object" && value !== null && !Array.isArray(value)) return;
  throw wrongType(value, name, "an object", action);
}

function checkArray(value: unknown, name: string, action: string): void {
  if (!Array.isArray(value)) throw wrongType(value, name, "an array", action);
}

export function checkString(value: unknown, name: string, action: string): void {
  if (typeof value !== "string") throw wrongType(value, name, "a string", action);
}

export function checkBoolean(value: unknown, name: string, action: string): void {
  if (typeof value !== "boolean") throw wrongType(value, name, "true or false", action);
}

export function checkFunction(value: unknown, name: string, action: string): void {
  if (typeof value !== "function") throw wrongType(value, name, "a function", action);
}

/** Any number: its range is looked at elsewhere. */
export function checkNumber(value: unknown, name: string, action: string): void {
  if (typeof value !== "number") throw wrongType(value, name, "a number", action);
}

/** A whole number in a range. */
export function integer(least: number, most: number): Check {
  return (value, name, action) => {
    if (Number.isInteger(value) && (value as number) >= least && (value as number) <= most) return;
    const wanted = `a whole number from ${least} to ${most}`;
    if (typeof value !== "number") throw wrongType(value, name, wanted, action);
    throw new RangeError(`Cannot ${action}: ${name} must be ${wanted}, and is ${value}`);
  };
}

export const checkU16: Check = integer(0, 0xffff);
export const checkU32: Check = integer(0, 0xffff_ffff);
/** `pid_t` of a process. */
export const checkPid: Check = integer(1, 0x7fff_ffff);

/** A time above 0, in milliseconds; it may be Infinity. */
export function checkTimeoutMs(value: unknown, name: string, action: string): void {
  checkNumber(value, name, action);
  if (!((value as number) > 0)) {
    throw new RangeError(`Cannot ${action}: ${name} must be above 0, and is ${value}`);
  }
}

/** An AbortSignal, also one of another realm. */
export function checkSignal(value: unknown, name: string, action: string): void {
  const signal = value as Partial<AbortSignal> | null | undefined;
  if (
    typeof signal === "object" && typeof signal?.aborted === "boolean" &&
    typeof signal.addEventListener === "function"
  ) return;
  throw wrongType(value, name, "an AbortSignal", action);
}

/**
 * Bytes: a Uint8Array, also one of another realm. Nothing else is taken for bytes: of a text set into memory nothing but
 * zeroes would be left, and of wider numbers their low bytes.
 */
export function checkBytes(value: unknown, name: string, action: string): void {
  if (value instanceof Uint8Array || isView(value, "Uint8Array")) return;
  const error = wrongType(value, name, "a Uint8Array", action);
  if (typeof value === "string") error.message += " (new TextEncoder().encode(text) makes bytes of text)";
  else if (ArrayBuffer.isView(value)) {
    error.message += " (new Uint8Array(view.buffer, view.byteOffset, view.byteLength) has its bytes)";
  }
  throw error;
}

/** A range of bytes in a DataView. */
export function checkRange(view: unknown, at: unknown, end: unknown, action: string): void {
  if (!(view instanceof DataView || isView(view, "DataView"))) {
    throw wrongType(view, "view", "a DataView", action);
  }
  if (Number.isInteger(at) && Number.isInteger(end)) {
    if ((at as number) >= 0 && (end as number) <= (view as DataView).byteLength) return;
  }
  const { byteLength } = view as DataView;
  integer(0, byteLength)(at, "at", action);
  integer(0, byteLength)(end, "end", action);
}

/** A value out of a list. */
export function oneOf(...values: readonly string[]): Check {
  return (value, name, action) => {
    if ((values as readonly unknown[]).includes(value)) return;
    throw wrongType(value, name, values.map((value) => JSON.stringify(value)).join(" or "), action);
  };
}

/** An array, each of whose elements is checked. */
export function arrayOf(check: Check): Check {
  return (value, name, action) => {
    checkArray(value, name, action);
    (value as readonly unknown[]).forEach((element, i) => check(element, `${name}[${i}]`, action));
  };
}

/** An object that has these functions, as what implements an interface; `optional` ones may be missing. */
export function objectWith(functions: readonly string[], optional: readonly string[] = []): Check {
  return (value, name, action) => {
    checkObject(value, name, action);
    const object = value as Readonly<Record<string, unknown>>;
    for (const method of functions) checkFunction(object[method], `${name}.${method}`, action);
    for (const method of optional) {
      if (object[method] !== undefined) checkFunction(object[method], `${name}.${method}`, action);
    }
  };
}

/** A value for an error: short, and whatever it is. */
function shown(value: unknown): string {
  switch (typeof value) {
    case "string":
      return JSON.stringify(value.length > 40 ? `${value.slice(0, 40)}…` : value);
    case "bigint":
      return `${value}n`;
    case "symbol":
      return "a symbol";
    case "function":
      return "a function";
    case "object":
      if (value === null) return "null";
      if (Array.isArray(value)) return "an array";
      return ArrayBuffer.isView(value) ? `a ${tagOf(value)}` : "an object";
    default:
      return String(value);
  }
}

function isView(value: unknown, tag: string): boolean {
  return ArrayBuffer.isView(value) && tagOf(value) === tag;
}

function tagOf(value: ArrayBufferView): string {
  return Object.prototype.toString.call(value).slice(8, -1);
}
