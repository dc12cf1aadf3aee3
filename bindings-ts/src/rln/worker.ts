import { createHash } from "node:crypto";
import { readFileSync } from "node:fs";
import { createRequire } from "node:module";
import { parentPort, workerData } from "node:worker_threads";
import * as zerokit from "@waku/zerokit-rln-wasm";
import { type MerklePath, merklePath, TREE_DEPTH } from "./tree.ts";
import { WitnessProgram } from "./witness-program.ts";
import type { FileSource, ProofJob, WorkerAnswer, WorkerData, WorkerFailure } from "./worker-messages.ts";

/*
 * The prover's thread: a proof takes a second or more of computing. It loads at once and then serves one job after the other.
 */

/** SHA-256 of the circuit's files in the crate `rln` 0.8.0. Another key would make proofs that no node accepts. */
const CIRCUIT_DIGESTS = {
  provingKey: "ae30d3d4b29d9dab8c65ff181644a3eb57c2c0fa9f687ea3baf8c7f711d7946a",
  witnessProgram: "b4d2d17598d8ca8c7de34f2bdad067e7c0578b9175f7f95f753cbd39f128863f",
} as const;

class Failure extends Error {
  readonly failure: WorkerFailure;
  constructor(failure: WorkerFailure) {
    super(failure.problem);
    this.failure = failure;
  }
}

interface Circuit {
  readonly context: number;
  readonly program: WitnessProgram;
  readonly path: MerklePath;
}

const { group, credentials, provingKey, witnessProgram } = workerData as WorkerData;

function load(): Circuit {
  const wasm = createRequire(import.meta.url).resolve("@waku/zerokit-rln-wasm/rln_wasm_bg.wasm");
  zerokit.initSync({ module: readFileSync(wasm) });
  const key = circuitFile("provingKey", provingKey);
  const program = new WitnessProgram(new WebAssembly.Module(circuitFile("witnessProgram", witnessProgram)));
  if (!sameBytes(poseidon(credentials.identitySecret), credentials.identityCommitment))
    throw new Failure({
      field: "credentials.identitySecret",
      problem: `is not that of the group's member ${credentials.leafIndex}; give his file as it was made`,
    });
  const leaves = group.members.map((member) => poseidon(member.identityCommitment, field(member.userMessageLimit)));
  const path = merklePath(leaves, credentials.leafIndex, (left, right) => poseidon(left, right));
  return { context: zerokit.newRLN(key), program, path };
}

function circuitFile(name: keyof typeof CIRCUIT_DIGESTS, source: FileSource): Uint8Array<ArrayBuffer> {
  let content: Uint8Array;
  try {
    content = typeof source === "string" ? readFileSync(source) : source;
  } catch {
    throw new Failure({ field: `circuit.${name}`, problem: "cannot be read; give the path of the file" });
  }
  if (createHash("sha256").update(content).digest("hex") !== CIRCUIT_DIGESTS[name])
    throw new Failure({
      field: `circuit.${name}`,
      problem: "is not the file of the crate rln 0.8.0 (SHA-256 differs); waku-node/rln/circuit/extract.mjs brings it",
    });
  return new Uint8Array(content);
}

/** zerokit's witness: secret | limit | message id | siblings | sides | x | external nullifier, lists with their length before. */
function prove({ context, program, path }: Circuit, job: ProofJob): Uint8Array {
  const depth = u64(TREE_DEPTH);
  const externalNullifier = poseidon(zerokit.hash(job.epoch), zerokit.hash(group.rlnIdentifier));
  const witness = concat(
    ...[credentials.identitySecret, field(credentials.userMessageLimit), field(job.messageId)],
    ...[depth, ...path.siblings, depth, path.sides],
    ...[zerokit.hash(job.signal), externalNullifier],
  );
  const values = program.calculate(zerokit.rlnWitnessToJson(context, witness) as Record<string, string | string[]>);
  const proof = zerokit.generateRLNProofWithWitness(context, values, witness);
  witness.fill(0);
  // A proof that no node accepts would cost its message id for nothing.
  if (!zerokit.verifyWithRoots(context, concat(proof, u64(job.signal.length), job.signal), path.root))
    throw new Failure({ problem: "a proof did not verify" });
  return proof;
}

function poseidon(...elements: readonly Uint8Array[]): Uint8Array {
  return zerokit.poseidonHash(concat(u64(elements.length), ...elements));
}

function u64(value: number): Uint8Array {
  const bytes = Buffer.alloc(8);
  bytes.writeBigUInt64LE(BigInt(value));
  return bytes;
}

function field(value: number): Uint8Array {
  return concat(u64(value), new Uint8Array(24));
}

function concat(...parts: readonly Uint8Array[]): Uint8Array {
  return new Uint8Array(Buffer.concat(parts));
}

function sameBytes(a: Uint8Array, b: Uint8Array): boolean {
  return Buffer.compare(a, b) === 0;
}

function failureOf(error: unknown, problem: string): WorkerFailure {
  return error instanceof Failure ? error.failure : { problem };
}

function answer(message: WorkerAnswer): void {
  parentPort?.postMessage(message);
}

try {
  const circuit = load();
  parentPort?.on("message", (job: ProofJob) => {
    try {
      answer({ kind: "proof", id: job.id, proof: prove(circuit, job) });
    } catch (error) {
      answer({ kind: "noProof", id: job.id, failure: failureOf(error, "the circuit made no proof") });
    }
  });
  answer({ kind: "ready", merkleRoot: circuit.path.root });
} catch (error) {
  answer({ kind: "failed", failure: failureOf(error, "the circuit could not be loaded") });
}
