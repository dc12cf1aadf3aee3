import { Alarm, DeadlineExceeded, sleep, withDeadline } from "./deadline.ts";
import type { Connection, Libp2p } from "./waku-libp2p.ts";
import {
  askCluster,
  Codec,
  type FilterAction,
  filterRequest,
  lightPush,
  PushRoom,
  type StoredMessage,
  type StorePage,
  type StoreQuery,
  storeHashes,
  storeMessages,
  storeQuery,
  type WakuMessage,
  WakuStatus,
} from "./waku-wire.ts";

export interface PeerSettings {
  clusterId: number;
  requestTimeoutMs: number;
  watchdogIntervalMs: number;
}

/** What a peer is to be subscribed to: content topic -> pubsub topic. */
export type Topics = ReadonlyMap<string, string>;

// go-waku and nwaku refuse more in one request.
const TOPICS_PER_REQUEST = 100;
/** A page of history may be megabytes on a slow line. */
const STORE_PATIENCE = 3;
/** go-waku's default is one filter request a second for each peer. */
const BUSY_RETRIES = 3;
const BUSY_PAUSE_MS = 1_100;
/** After a refusal the node is not asked to subscribe us for this long. */
const REFUSAL_PAUSE_MS = 10_000;
/** Of so many intervals, a node is pinged in one, also if it pushes in all. */
const MAX_UNCHECKED = 7;

/** What nodes say of themselves. libp2p asks each new connection once, by itself, and refuses to be asked for a second time meanwhile. */
export class Identities {
  readonly #protocols = new Map<string, PromiseWithResolvers<readonly string[]>>();

  constructor(libp2p: Libp2p) {
    libp2p.addEventListener("peer:identify", ({ detail }) => this.#of(detail.connection.id).resolve(detail.protocols));
    libp2p.addEventListener("connection:close", ({ detail }) => this.#protocols.delete(detail.id));
  }

  async protocols(connection: Connection): Promise<readonly string[]> {
    return this.#of(connection.id).promise;
  }

  #of(connectionId: string): PromiseWithResolvers<readonly string[]> {
    const entry = this.#protocols.get(connectionId) ?? Promise.withResolvers<readonly string[]>();
    this.#protocols.set(connectionId, entry);
    return entry;
  }
}

/**
 * One connected service node: what it can do, its filter subscription, and the watchdog that notices when either is gone.
 *
 * The watchdog sends a filter ping at each interval in which the node has pushed nothing. No answer: the connection is dead
 * (a paused node, a pulled cable, a laptop that slept; TCP alone takes minutes to tell), and is dropped. "No subscription":
 * the node forgot us, which nothing else tells; `onChange` sees the peer unsubscribed, then subscribed again, so the client
 * looks for what it missed. Now and then it pings all the same: a node ends a subscription some minutes after the last ping, however much
 * it pushes.
 */
export class WakuPeer {
  readonly canPush: boolean;
  readonly canStore: boolean;
  readonly pushRoom = new PushRoom();
  readonly #hasFilter: boolean;
  readonly #connection: Connection;
  readonly #settings: PeerSettings;
  readonly #onChange: () => void;
  readonly #closed = new AbortController();
  readonly #alarm = new Alarm();
  readonly #subscribed = new Map<string, string>();
  #wanted: Topics | undefined;
  #synced = false;
  #refusedAt = Number.NEGATIVE_INFINITY;
  /** Subscription changes and checks take turns. */
  #turn: Promise<void> = Promise.resolve();
  #heard = false;

  private constructor(
    connection: Connection,
    protocols: readonly string[],
    settings: PeerSettings,
    onChange: () => void,
  ) {
    this.#connection = connection;
    this.#settings = settings;
    this.#onChange = onChange;
    this.canPush = protocols.includes(Codec.lightPush);
    this.#hasFilter = protocols.includes(Codec.filterSubscribe);
    this.canStore = protocols.includes(Codec.store);
  }

