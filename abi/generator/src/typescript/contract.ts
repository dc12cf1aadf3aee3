import type { Identity } from "../ir.ts";

export function contractConstants({ version, hash, maximumLength }: Identity): string {
  return `/** Version of the contract; hosts and modules of different versions refuse each other. */
export const CONTRACT_VERSION = ${version};

/** SHA-256 of the contract's schemas without comments, in hexadecimal. */
export const CONTRACT_HASH = "${hash}";

/** The most bytes a request or a result has at the boundary of the core module. */
export const MAXIMUM_LENGTH = ${maximumLength};`;
}
