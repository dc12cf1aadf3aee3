/**
 * A Waku network as the SDK needs it. The client owns the calls; a transport reports back through the listener. It holds no protocol
 * logic and keeps nothing that must survive a restart. `WakuTransport` is the real one.
 */
export interface Transport {
  /**
   * Connects in the background and calls the listener from then on. Resolves once started, not once connected: an
   * unreachable network is reported by `onConnection(false)`. Rejects with ChatError INVALID_ARGUMENT if the settings are unusable.
   */
  start(listener: TransportListener): Promise<void>;
  /** Receives from exactly these content topics from now on, again after each reconnection, until the next call. */
  subscribe(topics: readonly string[]): Promise<void>;
  /**
   * Resolves once at least one node took the message; rejects (any Error) otherwise. Each call makes a new timestamp. With a slot (S1: the
   * client has a rate limit) it goes out with a proof made for that slot, or not at all.
   */
  publish(topic: string, payload: Uint8Array, options: PublishOptions): Promise<void>;
  /** Stored messages of the topics in [startMs, endMs], oldest first, in pages. Throws if no store node answers. */
  queryHistory(request: HistoryRequest, options: { signal: AbortSignal }): AsyncIterable<ReceivedMessage[]>;
  /** Ends all connections. No listener call after it resolves. */
  stop(): Promise<void>;
}

export interface TransportListener {
  onMessage(message: ReceivedMessage): void;
  /** True as soon as publish and subscribe work with at least one peer, false when no peer is left. Only on change. */
  onConnection(online: boolean): void;
}

export interface PublishOptions {
  signal: AbortSignal;
  slot?: RateSlot;
}

/** The right to publish once: `messageId` of an epoch, counted from 0. Never serves two messages. */
export interface RateSlot {
  /** Unix time in seconds, divided by the length of an epoch. */
  epoch: bigint;
  messageId: number;
}

export interface ReceivedMessage {
  topic: string;
  payload: Uint8Array;
}

export interface HistoryRequest {
  topics: readonly string[];
  /** Unix time in milliseconds, inclusive. */
  startMs: number;
  /** Unix time in milliseconds, inclusive. */
  endMs: number;
  /** Only what `onMessage` was not called with since the start: the client has the rest. A transport may answer in full. Default false. */
  missedOnly?: boolean;
}
