import { mkdtempSync, rmSync } from "node:fs";
import { loadavg, tmpdir } from "node:os";
import { join } from "node:path";
import { setTimeout as pause } from "node:timers/promises";
import { AgentPool } from "@chatsdk/conformance/agent-pool";
import { seededRandom } from "@chatsdk/conformance/random";
import type { Language } from "../../conformance/agent/agent-process.ts";
import { EPOCH_MS } from "../shard/quota.ts";
import { MEETING_MS, STARTING_MS, WARM_UP_MS, writingOf } from "../src/habits.ts";
import { RealClient, type Use } from "./client.ts";
import type { LinkBytes } from "./link.ts";
import { type ServiceNode, startServiceNode } from "./network.ts";
import { type Published, published, storedByNode } from "./published.ts";

export interface RealOptions {
  /** Even. */
  clients: number;
  /** Measured, after the warm-up. */
  minutes: number;
  /** Each client's. */
  perMinute: number;
  seed: number;
  language: Language;
  rln: boolean;
  /** Links are watched for so long before anybody writes. */
  idleMs: number;
  /** From the first meeting to the measured time. */
  warmUpMs: number;
  /** What was written is confirmed so long after the writing ended, or counted as unconfirmed. */
  confirmedWithinMs: number;
  onProgress(line: string): void;
}

/** As in the simulation, whose clients start within the first part of the warm-up. */
export const REAL_WARM_UP_MS = WARM_UP_MS - STARTING_MS;
const STARTS_AT_ONCE = 4;
/** Epochs renew a quota: with RLN the whole run is within one, with room for a slow start of the clients. */
const START_ALLOWANCE_MS = 1_000;
const END_ALLOWANCE_MS = 30_000;

export interface RealMeasurements {
  windowMs: number;
  /** Begin and end of the measured time, Unix milliseconds. */
  window: [startMs: number, endMs: number];
  /** Everything on the shard, from the first meeting to the end. */
  published: Published[];
  /** Written in the measured time, and in all. */
  written: number;
  writtenInAll: number;
  /** Of what was confirmed in the measured time, whenever it was written; and of what was shown to the peer in it. */
  confirmedAfterMs: number[];
  receivedAfterMs: number[];
  unconfirmed: number;
  lost: number;
  failed: number;
  /** All links together: before anybody wrote, and in the measured time. */
  idle: { bytes: LinkBytes; ms: number };
  link: LinkBytes;
  connections: number;
  /** Delivery address and time of opening of each client. */
  clients: { topic: string; openedAtMs: number }[];
  /** Slots that each client used in its one epoch; empty without RLN. */
  uses: Use[];
  stored: { messages: number; bytes: number };
  complaints: string[];
  residentBytes: number[];
  load: [before: number, after: number];
}

/** Real clients in pairs write to each other through a real service node, as the simulation's users do. */
export async function measure(options: RealOptions): Promise<RealMeasurements> {
  const folder = mkdtempSync(join(tmpdir(), "chatsdk-real-"));
  const pool = new AgentPool(join(folder, "state"), { rln: options.rln });
  let service: ServiceNode | undefined;
  const clients: RealClient[] = [];
  try {
    if (options.rln) await roomInEpoch(options);
    service = await startServiceNode(folder, options.clients, options.rln);
    await startClients(options, service, pool, folder, clients);
    return await new Run(options, service, clients).measure();
  } finally {
    await Promise.all(clients.map((client) => client.close()));
    await service?.node.stop();
    rmSync(folder, { recursive: true, force: true });
  }
}

async function roomInEpoch({ clients, minutes, idleMs, warmUpMs, onProgress }: RealOptions): Promise<void> {
  const neededMs = START_ALLOWANCE_MS * clients + idleMs + warmUpMs + minutes * 60_000 + END_ALLOWANCE_MS;
  if (neededMs > EPOCH_MS) throw new Error("--minutes: with RLN the whole run must fit into one epoch of 600 s");
  const leftMs = EPOCH_MS - (Date.now() % EPOCH_MS);
  if (leftMs >= neededMs) return;
  onProgress(`waiting ${Math.round(leftMs / 1000)} s for the next epoch`);
  await pause(leftMs);
}

async function startClients(
  { clients: count, language, onProgress }: RealOptions,
  { node, membership }: ServiceNode,
  pool: AgentPool,
  folder: string,
  clients: RealClient[],
): Promise<void> {
  const numbers = Array.from({ length: count }, (_, number) => number);
  const startNext = async (): Promise<void> => {
    for (let number = numbers.shift(); number !== undefined; number = numbers.shift()) {
      const rln = membership(number);
      clients.push(await RealClient.start({ number, language, pool, node, folder, ...(rln && { rln }) }));
    }
  };
  const begunMs = performance.now();
  await Promise.all(Array.from({ length: STARTS_AT_ONCE }, startNext));
  clients.sort((a, b) => a.number - b.number);
  onProgress(`${count} clients are online after ${((performance.now() - begunMs) / 1000).toFixed(0)} s`);
}

class Run {
  readonly #options: RealOptions;
  readonly #service: ServiceNode;
  readonly #clients: readonly RealClient[];
  readonly #timers = new AbortController();
  #failure: unknown;

