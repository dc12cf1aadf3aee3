import { create, type MessageInitShape } from "@bufbuild/protobuf";
import type { Event } from "@chatsdk/abi/api_pb";
import { ErrorCode } from "@chatsdk/abi/errors_pb";
import {
  type Effect,
  InputSchema,
  LogLevel,
  type Outcome,
  type Publish,
  type QueryHistory,
  type Read,
  type Reply,
  type StartSchema,
} from "@chatsdk/abi/host_pb";
import { type Answer, ChatError, type Core, type Steps } from "@chatsdk/core";
import type { RollbackAnchor } from "../storage/rollback-anchor.ts";
import type { Storage } from "../storage/storage.ts";
import type { Transport } from "../transport/transport.ts";
import type { Clock } from "./clock.ts";
import type { Logger } from "./logger.ts";

export type InputValue = NonNullable<MessageInitShape<typeof InputSchema>["input"]>;

export interface EngineParts {
  core: Core;
  storage: Storage;
  transport: Transport;
  clock: Clock;
  /** 32 fresh random bytes at each call. */
  entropy: () => Uint8Array;
  anchor: RollbackAnchor | undefined;
  databaseId: string;
  logger: Logger;
  onEvent: (event: Event) => void;
}

/** What the core replied; `undefined` to an input of the host. Failures are thrown. */
type Answered = NonNullable<Reply["reply"]> | undefined;

interface Job {
  input: InputValue;
  signal: AbortSignal | undefined;
  settle: (answer: Answered) => void;
  fail: (error: unknown) => void;
}

/** After an input of the host that could not be committed. */
const RETRY_MS = 5_000;
/** How long `close` waits for messages on their way to a node; what is not taken by then is sent at the next start. */
const CLOSE_GRACE_MS = 3_000;

/**
 * Drives a core: one input at a time, its reads answered from the storage, its changes committed before anything leaves. If
 * the commit fails nothing leaves: a call rejects; an envelope is dropped and comes back with the history, since nobody was told
 * that it arrived.
 */
export class Engine {
  readonly #parts: EngineParts;
  readonly #jobs: Job[] = [];
  readonly #closing = new AbortController();
  readonly #publishing = new Set<Promise<void>>();
  readonly #underway = new Set<Promise<void>>();
  /** What only the host knows and the core has not taken in: the newest input of each kind. */
  readonly #untaken = new Map<string, InputValue>();
  /** Those of them that failed: takes back that they are fed again. */
  readonly #retries = new Map<string, () => void>();
  #running: Promise<void> | undefined;
  #state: "new" | "open" | "closing" = "new";
  #cancelWake: () => void = () => {};

  constructor(parts: EngineParts) {
    this.#parts = parts;
  }

  /** The first input; what was fed before waits behind it. Rejects with its failure: the engine is of no use then, and to be closed. */
  async start(value: MessageInitShape<typeof StartSchema>): Promise<void> {
    const input: InputValue = { case: "start", value };
    await new Promise<Answered>((settle, reject) => {
      const fail = (error: unknown): void => {
        // Before what waits is served.
        this.#end();
        reject(error);
      };
      this.#jobs.unshift({ input, signal: undefined, settle, fail });
      this.#state = "open";
      this.#work();
    });
  }

  /** A call of the application. Rejects with the call's failure. */
  async call(input: InputValue, signal?: AbortSignal): Promise<NonNullable<Reply["reply"]>> {
    const answer = await this.#take(input, signal);
    if (!answer) throw new ChatError(ErrorCode.INTERNAL, "the core gave no reply; report this");
    return answer;
  }