  /** Finds out what the node at the other end offers. Throws if it is of another cluster or offers nothing. */
  static async open(
    identities: Identities,
    connection: Connection,
    settings: PeerSettings,
    onChange: () => void,
    signal: AbortSignal,
  ): Promise<WakuPeer> {
    const protocols = await withDeadline(settings.requestTimeoutMs, [signal], "identify", () =>
      identities.protocols(connection),
    );
    if (protocols.includes(Codec.metadata)) {
      const cluster = await withDeadline(settings.requestTimeoutMs, [signal], "metadata", (s) =>
        askCluster(connection, settings.clusterId, s),
      );
      if (cluster !== undefined && cluster !== 0 && cluster !== settings.clusterId)
        throw new Error(`the node serves cluster ${cluster}, not ${settings.clusterId}`);
    }
    const peer = new WakuPeer(connection, protocols, settings, onChange);
    if (!peer.canPush && !peer.#hasFilter && !peer.canStore)
      throw new Error("the node offers neither light push, filter nor store");
    return peer;
  }

  get connectionId(): string {
    return this.#connection.id;
  }

  get isOpen(): boolean {
    return !this.#closed.signal.aborted;
  }

  /** Offers to push messages, and has not refused to just now. */
  get canFilter(): boolean {
    return this.#hasFilter && performance.now() - this.#refusedAt > REFUSAL_PAUSE_MS;
  }

  /** Chosen to be subscribed. */
  get isSubscriber(): boolean {
    return this.#wanted !== undefined;
  }

  /** Subscribed to all that was asked for last. */
  get isSubscribed(): boolean {
    return this.isOpen && this.isSubscriber && this.#synced;
  }

  /** Makes the peer a subscriber of exactly these topics. Does not throw: see `isSubscribed`. */
  async subscribe(topics: Topics): Promise<void> {
    this.#wanted = topics;
    await this.#inTurn(async () => {
      if (this.#wanted !== undefined) await this.#syncTo(this.#wanted);
    });
  }

  async push(pubsubTopic: string, message: WakuMessage, signal: AbortSignal): Promise<void> {
    await this.#request("light push", 1, signal, (either) => lightPush(this.#connection, pubsubTopic, message, either));
  }

  async query(query: StoreQuery, signal: AbortSignal): Promise<StorePage<WakuMessage>> {
    return this.#askStore(signal, (either) => storeQuery(this.#connection, query, either));
  }

  async hashes(query: StoreQuery, signal: AbortSignal): Promise<StorePage<Uint8Array>> {
    return this.#askStore(signal, (either) => storeHashes(this.#connection, query, either));
  }

  async messages(hashes: Uint8Array[], signal: AbortSignal): Promise<StoredMessage[]> {
    return this.#askStore(signal, (either) => storeMessages(this.#connection, hashes, either));
  }

  #askStore<Answer>(signal: AbortSignal, ask: (either: AbortSignal) => Promise<Answer>): Promise<Answer> {
    return this.#request("store query", STORE_PATIENCE, signal, ask);
  }

  /** Runs the watchdog until the connection is gone, one way or the other. Does not throw. */
  async watch(): Promise<void> {
    let unchecked = 0;
    while (this.isOpen) {
      const suspected = await this.#alarm.wait(this.#settings.watchdogIntervalMs);
      const alive = this.#heard && !suspected && ++unchecked < MAX_UNCHECKED;
      this.#heard = false;
      if (!alive) {
        unchecked = 0;
        await this.#inTurn(() => this.#check());
      }
      // Also lets a node that refused to subscribe us be asked again.
      this.#onChange();
    }
  }

  /** The node pushed a message that we are subscribed to: proof of connection and subscription. */
  heard(): void {
    this.#heard = true;
  }

  /** Has the watchdog look now. */
  suspect(): void {
    this.#alarm.ring();
  }

  /** Drops the connection at once. */
  drop(reason: Error): void {
    if (!this.isOpen) return;
    this.#closed.abort(reason);
    this.#connection.abort(reason);
    this.#alarm.ring();
    this.#onChange();
  }

