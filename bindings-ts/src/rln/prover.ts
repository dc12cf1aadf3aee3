import { Worker } from "node:worker_threads";
import { ErrorCode } from "@chatsdk/abi/errors_pb";
import { ChatError } from "@chatsdk/core";
import type { ProofRequest, RateLimitProver } from "../transport/waku-transport.ts";
import { checkCredentials, checkGroup, invalid, type RlnCredentials, type RlnGroup } from "./group.ts";
import { encodeProof, epochBytes, epochOf, signalOf } from "./rate-limit-proof.ts";
import type { FileSource, ProofJob, WorkerAnswer, WorkerData, WorkerFailure } from "./worker-messages.ts";

/**
 * The circuit's two files (6 MB), each as a path or as its content. They are those of the crate `rln` 0.8.0, which no npm package
 * has: waku-node/rln/circuit/extract.mjs fetches them, and an application ships them with itself.
 */
export interface RlnCircuit {
  /** rln_final.zkey */
  readonly provingKey: FileSource;
  /** rln.wasm */
  readonly witnessProgram: FileSource;
}

export interface RlnProverOptions {
  readonly group: RlnGroup;
  /** The prover keeps a copy; the caller wipes its own. */
  readonly credentials: RlnCredentials;
  readonly circuit: RlnCircuit;
}

/** Takes the place of a job's number until the circuit is loaded. */
const LOADING = -1;

interface Waiting {
  resolve(proof: Uint8Array): void;
  reject(error: ChatError): void;
}

/**
 * Makes a member's RLN proofs in a thread of its own: about 2 s to load and 1.4 s a proof on a small server, one after the other.
 *
 * It does not count message ids. Its user must give none twice in one epoch to two messages, ever: the two proofs together reveal
 * the member's secret.
 */
export class RlnProver implements RateLimitProver {
  /** Resolves with the group's Merkle root once the circuit is loaded. Rejects with a ChatError. */
  readonly ready: Promise<Uint8Array>;
  readonly #group: RlnGroup;
  readonly #limit: number;
  readonly #worker: Worker;
  readonly #waiting = new Map<number, Waiting>();
  #nextJob = 0;
  #failure: ChatError | undefined;

  /** Starts to load in the background. Throws INVALID_ARGUMENT if the credentials are not those of a member of the group, or a file is not named. */
  static open(options: RlnProverOptions): RlnProver {
    checkCredentials(options.credentials, checkGroup(options.group));
    checkCircuit(options.circuit);
    return new RlnProver(options);
  }

