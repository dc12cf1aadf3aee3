import { create, type MessageInitShape } from "@bufbuild/protobuf";
import { type Event, EventSchema } from "@chatsdk/abi/api_pb";
import {
  ConfigSchema,
  type Input,
  OutcomeSchema,
  ReadSchema,
  type Outcome,
  type VaultHeader,
} from "@chatsdk/abi/host_pb";
import { Core, Entropy, nobleCrypto, type Steps, Vault } from "@chatsdk/core";
import type { Clock } from "../../src/client/clock.ts";
import { Engine, type EngineParts } from "../../src/client/engine.ts";
import type { Logger } from "../../src/client/logger.ts";
import { MemoryStorage } from "../../src/storage/memory-storage.ts";
import type { Storage } from "../../src/storage/storage.ts";
import type { HistoryRequest, ReceivedMessage, Transport, TransportListener } from "../../src/transport/transport.ts";

/** Everything that is due now has happened. */
export const settled = (): Promise<void> => new Promise((resolve) => setImmediate(resolve));

let count = 0;
/** 32 bytes, other ones at each call, the same in each run. */
export const entropy = (): Uint8Array => nobleCrypto.sha256(new TextEncoder().encode(`entropy ${++count}`));

/** Time that passes when told to. */
export class TestClock implements Clock {
  #now = Date.UTC(2026, 0, 1);
  readonly #tasks = new Set<{ atMs: number; task: () => void }>();

  now(): number {
    return this.#now;
  }

  at(atMs: number, task: () => void): () => void {
    const entry = { atMs, task };
    this.#tasks.add(entry);
    return () => this.#tasks.delete(entry);
  }

