import { ErrorCode } from "@chatsdk/abi/errors_pb";
import { ChatError } from "@chatsdk/core";
import type { ProofRequest, RateLimitProver } from "../transport/waku-transport.ts";
import { checkCredentials, checkGroup, invalid, parseRlnCredentials, type RlnGroup } from "./group.ts";
import { checkCircuit, type RlnCircuit, RlnProver } from "./prover.ts";

export interface RlnMembershipOptions {
  /** As `parseRlnGroup` reads it from group.json: the one that the network's nodes have. */
  readonly group: RlnGroup;
  readonly circuit: RlnCircuit;
  /**
   * The content of the member's file, member-N.json, as it is. Needed once: the database keeps it, sealed with its key, and
   * gives it back at later starts, when none is given. Another one takes its place. The membership keeps a copy; the caller wipes its own.
   *
   * Never give the same to two databases, nor to one that was copied: together they would use message ids twice, and whoever sees
   * two proofs with one id can compute the member's secret.
   */
  readonly credentials?: string | Uint8Array;
}

/** What a client's core is told of a membership, see `RateLimit` in abi/proto/host.proto. 0 and empty: as the database has it. */
export interface MembershipRateLimit {
  readonly epochSeconds: number;
  readonly messagesPerEpoch: number;
  readonly credentials: Uint8Array;
}

/**
 * S1: a membership of a network with RLN, for the option `rln` of `openChat`: sets the client's rate limit and makes the proofs
 * that the network's nodes demand. Belongs to one client, which opens it and closes it, also if the client cannot be opened.
 *
 * ```ts
 * const group = parseRlnGroup(await readFile("group.json", "utf8"));
 * const circuit = { provingKey: "rln_final.zkey", witnessProgram: "rln.wasm" };
 * const rln = new RlnMembership({ group, circuit, credentials: await readFile("member-0.json") }); // later without
 * const client = await openChat({ path: "chat.db", storageKey, peers, rln });
 * ```
 */
export class RlnMembership implements RateLimitProver {
  readonly #group: RlnGroup;
  readonly #circuit: RlnCircuit;
  #given: Uint8Array;
  readonly #limit: number;
  #prover: RlnProver | undefined;
  #state: "new" | "taken" | "open" | "closed" = "new";
  #client: object | undefined;

  /**
   * Throws INVALID_ARGUMENT, naming the field, for a group that no node would take, for a circuit of which a file is not named, and for
   * credentials that are malformed or not those of a member. Whether their secret fits and the circuit is the network's is found out when the
   * client opens.
   */
  constructor(options: RlnMembershipOptions) {
    const { group, circuit, credentials } = (options ?? {}) as RlnMembershipOptions;
    this.#group = checkGroup(group);
    this.#circuit = checkCircuit(circuit);
    this.#given = bytesOf(credentials);
    this.#limit = this.#given.length === 0 ? 0 : this.#use(this.#given, ({ userMessageLimit }) => userMessageLimit);
  }

  /** For the client: what to tell its core. The copy of the credentials is the client's to wipe. No property: whoever prints those prints no secret. */
  rateLimit(): MembershipRateLimit {
    const { epochSeconds } = this.#group;
    return { epochSeconds, messagesPerEpoch: this.#limit, credentials: Uint8Array.from(this.#given) };
  }

  /** For the client, named by any object: from now on nobody else can take or release it. Throws INVALID_ARGUMENT if somebody has, and CLOSED. */
  take(client: object): void {
    if (this.#state === "taken" && this.#client === client) return;
    if (this.#state !== "new") throw this.#unusable();
    this.#state = "taken";
    this.#client = client;
  }

  /**
   * For the client that has taken it: loads the circuit, in about 2 s, for the credentials that its core has; the array stays the client's.
   * Rejects with INVALID_ARGUMENT, naming the field, if they are missing, malformed, not a member's, or if the circuit is not the network's; with
   * CLOSED after `close`.
   */
  async open(credentials: Uint8Array): Promise<void> {
    if (this.#state !== "taken") throw this.#unusable();
    this.#state = "open";
    this.#wipe();
    if (credentials.length === 0)
      throw invalid("credentials", "missing, and the database has none; give the content of member-N.json once");
    this.#prover = this.#use(credentials, (parsed) =>
      RlnProver.open({ group: this.#group, credentials: parsed, circuit: this.#circuit }),
    );
    await this.#prover.ready;
  }

  /** As `RlnProver.prove`. Rejects with INVALID_ARGUMENT before a client has opened the membership, CLOSED afterwards. */
  async prove(request: ProofRequest, options: { signal?: AbortSignal } = {}): Promise<Uint8Array> {
    if (this.#state !== "open" || !this.#prover) throw this.#unusable();
    return this.#prover.prove(request, options);
  }

  /** For a client that closes or could not be opened: as `close`, unless another client has the membership. */
  async release(client: object): Promise<void> {
    if (this.#client === undefined || this.#client === client) await this.close();
  }

  /** Ends the prover and wipes the secret. */
  async close(): Promise<void> {
    this.#state = "closed";
    this.#wipe();
    await this.#prover?.close();
  }

  #wipe(): void {
    this.#given.fill(0);
    this.#given = new Uint8Array();
  }

  /** Text cannot be wiped; the secret's bytes are. */
  #use<Result>(encoded: Uint8Array, use: (parsed: ReturnType<typeof parseRlnCredentials>) => Result): Result {
    const parsed = parseRlnCredentials(new TextDecoder().decode(encoded));
    try {
      checkCredentials(parsed, this.#group);
      return use(parsed);
    } finally {
      parsed.identitySecret.fill(0);
    }
  }

  #unusable(): ChatError {
    if (this.#state === "closed")
      return new ChatError(ErrorCode.CLOSED, "rln: the membership is closed; make a new one for each client");
    const problems = {
      new: "belongs to no client; give it to one as `rln`",
      taken: "is another client's, or not open yet; make one for each client",
      open: "is another client's; make one for each client",
    };
    return new ChatError(ErrorCode.INVALID_ARGUMENT, `rln: the membership ${problems[this.#state]}`);
  }
}

/** Empty if there are none. What is empty or anything else was meant to be credentials: those in the database must not stand in for it. */
function bytesOf(credentials: unknown): Uint8Array {
  if (credentials === undefined) return new Uint8Array();
  const bytes = typeof credentials === "string" ? new TextEncoder().encode(credentials) : credentials;
  if (!(bytes instanceof Uint8Array) || bytes.length === 0)
    throw invalid(
      "credentials",
      "must be the content of member-N.json, as text or bytes; leave them out to use those in the database",
    );
  return Uint8Array.from(bytes);
}
