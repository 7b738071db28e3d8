import { safeText } from "./safe_text.ts";

/** Names of ids, or the number where one has none. */
export class IdNames {
  readonly #names: Map<number, string>;

  /** `names` is what the machine's list has, as it stands there. */
  constructor(names: ReadonlyMap<number, string>) {
    this.#names = new Map([...names].map(([id, name]) => [id, safeText(name)]));
    if (!this.#names.has(0)) this.#names.set(0, "root"); // whatever cannot be read, this one is the kernel's own
  }

  /** The name of an id, safe for a terminal. */
  name(id: number): string {
    let name = this.#names.get(id);
    if (name === undefined) this.#names.set(id, name = String(id));
    return name;
  }
}
