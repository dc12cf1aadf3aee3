import { mplex } from "@libp2p/mplex";
import { PeerExchangeCodec } from "@waku/discovery";
import { proto_filter_v2, proto_lightpush, proto_metadata, proto_peer_exchange, proto_store } from "@waku/proto";
import { createLibp2pAndUpdateOptions } from "@waku/sdk";
import { messageHash } from "../src/transport/waku-history.ts";
import type { Connection, Stream } from "../src/transport/waku-libp2p.ts";
import { answer, Codec, type WakuMessage } from "../src/transport/waku-wire.ts";

/** What a service node answers. Replace a method to have it misbehave. */
export interface Behaviour {
  lightPush(message: WakuMessage): Promise<number> | number;
  filter(action: string, topics: readonly string[]): Promise<number> | number;
  /** A status code, or how many messages from the cursor on. */
  store(cursor: number): { status: number } | { count: number };
  /** Messages that it names, and does not give when it is asked for them. */
  withholds(message: WakuMessage): boolean;
}

/**
 * A Waku service node of light push, filter and store in this process, for faults a real node does not make to order. No relay.
 * A push is handed to the filter subscribers; the store serves `archive`, of one pubsub topic, in the order given.
 */
export async function startFaultyNode(clusterId: number, pubsubTopic: string, behaviour: Partial<Behaviour> = {}) {
  const subscribers = new Map<string, { connection: Connection; topics: Set<string> }>();
  const archive: WakuMessage[] = [];
  const acquaintances: Uint8Array[] = [];
  const calls = { lightPush: 0, filter: [] as string[], store: 0 };
  const does: Behaviour = {
    lightPush: () => 200,
    filter: () => 200,
    store: () => ({ count: 100 }),
    withholds: () => false,
    ...behaviour,
  };

  const libp2p = await createLibp2pAndUpdateOptions({
    networkConfig: { clusterId },
    defaultBootstrap: false,
    libp2p: {
      addresses: { listen: ["/ip4/127.0.0.1/tcp/0/ws"] },
      filterMultiaddrs: false,
      hideWebSocketInfo: true,
      streamMuxers: [mplex({ disconnectThreshold: Number.MAX_SAFE_INTEGER, maxOutboundStreams: 2000 })],
      services: { metadata: () => ({}) },
    },
  });

  await libp2p.handle(
    Codec.metadata,
    ({ stream }) => void answer(stream, () => proto_metadata.WakuMetadataResponse.encode({ clusterId, shards: [] })),
  );

  await libp2p.handle(PeerExchangeCodec, ({ stream }) => {
    void answer(stream, () =>
      proto_peer_exchange.PeerExchangeRPC.encode({ response: { peerInfos: acquaintances.map((enr) => ({ enr })) } }),
    );
  });

  await libp2p.handle(
    Codec.lightPush,
    ({ stream }) => {
      void answer(stream, async (bytes) => {
        calls.lightPush += 1;
        const { requestId, message } = proto_lightpush.LightPushRequestV3.decode(bytes);
        return proto_lightpush.LightPushResponseV3.encode({
          requestId,
          statusCode: await does.lightPush(message as WakuMessage),
        });
      });
    },
    { maxInboundStreams: 1000 },
  );

  await libp2p.handle(Codec.filterSubscribe, ({ stream, connection }) => {
    void answer(stream, async (bytes) => {
      const {
        requestId,
        filterSubscribeType: action,
        contentTopics,
      } = proto_filter_v2.FilterSubscribeRequest.decode(bytes);
      calls.filter.push(action);
      const id = connection.remotePeer.toString();
      let statusCode = await does.filter(action, contentTopics);
      if (statusCode === 200 && action === "SUBSCRIBER_PING" && !subscribers.has(id)) statusCode = 404;
      if (statusCode === 200 && action === "SUBSCRIBE") {
        subscribers.set(id, {
          connection,
          topics: new Set([...(subscribers.get(id)?.topics ?? []), ...contentTopics]),
        });
      }
      return proto_filter_v2.FilterSubscribeResponse.encode({ requestId, statusCode });
    });
  });

  await libp2p.handle(Codec.store, ({ stream }) => {
    void answer(stream, (bytes) => {
      calls.store += 1;
      const request = proto_store.StoreQueryRequest.decode(bytes);
      const wanted = new Set(request.messageHashes.map(hex));
      const inRange = archive.filter((message) =>
        wanted.size > 0
          ? wanted.has(messageHash(pubsubTopic, message)) && !does.withholds(message)
          : (message.timestamp ?? 0n) >= (request.timeStart ?? 0n) &&
            (message.timestamp ?? 0n) < (request.timeEnd ?? Number.POSITIVE_INFINITY),
      );
      const cursor = hex(request.paginationCursor ?? new Uint8Array());
      const start =
        cursor === "" ? 0 : inRange.findIndex((message) => messageHash(pubsubTopic, message) === cursor) + 1;
      const reply = does.store(start);
      if ("status" in reply)
        return proto_store.StoreQueryResponse.encode({
          requestId: request.requestId,
          statusCode: reply.status,
          messages: [],
        });
      const messages = inRange.slice(start, start + reply.count);
      const last = messages.at(-1);
      return proto_store.StoreQueryResponse.encode({
        requestId: request.requestId,
        statusCode: 200,
        messages: messages.map((message) => ({
          messageHash: Buffer.from(messageHash(pubsubTopic, message), "hex"),
          ...(request.includeData ? { message } : {}),
        })),
        ...(last === undefined || last === inRange.at(-1)
          ? {}
          : { paginationCursor: Buffer.from(messageHash(pubsubTopic, last), "hex") }),
      });
    });
  });

  return {
    websocket: libp2p.getMultiaddrs()[0]?.toString() as string,
    does,
    calls,
    archive,
    /** Node records given out by peer exchange. */
    acquaintances,
    /** Forgets all subscriptions and tells nobody. */
    forgetSubscribers: () => subscribers.clear(),
    /** Pushes to the subscribers, `copies` times. */
    async deliver(pubsubTopic: string, message: WakuMessage, copies = 1): Promise<void> {
      for (const { connection, topics } of subscribers.values()) {
        for (let i = 0; i < copies && topics.has(message.contentTopic); i++) {
          const stream = await connection.newStream(Codec.filterPush);
          const body = proto_filter_v2.MessagePush.encode({ pubsubTopic, wakuMessage: message });
          await stream.sink([new Uint8Array([(body.length & 0x7f) | 0x80, body.length >>> 7]), body]);
          await stream.close();
        }
      }
    },
    /** Opens so many streams to each subscriber, and leaves on each the beginning of a frame, of which `claimed` bytes are promised. */
    async beginPushes(count: number, claimed: number, begun: Uint8Array) {
      const streams: Stream[] = [];
      for (const { connection } of subscribers.values()) {
        for (let i = 0; i < count; i++) {
          const stream = await connection.newStream(Codec.filterPush, { maxOutboundStreams: count });
          const prefix = [(claimed & 0x7f) | 0x80, ((claimed >>> 7) & 0x7f) | 0x80, claimed >>> 14];
          // Not ended: the rest never comes.
          stream.sink(neverEnding([Uint8Array.from(prefix), begun])).catch(() => undefined);
          streams.push(stream);
        }
      }
      return {
        /** Of the streams, those the other end has not given up. */
        open: () => streams.filter(({ status }) => status === "open").length,
      };
    },
    stop: async () => libp2p.stop(),
  };
}

const hex = (bytes: Uint8Array): string => Buffer.from(bytes).toString("hex");

async function* neverEnding(chunks: readonly Uint8Array[]): AsyncGenerator<Uint8Array> {
  yield* chunks;
  await new Promise(() => {});
}
