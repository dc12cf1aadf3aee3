import { plugin } from "./plugin.ts";

/** In place of `@noble/hashes/sha3.js`: all of it that the core uses. */
export const keccak_256 = plugin.keccak256;
