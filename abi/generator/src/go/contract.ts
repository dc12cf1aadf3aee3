import type { Identity } from "../ir.ts";

export function contractConstants({ version, hash, maximumLength }: Identity): string {
  return `// ContractVersion is the version of the contract; hosts and modules of different versions refuse each other.
const ContractVersion uint32 = ${version}

// ContractHash is the SHA-256 of the contract's schemas without comments, in hexadecimal.
const ContractHash = "${hash}"

// MaximumLength is the most bytes a request or a result has at the boundary of the core module.
const MaximumLength = ${maximumLength}`;
}