  get waiting(): number[] {
    return [...this.#tasks].map(({ atMs }) => atMs - this.#now).sort((a, b) => a - b);
  }

  async pass(ms: number): Promise<void> {
    const end = this.#now + ms;
    for (;;) {
      await settled();
      const [next] = [...this.#tasks].filter(({ atMs }) => atMs <= end).sort((a, b) => a.atMs - b.atMs);
      if (!next) break;
      this.#tasks.delete(next);
      this.#now = Math.max(this.#now, next.atMs);
      next.task();
    }
    this.#now = end;
    await settled();
  }
}

/** What the node of a test keeps, and who hears of it. */
export class TestNetwork {
  readonly published: ReceivedMessage[] = [];
  readonly members = new Set<TestTransport>();
  up = true;

  set reachable(is: boolean) {
    this.up = is;
    for (const { listener } of this.members) listener?.onConnection(is);
  }
}

/** A transport to a test's network. Each method can be replaced. */
export class TestTransport implements Transport {
  readonly network: TestNetwork;
  listener: TransportListener | undefined;
  topics: readonly string[] = [];
  stopped = false;
  /** What was asked of it, in order. */
  readonly calls: string[] = [];

  constructor(network = new TestNetwork()) {
    this.network = network;
  }

  async start(listener: TransportListener): Promise<void> {
    this.calls.push("start");
    this.listener = listener;
    this.network.members.add(this);
    // A network may be there at once.
    if (this.network.up) listener.onConnection(true);
  }

  async subscribe(topics: readonly string[]): Promise<void> {
    this.calls.push("subscribe");
    this.topics = topics;
  }

  async publish(topic: string, payload: Uint8Array, _options?: { signal: AbortSignal }): Promise<void> {
    this.calls.push("publish");
    if (!this.network.up) throw new Error("no node is connected");
    const message = { topic, payload };
    this.network.published.push(message);
    for (const { topics, listener } of this.network.members) if (topics.includes(topic)) listener?.onMessage(message);
  }

  async *queryHistory(
    { topics }: HistoryRequest,
    _options?: { signal: AbortSignal },
  ): AsyncGenerator<ReceivedMessage[]> {
    this.calls.push("queryHistory");
    if (!this.network.up) throw new Error("no node is connected");
    const page = this.network.published.filter(({ topic }) => topics.includes(topic));
    if (page.length > 0) yield page;
  }

  async stop(): Promise<void> {
    this.calls.push("stop");
    this.stopped = true;
    this.listener = undefined;
    this.network.members.delete(this);
  }
}

/** A storage in memory with a door in front of its commits. */
export class GuardedStorage implements Storage {
  readonly inner: Storage;
  commits = 0;
  closed = false;
  /** Runs before each commit; throws to have it fail. */
  guard: () => void | Promise<void> = () => {};

  constructor(inner: Storage = new MemoryStorage()) {
    this.inner = inner;
  }

  get secrets(): Storage["secrets"] {
    return this.inner.secrets;
  }

  get messages(): Storage["messages"] {
    return this.inner.messages;
  }

  header(): Promise<VaultHeader | undefined> {
    return this.inner.header();
  }

  setHeader(header: VaultHeader): Promise<void> {
    return this.inner.setHeader(header);
  }

  async commit(changes: Parameters<Storage["commit"]>[0]): Promise<void> {
    await this.guard();
    await this.inner.commit(changes);
    this.commits++;
  }

  async close(): Promise<void> {
    this.closed = true;
  }
}

export class TestLogger implements Logger {
  readonly warnings: string[] = [];
  readonly lines: string[] = [];
  debug = (line: string): void => void this.lines.push(line);
  info = (line: string): void => void this.lines.push(line);
  warn = (line: string): void => void this.warnings.push(line);
}

type OutcomeInit = MessageInitShape<typeof OutcomeSchema>;

/** A core whose outcomes a test writes. */
export class ScriptedCore extends Core {
  readonly inputs: Input[] = [];
  failures = 0;
  /** Keys it reads in each step. */
  reads: string[] = [];
  script: (input: Input) => OutcomeInit = () => ({});
  /** For results of publications, which would else bring new ones. */
  resultScript: (input: Input) => OutcomeInit = () => ({});

  constructor() {
    const derivation = {
      $typeName: "chatsdk.v1.KeyDerivation" as const,
      derivation: { case: "unprotected" as const, value: { $typeName: "chatsdk.v1.Unprotected" as const } },
    };
    const key = new Uint8Array(32);
    const header = Vault.create(nobleCrypto, derivation, key, new Entropy(nobleCrypto, entropy()));
    super(nobleCrypto, create(ConfigSchema, { clusterId: 42 }), Vault.open(nobleCrypto, header, key));
  }

  override *step(input: Input): Steps<Outcome> {
    this.inputs.push(input);
    for (const key of this.reads) yield create(ReadSchema, { read: { case: "get", value: key } });
    return create(OutcomeSchema, input.input.case === "publishResult" ? this.resultScript(input) : this.script(input));
  }

  override commitFailed(): void {
    this.failures++;
    super.commitFailed();
  }

  /** The kinds of its inputs so far. */
  get kinds(): (string | undefined)[] {
    return this.inputs.map(({ input }) => input.case);
  }
}

/** An engine around a scripted core, all its parts a test's own. */
export function newEngine(parts: Partial<EngineParts> = {}) {
  const core = new ScriptedCore();
  const storage = new GuardedStorage();
  const transport = new TestTransport();
  const clock = new TestClock();
  const logger = new TestLogger();
  const events: Event[] = [];
  const engine = new Engine({
    core,
    storage,
    transport,
    clock,
    entropy,
    anchor: undefined,
    databaseId: "00".repeat(16),
    logger,
    onEvent: (event) => events.push(event),
    ...parts,
  });
  return { engine, core, storage, transport, clock, logger, events };
}

// Pieces of outcomes.

export const done: OutcomeInit["reply"] = { reply: { case: "done", value: {} } };
export const failure = (code: number, message = "no"): OutcomeInit["reply"] => ({
  reply: { case: "failure", value: { code, message } },
});
/** Something to commit. */
export const change = (key = "k"): NonNullable<OutcomeInit["changes"]>[number] => ({
  change: { case: "put", value: { key, value: Uint8Array.of(1) } },
});
export const publish = (publishId = "p"): NonNullable<OutcomeInit["effects"]>[number] => ({
  effect: { case: "publish", value: { publishId, topic: "/a/1/b/proto", payload: Uint8Array.of(1) } },
});
export const wakeAt = (ms: number): NonNullable<OutcomeInit["effects"]>[number] => ({
  effect: { case: "wakeAtMs", value: BigInt(ms) },
});
export const query = (queryId = "q"): NonNullable<OutcomeInit["effects"]>[number] => ({
  effect: { case: "queryHistory", value: { queryId, topics: ["/a/1/b/proto"], startMs: 0n, endMs: 1n } },
});
export const event = (number: number): Event =>
  create(EventSchema, { eventNumber: BigInt(number), event: { case: "inviteReused", value: { inviteId: "i" } } });