  private constructor({ group, credentials, circuit }: RlnProverOptions) {
    this.#group = group;
    this.#limit = credentials.userMessageLimit;
    const workerData: WorkerData = { group, credentials, ...circuit };
    // Compiled code lies beside a compiled worker; tests run both from the sources.
    const file = import.meta.url.endsWith(".ts") ? "./worker.ts" : "./worker.js";
    this.#worker = new Worker(new URL(file, import.meta.url), { workerData, name: "rln prover" });
    this.ready = new Promise((resolve, reject) => {
      this.#worker.on("message", (answer: WorkerAnswer) => {
        if (answer.kind === "ready") {
          resolve(answer.merkleRoot);
          this.#forget(LOADING);
        } else if (answer.kind === "failed") this.#fail(errorOf(answer.failure));
        else this.#settle(answer);
      });
      this.#worker.on("error", (error) => this.#fail(startError(error)));
      this.#worker.on("exit", () => this.#fail(internal("the prover's thread ended")));
      this.#waiting.set(LOADING, { resolve, reject });
    });
    // Whoever does not await it learns of the failure from `prove`.
    this.ready.catch(() => undefined);
  }

  /**
   * The value for WakuMessage's `rateLimitProof`, 335 bytes. Throws INVALID_ARGUMENT for an epoch that is not the timestamp's or a
   * message id that is not below the limit, CLOSED after `close`, ABORTED, and INTERNAL if the circuit fails.
   */
  async prove(statement: ProofRequest, { signal }: { signal?: AbortSignal } = {}): Promise<Uint8Array> {
    const { payload, topic, timestampNs, epoch, messageId } = statement;
    if (timestampNs < 0n || timestampNs >= 1n << 63n) throw invalid("timestampNs", "must be from 0 to 2^63 - 1");
    const ofTimestamp = epochOf(timestampNs, this.#group);
    if (epoch !== ofTimestamp) throw invalid("epoch", `is ${epoch}, but the timestamp is in epoch ${ofTimestamp}`);
    if (!Number.isSafeInteger(messageId) || messageId < 0 || messageId >= this.#limit)
      throw invalid("messageId", `is ${messageId}, and must be from 0 to ${this.#limit - 1}; wait for the next epoch`);
    const job: ProofJob = {
      id: this.#nextJob++,
      signal: signalOf(payload, topic, timestampNs),
      epoch: epochBytes(epoch),
      messageId,
    };
    const proof = await this.#run(job, signal);
    return encodeProof(proof, epoch, this.#group.rlnIdentifier);
  }

  /** Ends the thread, and with it its copy of the secret. Proofs under way reject with CLOSED. */
  async close(): Promise<void> {
    this.#fail(new ChatError(ErrorCode.CLOSED, "rln: the prover is closed; open a new one"));
    await this.#worker.terminate();
  }

  async #run(job: ProofJob, signal: AbortSignal | undefined): Promise<Uint8Array> {
    if (this.#failure !== undefined) throw this.#failure;
    if (signal?.aborted === true) throw aborted();
    const onAbort = () => this.#waiting.get(job.id)?.reject(aborted());
    signal?.addEventListener("abort", onAbort, { once: true });
    this.#worker.ref();
    try {
      return await new Promise<Uint8Array>((resolve, reject) => {
        this.#waiting.set(job.id, { resolve, reject });
        this.#worker.postMessage(job);
      });
    } finally {
      signal?.removeEventListener("abort", onAbort);
      this.#forget(job.id);
    }
  }

  /** An idle prover keeps no program alive. */
  #forget(id: number): void {
    this.#waiting.delete(id);
    if (this.#waiting.size === 0) this.#worker.unref();
  }

  #settle(answer: Extract<WorkerAnswer, { kind: "proof" | "noProof" }>): void {
    const waiting = this.#waiting.get(answer.id);
    if (answer.kind === "proof") waiting?.resolve(answer.proof);
    else waiting?.reject(errorOf(answer.failure));
  }

  #fail(error: ChatError): void {
    this.#failure ??= error;
    for (const waiting of this.#waiting.values()) waiting.reject(this.#failure);
    this.#waiting.clear();
  }
}

const CIRCUIT_FILES = { provingKey: "rln_final.zkey", witnessProgram: "rln.wasm" } as const;

/** Throws INVALID_ARGUMENT unless both files are named. What is in them the worker checks. */
export function checkCircuit(circuit: RlnCircuit): RlnCircuit {
  if (typeof circuit !== "object" || circuit === null)
    throw invalid("circuit", "missing; give { provingKey, witnessProgram }, the paths of rln_final.zkey and rln.wasm");
  for (const [name, file] of Object.entries(CIRCUIT_FILES)) {
    const source: unknown = circuit[name as keyof typeof CIRCUIT_FILES];
    if ((typeof source === "string" && source !== "") || source instanceof Uint8Array) continue;
    const problem =
      source instanceof URL ? "is a URL; give fileURLToPath of it" : `give the path of ${file}, or its bytes`;
    throw invalid(`circuit.${name}`, problem);
  }
  return circuit;
}

function errorOf({ field, problem }: WorkerFailure): ChatError {
  return field === undefined ? internal(problem) : invalid(field, problem);
}

function startError(error: unknown): ChatError {
  const missing = (error as NodeJS.ErrnoException).code === "ERR_MODULE_NOT_FOUND";
  return missing
    ? invalid("package", "@waku/zerokit-rln-wasm is missing; install version 0.2.1")
    : internal("the prover's thread failed");
}

function internal(problem: string): ChatError {
  return new ChatError(ErrorCode.INTERNAL, `rln: ${problem}; report it`);
}

function aborted(): ChatError {
  return new ChatError(ErrorCode.ABORTED, "rln: the caller aborted; the message id counts as used");
}
