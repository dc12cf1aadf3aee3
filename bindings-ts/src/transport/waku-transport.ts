import { ErrorCode } from "@chatsdk/abi/errors_pb";
import { ChatError } from "@chatsdk/core";
import { type Multiaddr, multiaddr } from "@multiformats/multiaddr";
import { enrTree } from "@waku/discovery";
import { proto_message } from "@waku/proto";
import { utils } from "@waku/sdk";
import { backoff, Slots, sleep, withDeadline } from "./deadline.ts";
import { Timestamps } from "./timestamps.ts";
import type {
  HistoryRequest,
  PublishOptions,
  RateSlot,
  ReceivedMessage,
  Transport,
  TransportListener,
} from "./transport.ts";
import { history, messageHash, type TopicGroup } from "./waku-history.ts";
import { type Connection, createNode, type Discovery, type Libp2p, MAX_PUSH_STREAMS } from "./waku-libp2p.ts";
import { Identities, WakuPeer } from "./waku-peer.ts";
import { answerCluster, Codec, receivePushes, type WakuMessage, WakuStatus } from "./waku-wire.ts";

export interface WakuTransportOptions {
  /** The network: cluster id and number of shards, the same for all who talk to each other. */
  clusterId: number;
  shardCount: number;
  /** Websocket multiaddrs of service nodes, such as "/dns4/node.example/tcp/8000/wss/p2p/16Uiu2...". */
  peers?: readonly string[];
  /**
   * Finds further service nodes: `dns` in the lists of the public Waku networks (true) or in those at the given
   * "enrtree://" URLs, `peerExchange` by asking connected nodes. Both are on if `peers` is empty, and off otherwise.
   */
  discovery?: { dns?: boolean | readonly string[]; peerExchange?: boolean };
  /** Connections kept at a time. Default 3. */
  maxPeers?: number;
  /** How many of these are subscribed: a second one covers for a first that forgets us, at twice the traffic. Default 2. */
  filterPeers?: number;
  /** How long one `publish` may take once its turn has come. Default 10,000. */
  publishTimeoutMs?: number;
  /** Messages on their way to a node at a time; others wait in line. Default 16. */
  publishConcurrency?: number;
  /** How long a node may take for one answer; three times as long for a page of history. Default 4,000. */
  requestTimeoutMs?: number;
  /** Messages asked for in one page of history; nodes give 100 at most. Default 100. */
  historyPageSize?: number;
  /**
   * A connection is checked this often, unless messages come in. Default 8,000: one that died in silence is noticed within this
   * plus `requestTimeoutMs`, and sooner if something is published; one that was closed at once. A check costs 0.4 KB.
   */
  watchdogIntervalMs?: number;
  /** Pauses between attempts to connect to a node: from `reconnectMinMs` (default 250), doubling, to `reconnectMaxMs` (default 15,000). */
  reconnectMinMs?: number;
  reconnectMaxMs?: number;
  /** Makes the proofs of a network with RLN. Without one messages carry no proof, also if the client has a rate limit. */
  prover?: RateLimitProver;
}

/** Makes the proof that a message is one of the membership's allowed ones (RLN). */
export interface RateLimitProver {
  /** An encoded RateLimitProof, as it travels in field 21 of a WakuMessage. */
  prove(request: ProofRequest, options: { signal: AbortSignal }): Promise<Uint8Array>;
}

/** What a proof is made for. */
export interface ProofRequest extends RateSlot {
  topic: string;
  payload: Uint8Array;
  /** Of the WakuMessage, Unix time in nanoseconds. */
  timestampNs: bigint;
}

const DIAL_TIMEOUT_MS = 10_000;
/** Not connected by then is reported as being offline, even if an attempt is still under way. */
const FIRST_REPORT_MS = 3_000;
const LEAVE_GRACE_MS = 500;
const HISTORY_ROUNDS = 4;
const HISTORY_PAUSE_MS = 250;
/** The history of 7 minutes of a bucket with 10,000 users in 16 must find them here. */
const PUSHED_MESSAGES = 32_768;
const MAX_CANDIDATES = 200;

interface Node {
  libp2p: Libp2p;
  identities: Identities;
}

/** A service node we know of. */
interface Candidate {
  /** The peer id, or the address if that names none. */
  key: string;
  addresses: Multiaddr[];
  configured: boolean;
  busy: boolean;
  failures: number;
  nextAttempt: number;
}

