import type { RlnCredentials, RlnGroup } from "./group.ts";

/** A file: its path or its content. */
export type FileSource = string | Uint8Array;

/** What the prover's worker starts with. */
export interface WorkerData {
  readonly group: RlnGroup;
  readonly credentials: RlnCredentials;
  readonly provingKey: FileSource;
  readonly witnessProgram: FileSource;
}

/** One proof to make. `externalNullifier`'s parts are hashed by the worker. */
export interface ProofJob {
  readonly id: number;
  readonly signal: Uint8Array;
  readonly epoch: Uint8Array;
  readonly messageId: number;
}

/** Why the worker could not do it. No error of a library crosses: one could quote the secret. */
export interface WorkerFailure {
  /** The option that is wrong, or none: a defect. */
  readonly field?: string;
  readonly problem: string;
}

export type WorkerAnswer =
  | { readonly kind: "ready"; readonly merkleRoot: Uint8Array }
  | { readonly kind: "failed"; readonly failure: WorkerFailure }
  | { readonly kind: "proof"; readonly id: number; readonly proof: Uint8Array }
  | { readonly kind: "noProof"; readonly id: number; readonly failure: WorkerFailure };
