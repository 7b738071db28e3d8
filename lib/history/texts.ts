import type { StatementSync } from "node:sqlite";
import { type Database, toStored } from "./sqlite.ts";

/** Texts whose ids are remembered. */
const LIMIT = 20_000;
/** How exactly the last use of a text is known: it keeps rotation from removing it. */
const USE_US = 3_600_000_000;

/** The ids of texts that repeat: each is in the database once. */
export class Texts {
  readonly #find: StatementSync;
  readonly #insert: StatementSync;
  readonly #use: StatementSync;
  readonly #known = new Map<string, { readonly id: number; usedUs: number }>();

  constructor(database: Database) {
    this.#find = database.prepare("SELECT id, used_us FROM text WHERE value = ?");
    this.#insert = database.prepare("INSERT INTO text(value, used_us) VALUES (?, ?)");
    this.#use = database.prepare("UPDATE text SET used_us = ? WHERE id = ?");
  }

  /** The id of a text, which is stored if it is new. Within a transaction. */
  idOf(text: string | undefined, nowUs: number): number | null {
    if (text === undefined) return null;
    let entry = this.#known.get(text);
    if (entry === undefined) {
      entry = this.#load(text, nowUs);
      if (this.#known.size >= LIMIT) this.#known.clear();
      this.#known.set(text, entry);
    }
    if (nowUs - entry.usedUs > USE_US) {
      this.#use.run(nowUs, entry.id);
      entry.usedUs = nowUs;
    }
    return entry.id;
  }

  /** Forgets what it knows: a transaction has failed, or rotation has removed texts. */
  forget(): void {
    this.#known.clear();
  }

  #load(text: string, nowUs: number): { readonly id: number; usedUs: number } {
    const value = toStored(text);
    const found = this.#find.get(value) as { id: number; used_us: number } | undefined;
    if (found !== undefined) return { id: found.id, usedUs: found.used_us };
    return { id: Number(this.#insert.run(value, nowUs).lastInsertRowid), usedUs: nowUs };
  }
}