  /** An input of the host. Its failure is logged: there is nobody to tell. What nobody tells again is fed again until it is taken in. */
  feed(input: InputValue): void {
    const key = keyOfUnique(input);
    if (key !== undefined) {
      this.#forgetRetry(key);
      this.#untaken.set(key, input);
    }
    // A newer one may have taken its place meanwhile.
    const isNewest = (): boolean => key !== undefined && this.#untaken.get(key) === input;
    this.#take(input).then(
      () => {
        if (isNewest()) this.#untaken.delete(key!);
      },
      (error: unknown) => {
        if (this.#state === "closing") return;
        this.#parts.logger.warn(`${input.case}: not taken in: ${messageOf(error)}`);
        const { clock } = this.#parts;
        const retryMs = clock.now() + RETRY_MS;
        if (input.case === "wake") this.#setWake(retryMs);
        else if (isNewest())
          this.#retries.set(
            key!,
            clock.at(retryMs, () => this.feed(input)),
          );
      },
    );
  }

  #forgetRetry(key: string): void {
    this.#retries.get(key)?.();
    this.#retries.delete(key);
  }

  /** Runs a part of the core that only reads. */
  async read<Result>(steps: Steps<Result>): Promise<Result> {
    let next = steps.next();
    while (!next.done) next = steps.next(await this.#answer(next.value));
    return next.value;
  }

  /** Finishes the calls taken and, within the grace, what is being published; then ends what is under way on the network. */
  async close(): Promise<void> {
    this.#state = "closing";
    // Once more: there is no later.
    for (const key of [...this.#retries.keys()]) this.feed(this.#untaken.get(key)!);
    const grace = AbortSignal.timeout(CLOSE_GRACE_MS);
    while (this.#running || (this.#publishing.size > 0 && !grace.aborted)) {
      await (this.#running ?? Promise.race([Promise.all(this.#publishing), aborted(grace)]));
    }
    this.#end();
    await Promise.all([...this.#underway, ...this.#publishing]);
    await this.#running;
  }

  /** Takes in nothing more. */
  #end(): void {
    this.#state = "closing";
    this.#closing.abort();
    this.#cancelWake();
    for (const cancel of this.#retries.values()) cancel();
    for (const job of this.#jobs.splice(0)) job.fail(closed());
  }

  #take(input: InputValue, signal?: AbortSignal): Promise<Answered> {
    return new Promise((settle, fail) => {
      // While closing, only what comes of earlier work: the rest is told again at the next start.
      const refused = this.#state === "closing" && input.case !== "publishResult" && input.case !== "acknowledgeEvents";
      if (refused || this.#closing.signal.aborted) return fail(closed());
      this.#jobs.push({ input, signal, settle, fail });
      this.#work();
    });
  }

  #work(): void {
    if (this.#state !== "new") this.#running ??= this.#run();
  }

  async #run(): Promise<void> {
    // The promise is known to all before the first job can end.
    await undefined;
    for (let job = this.#jobs.shift(); job; job = this.#jobs.shift()) {
      if (job.signal?.aborted) {
        job.fail(
          new ChatError(ErrorCode.ABORTED, "the call was aborted before it began", { cause: job.signal.reason }),
        );
        continue;
      }
      try {
        const answer = (await this.#serve(job.input))?.reply;
        if (answer?.case === "failure")
          job.fail(new ChatError(answer.value.code, answer.value.message, { retryable: answer.value.retryable }));
        else job.settle(answer);
      } catch (error) {
        job.fail(
          error instanceof ChatError
            ? error
            : new ChatError(ErrorCode.INTERNAL, "a defect of the SDK; report this", { cause: error }),
        );
      }
    }
    this.#running = undefined;
  }

  async #serve(value: InputValue): Promise<Reply | undefined> {
    const { core, storage, clock, entropy, onEvent } = this.#parts;
    const input = create(InputSchema, { nowMs: BigInt(clock.now()), entropy: entropy(), input: value });
    let outcome: Outcome;
    try {
      outcome = await this.read(core.step(input));
      if (outcome.changes.length > 0) await storage.commit(outcome.changes);
    } catch (error) {
      core.commitFailed();
      throw error;
    }
    if (outcome.changes.length > 0) await this.#writeAnchor(value);
    for (const { effect } of outcome.effects) this.#perform(effect);
    for (const event of outcome.events) onEvent(event);
    return outcome.reply;
  }

  /** What is durable stays so: without the anchor only the detection of old copies suffers. */
  async #writeAnchor(input: InputValue): Promise<void> {
    const { core, anchor, databaseId, logger } = this.#parts;
    try {
      await anchor?.write(databaseId, core.generation);
      // From now on every other copy is an old one, also if this process ends at once.
      if (input.case === "start" && input.value.rolledBack) await anchor?.flush?.();
    } catch (error) {
      logger.warn(`rollback anchor: ${messageOf(error)}`);
    }
  }

  async #answer({ read }: Read): Promise<Answer> {
    const { secrets } = this.#parts.storage;
    switch (read.case) {
      case "get": {
        const value = await secrets.get(read.value);
        return value ? [{ key: read.value, value }] : [];
      }
      case "findTag": {
        const record = await secrets.findTag(read.value);
        return record ? [record] : [];
      }
      case "scan":
        return secrets.scan(read.value.prefix, read.value.limit);
      case undefined:
        throw new ChatError(ErrorCode.INTERNAL, "the core read nothing; report this");
    }
  }

  #perform(effect: Effect["effect"]): void {
    switch (effect.case) {
      case "publish":
        this.#inBackground(this.#publish(effect.value), this.#publishing);
        break;
      case "subscribe":
        this.#inBackground(this.#subscribe(effect.value.topics));
        break;
      case "queryHistory":
        this.#inBackground(this.#queryHistory(effect.value));
        break;
      case "wakeAtMs":
        this.#setWake(Number(effect.value));
        break;
      case "log":
        this.#log(effect.value.level, effect.value.message);
        break;
    }
  }

  #inBackground(work: Promise<void>, group = this.#underway): void {
    const tracked = work.finally(() => group.delete(tracked));
    group.add(tracked);
  }

  async #publish({ publishId, topic, payload, slot }: Publish): Promise<void> {
    const { transport, logger } = this.#parts;
    let result = { publishId, ok: true, reason: "" };
    try {
      await transport.publish(topic, payload, { signal: this.#closing.signal, ...(slot && { slot }) });
    } catch (error) {
      result = { publishId, ok: false, reason: messageOf(error) };
      // A node that will not take it later either: only a person can mend that.
      const final =
        error instanceof ChatError &&
        error.code === ErrorCode.TRANSPORT_FAILED &&
        !error.retryable &&
        !this.#closing.signal.aborted;
      logger[final ? "warn" : "debug"](`publish: ${result.reason}`);
    }
    this.feed({ case: "publishResult", value: result });
  }

  async #subscribe(topics: string[]): Promise<void> {
    try {
      await this.#parts.transport.subscribe(topics);
    } catch (error) {
      this.#parts.logger.warn(`subscribe: ${messageOf(error)}`);
    }
  }

  async #queryHistory({ queryId, topics, startMs, endMs, missedOnly }: QueryHistory): Promise<void> {
    const request = { topics, startMs: Number(startMs), endMs: Number(endMs), missedOnly };
    let failed = false;
    try {
      for await (const page of this.#parts.transport.queryHistory(request, { signal: this.#closing.signal })) {
        // Taken in before the next page is asked for: a long absence must not fill the memory.
        await this.#take({ case: "historyPage", value: { queryId, envelopes: page, more: true } });
      }
    } catch (error) {
      failed = true;
      this.#parts.logger.debug(`history: ${messageOf(error)}`);
    }
    this.feed({ case: "historyPage", value: { queryId, failed } });
  }

  #setWake(atMs: number): void {
    this.#cancelWake();
    this.#cancelWake = atMs === 0 ? () => {} : this.#parts.clock.at(atMs, () => this.feed({ case: "wake", value: {} }));
  }

  #log(level: LogLevel, message: string): void {
    const { logger } = this.#parts;
    if (level === LogLevel.WARN) logger.warn(message);
    else if (level === LogLevel.INFO) logger.info(message);
    else logger.debug(message);
  }
}

/** Names what an input is about if nobody tells it again. The rest comes by itself: envelopes with the history, history when it is asked for again. */
function keyOfUnique(input: InputValue): string | undefined {
  switch (input.case) {
    case "publishResult":
      return `${input.case} ${input.value.publishId}`;
    case "connectionChanged":
    case "acknowledgeEvents":
      return input.case;
    default:
      return undefined;
  }
}

function aborted(signal: AbortSignal): Promise<void> {
  return new Promise((resolve) => {
    if (signal.aborted) resolve();
    else signal.addEventListener("abort", () => resolve(), { once: true });
  });
}

function closed(): ChatError {
  return new ChatError(ErrorCode.CLOSED, "the client is closed; open a new one");
}

export function messageOf(error: unknown): string {
  return error instanceof Error ? error.message : String(error);
}
