import { stripVTControlCharacters } from "node:util";

/**
 * Makes a peer's text safe for the terminal: no escape sequences, no control characters, nothing that reorders what stands
 * around it. Line breaks stay.
 */
export function cleanText(text: string): string {
  return stripVTControlCharacters(text)
    .replace(/\r\n?|[\u2028\u2029]/g, "\n")
    .replaceAll("\t", "    ")
    .replace(/[\u202a-\u202e\u2066-\u2069]/g, "")
    .replace(/[^\P{Cc}\n]/gu, "\ufffd");
}

/** The same, in one line. */
export function cleanLine(text: string): string {
  return cleanText(text).replace(/\s+/g, " ").trim();
}