  /** Takes leave: frees the subscription, which a node keeps for minutes after its client is gone, and closes. */
  async leave(graceMs: number): Promise<void> {
    if (!this.isOpen) return;
    try {
      await withDeadline(graceMs, [this.#closed.signal], "leave", async (signal) => {
        if (this.#subscribed.size > 0) await filterRequest(this.#connection, "UNSUBSCRIBE_ALL", signal);
        await this.#connection.close({ signal });
      });
    } catch {
      // It was a courtesy.
    }
    this.drop(new Error("stopped"));
  }

  async #check(): Promise<void> {
    try {
      await this.#probe().catch((error) => {
        // A stream that was reset says little; the next one decides.
        if (error instanceof WakuStatus || error instanceof DeadlineExceeded || !this.isOpen) throw error;
        return this.#probe();
      });
    } catch (error) {
      if (!(error instanceof WakuStatus)) throw error;
      if (error.code !== 404 || this.#subscribed.size === 0) return;
      this.#subscribed.clear();
      this.#setSynced(false);
      if (this.#wanted !== undefined) await this.#syncTo(this.#wanted);
    }
  }

  async #probe(): Promise<void> {
    if (this.#hasFilter)
      await this.#timed("filter ping", (signal) => filterRequest(this.#connection, "SUBSCRIBER_PING", signal));
    else await this.#timed("metadata", (signal) => askCluster(this.#connection, this.#settings.clusterId, signal));
  }

  /** Runs the task after those before it. A refusal by the node ends the subscription, any other error the connection. */
  async #inTurn(task: () => Promise<void>): Promise<void> {
    this.#turn = this.#turn.then(async () => {
      try {
        if (this.isOpen) await task();
      } catch (error) {
        if (error instanceof WakuStatus) this.#refused();
        else this.drop(error instanceof Error ? error : new Error(String(error)));
      }
    });
    await this.#turn;
  }

  /** Brings the node's view of our subscription to what is wanted. */
  async #syncTo(wanted: Topics): Promise<void> {
    for (const [pubsubTopic, topics] of byPubsubTopic(wanted, this.#subscribed)) {
      await this.#filter("SUBSCRIBE", pubsubTopic, topics);
      for (const topic of topics) this.#subscribed.set(topic, pubsubTopic);
    }
    for (const [pubsubTopic, topics] of byPubsubTopic(this.#subscribed, wanted)) {
      await this.#filter("UNSUBSCRIBE", pubsubTopic, topics);
      for (const topic of topics) this.#subscribed.delete(topic);
    }
    this.#setSynced(true);
  }

  /** The node is alive but does not want us as a subscriber: another one may, and this one still pushes and stores. */
  #refused(): void {
    this.#refusedAt = performance.now();
    this.#wanted = undefined;
    this.#setSynced(false);
  }

  async #filter(action: FilterAction, pubsubTopic: string, topics: readonly string[]): Promise<void> {
    for (let attempt = 0; ; attempt++) {
      try {
        return await this.#timed(`filter ${action}`, (signal) =>
          filterRequest(this.#connection, action, signal, pubsubTopic, topics),
        );
      } catch (error) {
        if (!(error instanceof WakuStatus)) throw error;
        if (action === "UNSUBSCRIBE" && error.code === 404) return;
        if (!error.busy || attempt === BUSY_RETRIES) throw error;
        await sleep(BUSY_PAUSE_MS * (attempt + 1), this.#closed.signal);
      }
    }
  }

  #setSynced(synced: boolean): void {
    this.#synced = synced;
    this.#onChange();
  }

  #timed<T>(what: string, task: (signal: AbortSignal) => Promise<T>): Promise<T> {
    return withDeadline(this.#settings.requestTimeoutMs, [this.#closed.signal], what, task);
  }

  /** A request with the caller's signal. If it fails without an answer, the watchdog looks at once. */
  async #request<T>(
    what: string,
    patience: number,
    caller: AbortSignal,
    task: (signal: AbortSignal) => Promise<T>,
  ): Promise<T> {
    try {
      return await withDeadline(this.#settings.requestTimeoutMs * patience, [this.#closed.signal, caller], what, task);
    } catch (error) {
      if (!(error instanceof WakuStatus) && !caller.aborted) this.suspect();
      throw error;
    }
  }
}

/** The topics of `all` that `without` lacks, in requests of one pubsub topic and a size nodes accept. */
function* byPubsubTopic(all: Topics, without: Topics): Generator<[string, string[]]> {
  const groups = Map.groupBy(
    [...all.keys()].filter((topic) => !without.has(topic)),
    (topic) => all.get(topic) as string,
  );
  for (const [pubsubTopic, topics] of groups) {
    for (let i = 0; i < topics.length; i += TOPICS_PER_REQUEST)
      yield [pubsubTopic, topics.slice(i, i + TOPICS_PER_REQUEST)];
  }
}
