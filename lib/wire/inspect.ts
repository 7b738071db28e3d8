/** How an object prints another one, as `console.log` of each runtime gives it. */
type Inspect = (value: unknown, options: unknown) => string;

/**
 * Makes `console.log` show the instances of a class as `NAME { … }` with what `contents` returns. Otherwise nothing
 * shows of a class with private fields on Node and Deno, and a list of methods on Bun.
 */
export function showInConsole<T extends object>(
  prototype: T,
  name: string,
  contents: (object: T) => object,
): void {
  Object.defineProperty(prototype, Symbol.for("nodejs.util.inspect.custom"), {
    value(this: T, _depth: number, options: unknown, inspect: Inspect) {
      return `${name} ${inspect(contents(this), options)}`;
    },
  });
}