  constructor(options: RealOptions, service: ServiceNode, clients: readonly RealClient[]) {
    this.#options = options;
    this.#service = service;
    this.#clients = clients;
  }

  async measure(): Promise<RealMeasurements> {
    const { idleMs, warmUpMs, minutes, onProgress } = this.#options;
    const windowMs = minutes * 60_000;
    const idle = await this.#during(idleMs);
    this.#act();
    await this.#pause(warmUpMs);
    onProgress("measuring");
    const load = loadavg()[0]!;
    const startMs = Date.now();
    const link = await this.#during(windowMs);
    const endMs = Date.now();
    this.#timers.abort();
    onProgress("measured; waiting until everything is confirmed");
    await this.#untilConfirmed();
    const uses = await this.#uses();
    const residentBytes = await Promise.all(this.#clients.map((client) => client.residentBytes()));
    await Promise.all(this.#clients.map((client) => client.close()));
    const { node, file, complaints } = this.#service;
    const topics = this.#clients.map(({ topic }) => topic);
    const all = await published(node.websocket, topics);
    await node.stop();
    const written = this.#clients.flatMap((client, number) => {
      const peer = this.#clients[number ^ 1]!;
      return client.written.map(({ messageId, atMs }) => ({
        atMs,
        confirmedMs: client.deliveredMs.get(messageId),
        receivedMs: peer.receivedMs.get(messageId),
      }));
    });
    const isMeasured = (ms: number | undefined): ms is number => ms !== undefined && ms >= startMs && ms < endMs;
    const sum = (of: (client: RealClient) => number): number => this.#clients.reduce((all, one) => all + of(one), 0);
    return {
      windowMs: endMs - startMs,
      window: [startMs, endMs],
      published: all,
      uses,
      residentBytes,
      written: written.filter(({ atMs }) => isMeasured(atMs)).length,
      writtenInAll: written.length,
      confirmedAfterMs: written.flatMap(({ atMs, confirmedMs }) =>
        isMeasured(confirmedMs) ? [confirmedMs - atMs] : [],
      ),
      receivedAfterMs: written.flatMap(({ atMs, receivedMs }) => (isMeasured(receivedMs) ? [receivedMs - atMs] : [])),
      unconfirmed: written.filter(({ confirmedMs }) => confirmedMs === undefined).length,
      lost: sum(({ lost }) => lost.length),
      failed: sum(({ failed }) => failed.length),
      idle: { bytes: idle, ms: idleMs },
      link,
      connections: sum(({ link: { connections } }) => connections),
      clients: this.#clients.map(({ topic, openedAtMs }) => ({ topic, openedAtMs })),
      stored: storedByNode(file),
      complaints,
      load: [load, loadavg()[0]!],
    };
  }

  /** Of the epoch in which all clients were opened. */
  async #uses(): Promise<Use[]> {
    const uses = (await Promise.all(this.#clients.map((client) => client.use()))).filter((use) => use !== undefined);
    const epochs = new Set(
      [Date.now(), ...this.#clients.map(({ openedAtMs }) => openedAtMs)].map((ms) => Math.floor(ms / EPOCH_MS)),
    );
    if (uses.length > 0 && epochs.size > 1)
      throw new Error("the run took longer than its epoch: try again, or with fewer --minutes");
    return uses;
  }

  /** What the links carry in such a time. */
  async #during(ms: number): Promise<LinkBytes> {
    const before = this.#linkBytes;
    await this.#pause(ms);
    const { up, down } = this.#linkBytes;
    return { up: up - before.up, down: down - before.down };
  }

  get #linkBytes(): LinkBytes {
    const all = this.#clients.map(({ link }) => link.bytes);
    return { up: all.reduce((sum, { up }) => sum + up, 0), down: all.reduce((sum, { down }) => sum + down, 0) };
  }

  async #pause(ms: number): Promise<void> {
    await pause(ms);
    if (this.#failure !== undefined) throw this.#failure;
  }

  /** From now on the pairs meet, and then everybody writes when the simulation's users would. */
  #act(): void {
    const { seed, perMinute } = this.#options;
    const random = seededRandom(seed);
    const beginMs = performance.now();
    for (let i = 0; i + 1 < this.#clients.length; i += 2) {
      const [one, other] = [this.#clients[i]!, this.#clients[i + 1]!];
      this.#at(beginMs + random() * MEETING_MS, () => one.meet(other));
    }
    for (const client of this.#clients) {
      const nextMs = writingOf(seed, client.number, perMinute);
      // From one planned time to the next, so that a late one delays no other.
      const writeAt = (dueMs: number): void =>
        this.#at(dueMs, () => {
          writeAt(dueMs + nextMs());
          return client.write();
        });
      writeAt(beginMs + MEETING_MS + nextMs());
    }
  }

  #at(dueMs: number, act: () => Promise<void>): void {
    const { signal } = this.#timers;
    pause(dueMs - performance.now(), undefined, { signal })
      .then(act)
      .catch((error: unknown) => {
        if (!(error instanceof Error && error.name === "AbortError")) this.#failure ??= error;
      });
  }

  async #untilConfirmed(): Promise<void> {
    const end = performance.now() + this.#options.confirmedWithinMs;
    while (!this.#clients.every((client) => client.isConfirmed) && performance.now() < end) await this.#pause(200);
  }
}
