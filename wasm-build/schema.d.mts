import type { MessageTable } from "./guest/plugin.ts";

/** What the codec knows of the contract, and the modules that stand for the generated ones. */
export function readSchema(): { table: readonly MessageTable[]; source: (file: string) => string };
