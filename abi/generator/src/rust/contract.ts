import type { Identity } from "../ir.ts";

export function contractConstants({ version, hash, maximumLength }: Identity): string {
  return `/// Version of the contract; hosts and modules of different versions refuse each other.
pub const CONTRACT_VERSION: u32 = ${version};

/// SHA-256 of the contract's schemas without comments, in hexadecimal.
pub const CONTRACT_HASH: &str = "${hash}";

/// The most bytes a request or a result has at the boundary of the core module.
pub const MAXIMUM_LENGTH: usize = ${String(maximumLength).replace(/\B(?=(\d{3})+$)/g, "_")};`;
}