/**
 * The Waku network through service nodes: light push, filter and store over websockets, for Node and browsers.
 *
 * js-waku gives the libp2p node, the message codecs, sharding and message hashes. Its node on top (`createLightNode`) is not
 * started, and its `LightPush`, `Filter` and `Store` are not used: see waku-wire.ts for why. Its connection manager waits 60
 * seconds after a failed dial, pings every five minutes, and cannot tell a subscription from a connection.
 */
export class WakuTransport implements Transport {
  readonly #options: Required<Omit<WakuTransportOptions, "prover">> & Pick<WakuTransportOptions, "prover">;
  readonly #candidates = new Map<string, Candidate>();
  readonly #peers = new Set<WakuPeer>();
  readonly #slots: Slots;
  /** One proof at a time: it keeps a core busy, and the timestamp in it must be fresh when it leaves. */
  readonly #proving = new Slots(1);
  readonly #stopping = new AbortController();
  /** Timestamps of the messages given to the listener, by hash, oldest first. */
  readonly #pushed = new Map<string, bigint>();
  readonly #timestamps = new Timestamps();
  #listener: TransportListener | undefined;
  #starting: Promise<Node> | undefined;
  #node: Node | undefined;
  #stop: Promise<void> | undefined;
  #topics: ReadonlyMap<string, string> = new Map();
  #online: boolean | undefined;
  /** An attempt to connect has ended, so that "offline" is news. */
  #attempted = false;
  #firstReport: ReturnType<typeof setTimeout> | undefined;
  #retryTimer: ReturnType<typeof setTimeout> | undefined;

