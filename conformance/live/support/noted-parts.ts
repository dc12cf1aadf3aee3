import { Worker } from "node:worker_threads";
import type { HistoryRequest, ReceivedMessage, Storage, Transport, TransportListener } from "@chatsdk/client";
import type { Diary } from "./diary.ts";
import { fingerprint } from "./envelopes.ts";

/** The real storage and the real transport of a worker, with everything that passes noted. */

/** A kill by the process's own hand, at a place no other process can hit on purpose. */
export interface Death {
  /** Before the commit's first byte; while it is written; when it is durable and nothing has been released yet. */
  place: "beforeCommit" | "inCommit" | "afterCommit";
  /** Which commit from now on, from 1. */
  commit: number;
  /** For `inCommit`: when, as a part of what commits took on average so far. */
  fraction: number;
}

const FIRST_COMMIT_MS = 2;

export class NotedStorage implements Storage {
  readonly #storage: Storage;
  readonly #diary: Diary;
  #death: Death | undefined;
  #executioner: Executioner | undefined;
  #averageMs = FIRST_COMMIT_MS;

  constructor(storage: Storage, diary: Diary) {
    this.#storage = storage;
    this.#diary = diary;
  }

  die(death: Death): void {
    if (death.place === "inCommit") this.#executioner = new Executioner();
    this.#death = { ...death };
  }

  get secrets(): Storage["secrets"] {
    return this.#storage.secrets;
  }

  get messages(): Storage["messages"] {
    return this.#storage.messages;
  }

  header(): ReturnType<Storage["header"]> {
    return this.#storage.header();
  }

  setHeader(header: Parameters<Storage["setHeader"]>[0]): Promise<void> {
    return this.#storage.setHeader(header);
  }

  async commit(changes: Parameters<Storage["commit"]>[0]): Promise<void> {
    this.#diary.note({ what: "commit" });
    const place = this.#place();
    if (place === "beforeCommit") killSelf();
    if (place === "inCommit") this.#executioner?.strikeIn((this.#death?.fraction ?? 0) * this.#averageMs);
    const began = performance.now();
    await this.#storage.commit(changes);
    this.#averageMs += (performance.now() - began - this.#averageMs) / 8;
    if (place === "afterCommit") killSelf();
    this.#diary.note({ what: "committed" });
  }

  #place(): Death["place"] | undefined {
    if (!this.#death || --this.#death.commit > 0) return undefined;
    return this.#death.place;
  }

  close(): Promise<void> {
    return this.#storage.close();
  }
}

function killSelf(): void {
  process.kill(process.pid, "SIGKILL");
}

/** A thread: a commit holds up the event loop, so that nothing else of this process could strike in its middle. */
class Executioner {
  readonly #order = new Int32Array(new SharedArrayBuffer(8));

  constructor() {
    const waiting = `
      const { workerData: order } = require("node:worker_threads");
      Atomics.wait(order, 0, 0);
      const end = process.hrtime.bigint() + BigInt(order[1]) * 1000n;
      while (process.hrtime.bigint() < end);
      process.kill(process.pid, "SIGKILL");`;
    new Worker(waiting, { eval: true, workerData: this.#order }).unref();
  }

  strikeIn(ms: number): void {
    this.#order[1] = Math.round(ms * 1000);
    Atomics.store(this.#order, 0, 1);
    Atomics.notify(this.#order, 0);
  }
}

export class NotedTransport implements Transport {
  readonly #transport: Transport;
  readonly #diary: Diary;

  constructor(transport: Transport, diary: Diary) {
    this.#transport = transport;
    this.#diary = diary;
  }

  start(listener: TransportListener): Promise<void> {
    return this.#transport.start({
      onMessage: (message) => {
        this.#diary.note({ what: "arrived", from: "subscription", count: 1 });
        listener.onMessage(message);
      },
      onConnection: (online) => listener.onConnection(online),
    });
  }

  subscribe(topics: readonly string[]): Promise<void> {
    return this.#transport.subscribe(topics);
  }

  async publish(topic: string, payload: Uint8Array, options: { signal: AbortSignal }): Promise<void> {
    this.#diary.note({ what: "publish", ...fingerprint(payload), bytes: payload.length });
    let ok = false;
    try {
      await this.#transport.publish(topic, payload, options);
      ok = true;
    } finally {
      this.#diary.note({ what: "published", ok });
    }
  }

  async *queryHistory(request: HistoryRequest, options: { signal: AbortSignal }): AsyncGenerator<ReceivedMessage[]> {
    for await (const page of this.#transport.queryHistory(request, options)) {
      this.#diary.note({ what: "arrived", from: "history", count: page.length });
      yield page;
    }
  }

  stop(): Promise<void> {
    return this.#transport.stop();
  }
}
