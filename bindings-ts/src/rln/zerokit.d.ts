/** zerokit's WebAssembly build, as far as it is used here. Byte layouts are those of the crate `rln` 0.8. */
declare module "@waku/zerokit-rln-wasm" {
  export function initSync(options: { module: WebAssembly.Module | Uint8Array }): unknown;
  export function newRLN(provingKey: Uint8Array): number;
  export function hash(input: Uint8Array): Uint8Array;
  export function poseidonHash(input: Uint8Array): Uint8Array;
  export function rlnWitnessToJson(context: number, witness: Uint8Array): Record<string, string | string[]>;
  export function generateRLNProofWithWitness(
    context: number,
    calculatedWitness: bigint[],
    witness: Uint8Array,
  ): Uint8Array;
  export function verifyWithRoots(context: number, proof: Uint8Array, roots: Uint8Array): boolean;
}