  constructor(options: WakuTransportOptions) {
    const alone = (options.peers ?? []).length === 0;
    this.#options = {
      peers: [],
      maxPeers: 3,
      filterPeers: 2,
      publishTimeoutMs: 10_000,
      publishConcurrency: 16,
      requestTimeoutMs: 4_000,
      historyPageSize: 100,
      watchdogIntervalMs: 8_000,
      reconnectMinMs: 250,
      reconnectMaxMs: 15_000,
      ...options,
      discovery: { dns: alone, peerExchange: alone, ...options.discovery },
    };
    this.#slots = new Slots(this.#options.publishConcurrency);
  }

  async start(listener: TransportListener): Promise<void> {
    if (this.#listener !== undefined || this.#stopped) throw failed("a transport is started once");
    checkOptions(this.#options);
    for (const candidate of parsePeers(this.#options.peers)) this.#candidates.set(candidate.key, candidate);
    this.#listener = listener;
    this.#starting = this.#startNode();
    try {
      this.#node = await this.#starting;
    } catch (error) {
      throw failed("the libp2p node cannot be started", error);
    }
    if (this.#stopped) throw failed("the transport was stopped");
    this.#firstReport = setTimeout(() => this.#reportOffline(), FIRST_REPORT_MS);
    globalThis.addEventListener?.("online", this.#onNetworkChange);
    globalThis.addEventListener?.("offline", this.#onNetworkChange);
    this.#connect();
  }

  async #startNode(): Promise<Node> {
    const { clusterId } = this.#options;
    const libp2p = await createNode(clusterId, discoveryOf(this.#options));
    const identities = new Identities(libp2p);
    await libp2p.handle(Codec.metadata, ({ stream }) => void answerCluster(stream, clusterId));
    await libp2p.handle(
      Codec.filterPush,
      ({ stream, connection }) => {
        const peer = this.#peerOf(connection.id);
        if (peer?.isSubscriber !== true) return stream.abort(new Error("this node was not asked to push"));
        void receivePushes(stream, (pubsubTopic, message) => this.#receive(peer, pubsubTopic, message), {
          room: peer.pushRoom,
        });
      },
      { maxInboundStreams: MAX_PUSH_STREAMS },
    );
    libp2p.addEventListener("connection:close", ({ detail }) =>
      this.#peerOf(detail.id)?.drop(new Error("the connection was closed")),
    );
    libp2p.addEventListener("peer:discovery", ({ detail }) =>
      this.#discovered(detail.id.toString(), detail.multiaddrs),
    );
    await libp2p.start();
    return { libp2p, identities };
  }

  async subscribe(topics: readonly string[]): Promise<void> {
    this.#topics = new Map(topics.map((topic) => [topic, this.#pubsubTopic(topic)]));
    await Promise.all([...this.#peers].filter((peer) => peer.isSubscriber).map((peer) => peer.subscribe(this.#topics)));
  }

  async publish(topic: string, payload: Uint8Array, { signal, slot }: PublishOptions): Promise<void> {
    const pubsubTopic = this.#pubsubTopic(topic);
    const release = await this.#slots.take(signal);
    try {
      const message = await this.#message(topic, payload, signal, slot);
      await withDeadline(this.#options.publishTimeoutMs, [signal, this.#stopping.signal], "publish", (either) =>
        this.#push(pubsubTopic, message, either),
      );
    } catch (error) {
      signal.throwIfAborted();
      throw error instanceof ChatError ? error : failed("no node took the message", error, true);
    } finally {
      release();
    }
  }

  async #message(
    topic: string,
    payload: Uint8Array,
    signal: AbortSignal,
    slot: RateSlot | undefined,
  ): Promise<WakuMessage> {
    const { prover } = this.#options;
    if (!slot || !prover) return { payload, contentTopic: topic, timestamp: this.#timestamps.next() };
    const release = await this.#proving.take(signal);
    try {
      const timestamp = this.#timestamps.next();
      const proof = await prover.prove({ ...slot, topic, payload, timestampNs: timestamp }, { signal });
      return {
        payload,
        contentTopic: topic,
        timestamp,
        rateLimitProof: proto_message.RateLimitProof.decode(proof),
      };
    } finally {
      release();
    }
  }

  async *queryHistory(request: HistoryRequest, { signal }: { signal: AbortSignal }): AsyncGenerator<ReceivedMessage[]> {
    const groups: TopicGroup[] = [...Map.groupBy(new Set(request.topics), (topic) => this.#pubsubTopic(topic))].map(
      ([pubsubTopic, topics]) => ({ pubsubTopic, topics }),
    );
    const either = AbortSignal.any([signal, this.#stopping.signal]);
    const options = {
      nodes: () => this.#openPeers().filter((peer) => peer.canStore),
      known: request.missedOnly === true ? this.#pushed : undefined,
      pageSize: this.#options.historyPageSize,
      rounds: HISTORY_ROUNDS,
      pauseMs: HISTORY_PAUSE_MS,
      signal: either,
    };
    try {
      for await (const page of history(groups, request.startMs, request.endMs, options)) yield page.map(received);
    } catch (error) {
      either.throwIfAborted();
      throw failed("no store node answers", error, true);
    }
  }

  async stop(): Promise<void> {
    this.#stop ??= this.#stopNow();
    await this.#stop;
  }

  async #stopNow(): Promise<void> {
    this.#stopping.abort(failed("the transport was stopped"));
    this.#listener = undefined;
    clearTimeout(this.#retryTimer);
    clearTimeout(this.#firstReport);
    globalThis.removeEventListener?.("online", this.#onNetworkChange);
    globalThis.removeEventListener?.("offline", this.#onNetworkChange);
    await Promise.all([...this.#peers].map((peer) => peer.leave(LEAVE_GRACE_MS)));
    const node = await this.#starting?.catch(() => undefined);
    await node?.libp2p.stop();
  }

  get #stopped(): boolean {
    return this.#stopping.signal.aborted;
  }

  // --- Connections: keep `maxPeers` of the candidates connected -----------------------------------------------------

  /** Starts sessions with idle candidates until enough are under way; the one that waited longest goes first. */
  #connect(): void {
    clearTimeout(this.#retryTimer);
    if (this.#stopped) return;
    const candidates = [...this.#candidates.values()];
    let free = this.#options.maxPeers - candidates.filter((candidate) => candidate.busy).length;
    const idle = candidates.filter((candidate) => !candidate.busy).sort((a, b) => a.nextAttempt - b.nextAttempt);
    for (const candidate of idle) {
      if (free === 0) return;
      const wait = candidate.nextAttempt - performance.now();
      if (wait > 0) {
        this.#retryTimer = setTimeout(() => this.#connect(), wait);
        return;
      }
      free -= 1;
      candidate.busy = true;
      void this.#session(candidate);
    }
  }

  /** One connection from dial to end. Does not throw. */
  async #session(candidate: Candidate): Promise<void> {
    try {
      const { connection, peer } = await this.#dial(candidate);
      this.#peers.add(peer);
      if (connection.status !== "open") peer.drop(new Error("the connection was closed"));
      candidate.failures = 0;
      this.#onPeerChange();
      await peer.watch();
      this.#peers.delete(peer);
    } catch (error) {
      this.#node?.libp2p.logger.forComponent("chatsdk:transport")(
        "cannot use %s: %s",
        candidate.addresses.join(),
        error,
      );
      candidate.failures += 1;
    }
    candidate.busy = false;
    candidate.nextAttempt =
      performance.now() + backoff(candidate.failures, this.#options.reconnectMinMs, this.#options.reconnectMaxMs);
    this.#reportOffline();
    this.#connect();
  }

  async #dial(candidate: Candidate): Promise<{ connection: Connection; peer: WakuPeer }> {
    const { signal } = this.#stopping;
    if (this.#node === undefined) throw failed("the transport is not started");
    const { libp2p, identities } = this.#node;
    const connection = await withDeadline(DIAL_TIMEOUT_MS, [signal], "dial", (either) =>
      libp2p.dial(candidate.addresses, { signal: either }),
    );
    if (this.#peerOf(connection.id) !== undefined) throw new Error("this node is connected through another address");
    try {
      return {
        connection,
        peer: await WakuPeer.open(identities, connection, this.#options, () => this.#onPeerChange(), signal),
      };
    } catch (error) {
      connection.abort(error instanceof Error ? error : new Error(String(error)));
      throw error;
    }
  }

  /** libp2p calls everything it identifies "discovered", also what it was told to dial. */
  #discovered(key: string, addresses: Multiaddr[]): void {
    const { dns, peerExchange } = discoveryOf(this.#options);
    if (dns.length === 0 && !peerExchange) return;
    if (this.#node?.libp2p.getConnections().some(({ remotePeer }) => remotePeer.toString() === key)) return;
    const usable = addresses.filter(isWebsocket);
    if (this.#node === undefined || usable.length === 0 || this.#candidates.has(key)) return;
    if (this.#candidates.size >= MAX_CANDIDATES) {
      // The least reachable one makes room. Failures alone are no reason to forget: it may be our network that is down.
      const [worst] = [...this.#candidates.values()]
        .filter(({ configured, busy }) => !configured && !busy)
        .sort((a, b) => b.failures - a.failures);
      if (worst === undefined || worst.failures === 0) return;
      this.#candidates.delete(worst.key);
    }
    this.#candidates.set(key, { key, addresses: usable, configured: false, busy: false, failures: 0, nextAttempt: 0 });
    this.#connect();
  }

  /** The operating system says that the network came or went: look at once, and do not sit out a pause. */
  readonly #onNetworkChange = (): void => {
    for (const peer of this.#peers) peer.suspect();
    for (const candidate of this.#candidates.values()) candidate.nextAttempt = 0;
    this.#connect();
  };

  #onPeerChange(): void {
    if (this.#stopped) return;
    const open = this.#openPeers();
    let subscribers = open.filter((peer) => peer.isSubscriber).length;
    for (const peer of open) {
      if (subscribers >= this.#options.filterPeers) break;
      if (!peer.canFilter || peer.isSubscriber) continue;
      subscribers += 1;
      void peer.subscribe(this.#topics);
    }
    const online = open.some((peer) => peer.canPush) && open.some((peer) => peer.isSubscribed);
    if (online === this.#online || !(online || this.#attempted)) return;
    this.#online = online;
    this.#attempted = true;
    guarded(() => this.#listener?.onConnection(online));
  }

  #reportOffline(): void {
    this.#attempted = true;
    this.#onPeerChange();
  }

  #openPeers(): WakuPeer[] {
    return [...this.#peers].filter((peer) => peer.isOpen);
  }

  #peerOf(connectionId: string): WakuPeer | undefined {
    return [...this.#peers].find((peer) => peer.connectionId === connectionId);
  }

  // --- Messages -----------------------------------------------------------------------------------------------------

  async #push(pubsubTopic: string, message: WakuMessage, signal: AbortSignal): Promise<void> {
    for (let attempt = 0; ; attempt++) {
      const failures: unknown[] = [];
      for (const peer of this.#openPeers().filter(({ canPush }) => canPush)) {
        try {
          return await peer.push(pubsubTopic, message, signal);
        } catch (error) {
          signal.throwIfAborted();
          failures.push(error);
        }
      }
      const answers = failures.filter((failure) => failure instanceof WakuStatus);
      if (!answers.some((answer) => answer.busy)) {
        const refused = answers.length > 0 && answers.every((answer) => answer.final);
        throw failed(
          failures.length === 0 ? "no node is connected" : "no node took the message",
          failures[0],
          !refused,
        );
      }
      await sleep(backoff(attempt, 250, 2_000), signal);
    }
  }

  #receive(peer: WakuPeer, pubsubTopic: string, message: WakuMessage): void {
    if (!peer.isOpen || !peer.isSubscriber || this.#topics.get(message.contentTopic) !== pubsubTopic) return;
    peer.heard();
    const hash = messageHash(pubsubTopic, message);
    if (this.#pushed.has(hash) || this.#listener === undefined) return;
    this.#pushed.set(hash, message.timestamp ?? 0n);
    if (this.#pushed.size > PUSHED_MESSAGES) this.#pushed.delete(this.#pushed.keys().next().value as string);
    guarded(() => this.#listener?.onMessage(received(message)));
  }

  #pubsubTopic(topic: string): string {
    const { clusterId, shardCount } = this.#options;
    try {
      return utils.formatPubsubTopic(clusterId, utils.contentTopicToShardIndex(topic, shardCount));
    } catch (error) {
      throw new ChatError(
        ErrorCode.INVALID_ARGUMENT,
        `topic: ${JSON.stringify(topic)} is no content topic such as "/app/1/name/proto"`,
        { cause: error },
      );
    }
  }
}

function received(message: WakuMessage): ReceivedMessage {
  // A copy: what the codec returns is a view into a larger buffer, and a Buffer in Node.
  return { topic: message.contentTopic, payload: new Uint8Array(message.payload) };
}

/** What a listener throws is its own: an uncaught error as from any event handler, and none of the connection's business. */
function guarded(call: () => void): void {
  try {
    call();
  } catch (error) {
    queueMicrotask(() => {
      throw error;
    });
  }
}

function failed(message: string, cause?: unknown, retryable = false): ChatError {
  const detail = cause instanceof Error ? `: ${cause.message}` : "";
  return new ChatError(ErrorCode.TRANSPORT_FAILED, message + detail, {
    retryable,
    ...(cause === undefined ? {} : { cause }),
  });
}

function checkOptions(options: Required<Omit<WakuTransportOptions, "prover">>): void {
  const { clusterId, peers } = options;
  const discovery = discoveryOf(options);
  if (!Number.isInteger(clusterId) || clusterId < 0 || clusterId > 0xffff)
    throw unusable("clusterId: an integer from 0 to 65535 is needed");
  const counts = [
    "shardCount",
    "maxPeers",
    "filterPeers",
    "publishTimeoutMs",
    "publishConcurrency",
    "requestTimeoutMs",
    "historyPageSize",
    "watchdogIntervalMs",
    "reconnectMinMs",
    "reconnectMaxMs",
  ] as const;
  for (const name of counts) {
    if (!Number.isInteger(options[name]) || options[name] < 1) throw unusable(`${name}: a positive integer is needed`);
  }
  for (const [i, list] of discovery.dns.entries()) {
    if (!/^enrtree:\/\/[A-Z2-7]+@\S+$/.test(list)) throw unusable(`discovery.dns[${i}]: ${list} is no enrtree:// URL`);
  }
  if (peers.length === 0 && discovery.dns.length === 0)
    throw unusable("peers: empty, and discovery by DNS is off, so there is no node to begin with");
}

/** A setting that can never work. */
function unusable(message: string, cause?: unknown): ChatError {
  const detail = cause instanceof Error ? ` (${cause.message})` : "";
  return new ChatError(ErrorCode.INVALID_ARGUMENT, message + detail, cause === undefined ? {} : { cause });
}

function discoveryOf({
  discovery: { dns, peerExchange },
}: Required<Pick<WakuTransportOptions, "discovery">>): Discovery {
  const publicLists = dns === true ? Object.values(enrTree) : [];
  return { dns: typeof dns === "object" ? dns : publicLists, peerExchange: peerExchange === true };
}

/** One candidate for each node: addresses with the same peer id belong together. */
function parsePeers(peers: readonly string[]): Candidate[] {
  const addresses = peers.map((text, i) => {
    let address: Multiaddr;
    try {
      address = multiaddr(text);
    } catch (error) {
      throw unusable(`peers[${i}]: no multiaddr`, error);
    }
    if (!isWebsocket(address)) throw unusable(`peers[${i}]: ${text} is no websocket address`);
    return address;
  });
  return [...Map.groupBy(addresses, (address) => address.getPeerId() ?? address.toString())].map(([key, group]) => ({
    key,
    addresses: group,
    configured: true,
    busy: false,
    failures: 0,
    nextAttempt: 0,
  }));
}

function isWebsocket(address: Multiaddr): boolean {
  return address.protoNames().some((name) => name === "ws" || name === "wss");
}
