/**
 * The words of a text: runs of letters, digits and marks, as the FTS5 tokenizer of sqlite/schema.ts sees them. A run of Chinese or
 * Japanese is one word, so it is found by its beginning only.
 */
export function searchWords(text: string): string[] {
  return text.match(/[\p{L}\p{N}\p{M}\p{Co}]+/gu) ?? [];
}

/** The words of a query, composed as keyboards compose them: in other than Latin letters FTS5 tells й from и + ̆. */
export function queryWords(query: string): string[] {
  return searchWords(query.normalize("NFC"));
}

/** A word as FTS5's unicode61 compares it: in lower case, Latin letters without accents, and without loose accents. */
export function foldWord(word: string): string {
  const lower = word.toLowerCase().replaceAll("ς", "σ");
  const withoutAccents = Array.from(
    lower,
    (letter) => letter.normalize("NFD").match(/^[a-z](?=\p{M}+$)/u)?.[0] ?? letter,
  );
  return withoutAccents.join("").replace(/[\u0300-\u0331]/g, "");
}

/** True if every word of a query is in the text; the last may be the beginning of one. A query without a word matches nothing. */
export function matchesWords(text: string, words: readonly string[]): boolean {
  const folded = words.map(foldWord);
  const start = folded.pop();
  if (start === undefined) return false;
  const present = new Set(searchWords(text).map(foldWord));
  return folded.every((word) => present.has(word)) && [...present].some((word) => word.startsWith(start));
}
