/**
 * What a step has changed of the records. Those under a prefix are found by their folder, without a look at all others: one step may change
 * thousands of conversations.
 */
export class RecordChanges {
  /** In the order in which they were first changed. `null`: deleted. */
  readonly values = new Map<string, Uint8Array | null>();
  readonly deletedPrefixes: string[] = [];
  readonly #keysIn = new Map<string, Set<string>>();
  readonly #deletedIn = new Map<string, string[]>();

  /** `undefined`: not touched. */
  get(key: string): Uint8Array | null | undefined {
    const value = this.values.get(key);
    if (value !== undefined) return value;
    return this.hasDeletedPrefixOf(key) ? null : undefined;
  }

  /** It was under a prefix that was deleted; it may have been written since. */
  hasDeletedPrefixOf(key: string): boolean {
    return [folderOf(key), ""].some((folder) => this.#deletedIn.get(folder)?.some((prefix) => key.startsWith(prefix)));
  }

  keysUnder(prefix: string): string[] {
    const folder = folderOf(prefix);
    const sets = folder === "" ? [...this.#keysIn.values()] : [this.#keysIn.get(folder) ?? []];
    return sets.flatMap((keys) => [...keys].filter((key) => key.startsWith(prefix)));
  }

  set(key: string, value: Uint8Array | null): void {
    this.values.set(key, value);
    const folder = folderOf(key);
    const keys = this.#keysIn.get(folder);
    if (keys) keys.add(key);
    else this.#keysIn.set(folder, new Set([key]));
  }

  deletePrefix(prefix: string): void {
    for (const key of this.keysUnder(prefix)) {
      this.values.delete(key);
      this.#keysIn.get(folderOf(key))!.delete(key);
    }
    this.deletedPrefixes.push(prefix);
    const folder = folderOf(prefix);
    const deleted = this.#deletedIn.get(folder);
    if (deleted) deleted.push(prefix);
    else this.#deletedIn.set(folder, [prefix]);
  }
}

/** Of what belongs to one conversation: `out/<conversation>/`. Of keys with fewer parts, and of shorter prefixes: empty. */
function folderOf(text: string): string {
  return text.slice(0, text.indexOf("/", text.indexOf("/") + 1) + 1);
}
