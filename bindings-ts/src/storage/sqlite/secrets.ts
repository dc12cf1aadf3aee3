import type { SecretStore } from "../storage.ts";
import { prefixEnd } from "../key-order.ts";
import { eachTag } from "../validation.ts";
import type { Connection, Row } from "./connection.ts";

/** The tables `records` and `tags`. */
export class SqliteSecrets implements SecretStore {
  readonly #connection: Connection;

  constructor(connection: Connection) {
    this.#connection = connection;
  }

  async get(key: string): Promise<Uint8Array | undefined> {
    return this.#connection.get("SELECT value FROM records WHERE key = ?", key)?.["value"] as Uint8Array | undefined;
  }

  async findTag(tag: Uint8Array): Promise<{ key: string; value: Uint8Array } | undefined> {
    const row = this.#connection.get("SELECT key, value FROM tags JOIN records USING (key) WHERE tag = ?", tag);
    return row && record(row);
  }

  async scan(prefix: string, limit: number): Promise<{ key: string; value: Uint8Array }[]> {
    const { condition, values } = startsWith(prefix);
    return this.#connection
      .all(`SELECT key, value FROM records WHERE ${condition} ORDER BY key LIMIT ?`, ...values, limit || -1)
      .map(record);
  }

  // The rest belongs to a transaction of the storage.

  put(key: string, value: Uint8Array): void {
    // Not REPLACE: it deletes the old row, and a setting decides whether the trigger then takes the tags.
    this.#connection.run(
      "INSERT INTO records (key, value) VALUES (?, ?) ON CONFLICT (key) DO UPDATE SET value = excluded.value",
      key,
      value,
    );
  }

  delete(key: string): void {
    this.#connection.run("DELETE FROM records WHERE key = ?", key);
  }

  deletePrefix(prefix: string): void {
    const { condition, values } = startsWith(prefix);
    this.#connection.run(`DELETE FROM records WHERE ${condition}`, ...values);
  }

  addTags(key: string, tags: Uint8Array): void {
    for (const tag of eachTag(tags)) {
      this.#connection.run(
        "INSERT INTO tags (tag, key) VALUES (?, ?) ON CONFLICT (tag) DO UPDATE SET key = excluded.key",
        tag,
        key,
      );
    }
  }

  removeTags(tags: Uint8Array): void {
    for (const tag of eachTag(tags)) this.#connection.run("DELETE FROM tags WHERE tag = ?", tag);
  }
}

function record(row: Row): { key: string; value: Uint8Array } {
  return { key: row["key"] as string, value: row["value"] as Uint8Array };
}

/** A range of the primary key rather than LIKE, which ignores case and knows wildcards. */
function startsWith(prefix: string): { condition: string; values: string[] } {
  const end = prefixEnd(prefix);
  return end === undefined
    ? { condition: "key >= ?", values: [prefix] }
    : { condition: "key >= ? AND key < ?", values: [prefix, end] };
}
