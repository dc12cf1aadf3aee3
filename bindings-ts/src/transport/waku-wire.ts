import { proto_filter_v2, proto_lightpush, proto_metadata, proto_store } from "@waku/proto";
import { waku } from "@waku/sdk";
import type { Connection, Stream } from "./waku-libp2p.ts";

/**
 * The five Waku protocols of a light client, each one request and one answer on a stream of its own.
 *
 * Written on libp2p streams and js-waku's message codecs, not on js-waku's `LightPush`, `Filter` and `Store` (0.0.36), because
 * those
 * - never time out: each awaits the end of the stream, which a node that is paused, or rate limits the request, never sends;
 * - hide the status code, so "rejected for ever" and "too busy, try again" look the same;
 * - light push: queues a failed message for up to three more sends behind the caller's back, and sends it again
 *   after one of these succeeded;
 * - filter: reports success, then notices a lost subscription after three failed pings a minute apart;
 * - store: ends the iteration as if complete when no stream can be opened, drops the last part of a range longer than 24
 *   hours, and multiplies nanoseconds as doubles, which moves the bounds by up to 128 ns.
 */

export type WakuMessage = proto_store.WakuMessage;

export const Codec = {
  filterSubscribe: waku.FilterCodecs.SUBSCRIBE,
  filterPush: waku.FilterCodecs.PUSH,
  lightPush: waku.LightPushCodec,
  store: waku.StoreCodec,
  metadata: waku.MetadataCodec,
} as const;

/** The node answered, and the answer is no. Codes as in HTTP, and Waku's own 42x and 50x. */
export class WakuStatus extends Error {
  override readonly name = "WakuStatus";
  constructor(
    what: string,
    readonly code: number,
    description: string | undefined,
  ) {
    super(`${what}: the node answered ${code}${description ? ` (${description.slice(0, 200)})` : ""}`);
  }

  /** The node asks for patience: 429 too many requests, 503 no capacity now. */
  get busy(): boolean {
    return this.code === 429 || this.code === 503;
  }

  /** No node will take this message as it is: malformed, too large, invalid. */
  get final(): boolean {
    return this.code === 400 || this.code === 413 || this.code === 420;
  }
}

function expectSuccess(what: string, code: number | undefined, description: string | undefined): void {
  if (code === undefined || code < 200 || code >= 300) throw new WakuStatus(what, code ?? 0, description);
}

// A page of 100 messages of the network's largest size (150 KB) must fit; everything else is far smaller.
const MAX_FRAME = 32 * 1024 * 1024;
const MAX_SMALL_FRAME = 1024 * 1024;
/** The largest message that nodes relay (go-waku, nwaku: 150 KiB, encoded), and what surrounds it in a push. */
const MAX_PUSH_FRAME = 200 * 1024;
const MAX_UNFINISHED_PUSHES = 64 * MAX_PUSH_FRAME;
const PUSH_FRAME_TIMEOUT_MS = 10_000;
const DRAIN_MS = 2_000;

/** Hands the message to the node's relay. */
export async function lightPush(
  connection: Connection,
  pubsubTopic: string,
  message: WakuMessage,
  signal: AbortSignal,
): Promise<void> {
  const request = proto_lightpush.LightPushRequestV3.encode({ requestId: requestId(), pubsubTopic, message });
  const answer = proto_lightpush.LightPushResponseV3.decode(
    await ask(connection, Codec.lightPush, request, MAX_SMALL_FRAME, signal),
  );
  expectSuccess("publish", answer.statusCode, answer.statusDesc);
}

export type FilterAction = `${proto_filter_v2.FilterSubscribeRequest.FilterSubscribeType}`;

/** `topics` and `pubsubTopic` belong to SUBSCRIBE and UNSUBSCRIBE only. */
export async function filterRequest(
  connection: Connection,
  action: FilterAction,
  signal: AbortSignal,
  pubsubTopic?: string,
  topics: readonly string[] = [],
): Promise<void> {
  const request = proto_filter_v2.FilterSubscribeRequest.encode({
    requestId: requestId(),
    filterSubscribeType: proto_filter_v2.FilterSubscribeRequest.FilterSubscribeType[action],
    ...(pubsubTopic === undefined ? {} : { pubsubTopic }),
    contentTopics: [...topics],
  });
  const answer = proto_filter_v2.FilterSubscribeResponse.decode(
    await ask(connection, Codec.filterSubscribe, request, MAX_SMALL_FRAME, signal),
  );
  expectSuccess(`filter ${action}`, answer.statusCode, answer.statusDesc);
}

export interface PushOptions {
  /** Shared by the streams of one connection. */
  room: PushRoom;
  /** How long a frame may take, from its first byte on, and the first one of a stream to begin. Default 10,000. */
  frameTimeoutMs?: number;
}

/** Hands on the messages that a node pushes on one stream. Does not throw. */
export async function receivePushes(
  stream: Stream,
  onPush: (pubsubTopic: string, message: WakuMessage) => void,
  { room, frameTimeoutMs = PUSH_FRAME_TIMEOUT_MS }: PushOptions,
): Promise<void> {
  const start = () => setTimeout(() => stream.abort(new Error("a push that takes too long")), frameTimeoutMs);
  let timer: ReturnType<typeof setTimeout> | undefined = start();
  const unfinished = room.enter();
  const onWait = (bytes: number): void => {
    unfinished.hold(bytes);
    if (bytes > 0) timer ??= start();
  };
  try {
    for await (const frame of frames(stream.source, MAX_PUSH_FRAME, onWait)) {
      clearTimeout(timer);
      timer = undefined;
      const { pubsubTopic, wakuMessage } = proto_filter_v2.MessagePush.decode(frame);
      if (pubsubTopic !== undefined && wakuMessage !== undefined) onPush(pubsubTopic, wakuMessage);
    }
    await stream.close();
  } catch (error) {
    stream.abort(error as Error);
  } finally {
    clearTimeout(timer);
    unfinished.leave();
  }
}

/** Memory for the unfinished frames that one node pushes. What needs more is left to the history. */
export class PushRoom {
  #bytes = 0;

  enter(): { hold(bytes: number): void; leave(): void } {
    let held = 0;
    const hold = (bytes: number): void => {
      this.#bytes += bytes - held;
      held = bytes;
      if (this.#bytes > MAX_UNFINISHED_PUSHES) throw new Error("too much is pushed at a time");
    };
    return {
      hold,
      leave: () => {
        this.#bytes -= held;
      },
    };
  }
}

export interface StoreQuery {
  pubsubTopic: string;
  topics: readonly string[];
  startNs: bigint;
  endNs: bigint;
  limit: number;
  cursor: Uint8Array | undefined;
}

/** A message of a store, with the hash that the node states. */
export interface StoredMessage {
  hash: Uint8Array;
  message: WakuMessage;
}

/** A page of messages, or of their hashes. */
export interface StorePage<Entry> {
  entries: Entry[];
  /** Absent on the last page. */
  cursor: Uint8Array | undefined;
}

export async function storeQuery(
  connection: Connection,
  query: StoreQuery,
  signal: AbortSignal,
): Promise<StorePage<WakuMessage>> {
  const answer = await askStore(connection, { ...fieldsOf(query), includeData: true }, signal);
  const entries = answer.messages.map(({ message }) => {
    if (message === undefined) throw new Error("store query: an entry without its message");
    return message;
  });
  return { entries, cursor: cursorOf(answer) };
}

/** Deterministic message hashes, in the order of the messages. */
export async function storeHashes(
  connection: Connection,
  query: StoreQuery,
  signal: AbortSignal,
): Promise<StorePage<Uint8Array>> {
  const answer = await askStore(connection, { ...fieldsOf(query), includeData: false }, signal);
  return { entries: answer.messages.map(({ messageHash }) => hashOf(messageHash)), cursor: cursorOf(answer) };
}

/** What the node has of these, in any order; as much of it as it gives in one answer. */
export async function storeMessages(
  connection: Connection,
  messageHashes: Uint8Array[],
  signal: AbortSignal,
): Promise<StoredMessage[]> {
  const answer = await askStore(
    connection,
    {
      includeData: true,
      contentTopics: [],
      messageHashes,
      paginationForward: true,
      paginationLimit: BigInt(messageHashes.length),
    },
    signal,
  );
  return answer.messages.flatMap(({ messageHash, message }) =>
    message === undefined ? [] : [{ hash: hashOf(messageHash), message }],
  );
}

type StoreRequest = Omit<proto_store.StoreQueryRequest, "requestId">;

function fieldsOf(query: StoreQuery): Omit<StoreRequest, "includeData"> {
  return {
    pubsubTopic: query.pubsubTopic,
    contentTopics: [...query.topics],
    timeStart: query.startNs,
    timeEnd: query.endNs,
    messageHashes: [],
    ...(query.cursor === undefined ? {} : { paginationCursor: query.cursor }),
    paginationForward: true,
    paginationLimit: BigInt(query.limit),
  };
}

async function askStore(
  connection: Connection,
  fields: StoreRequest,
  signal: AbortSignal,
): Promise<proto_store.StoreQueryResponse> {
  const request = proto_store.StoreQueryRequest.encode({ ...fields, requestId: requestId() });
  const answer = proto_store.StoreQueryResponse.decode(await ask(connection, Codec.store, request, MAX_FRAME, signal));
  expectSuccess("store query", answer.statusCode, answer.statusDesc);
  return answer;
}

function hashOf(messageHash: Uint8Array | undefined): Uint8Array {
  if (messageHash?.length !== 32) throw new Error("store query: an entry without a message hash of 32 bytes");
  return messageHash;
}

function cursorOf({ paginationCursor }: proto_store.StoreQueryResponse): Uint8Array | undefined {
  return paginationCursor === undefined || paginationCursor.length === 0 ? undefined : paginationCursor;
}

/** The cluster a node says it serves. */
export async function askCluster(
  connection: Connection,
  ownCluster: number,
  signal: AbortSignal,
): Promise<number | undefined> {
  const request = proto_metadata.WakuMetadataRequest.encode({ clusterId: ownCluster, shards: [] });
  return proto_metadata.WakuMetadataResponse.decode(
    await ask(connection, Codec.metadata, request, MAX_SMALL_FRAME, signal),
  ).clusterId;
}

/** Answers a node's question for our cluster. A light client serves no shard. */
export async function answerCluster(stream: Stream, ownCluster: number): Promise<void> {
  await answer(stream, () => proto_metadata.WakuMetadataResponse.encode({ clusterId: ownCluster, shards: [] }));
}

/** The other side of `ask`: one request, one answer. Does not throw. */
export async function answer(
  stream: Stream,
  respond: (request: Uint8Array) => Uint8Array | Promise<Uint8Array>,
): Promise<void> {
  try {
    const requests = frames(stream.source, MAX_SMALL_FRAME);
    const first = await requests.next();
    if (first.done === true) throw new Error("the node closed the stream without a request");
    await stream.sink([frame(await respond(first.value))]);
    await drain(requests, stream);
  } catch (error) {
    stream.abort(error as Error);
  }
}

async function ask(
  connection: Connection,
  codec: string,
  request: Uint8Array,
  maxAnswer: number,
  signal: AbortSignal,
): Promise<Uint8Array> {
  const stream = await connection.newStream(codec, { signal });
  const onAbort = () => stream.abort(signal.reason instanceof Error ? signal.reason : new Error("aborted"));
  signal.addEventListener("abort", onAbort, { once: true });
  try {
    signal.throwIfAborted();
    // A sink that fails aborts the stream, so reading fails too, with the same error.
    stream.sink([frame(request)]).catch(() => undefined);
    const answers = frames(stream.source, maxAnswer);
    const first = await answers.next();
    if (first.done === true) throw new Error(`${codec}: the node closed the stream without an answer`);
    void drain(answers, stream);
    return first.value;
  } catch (error) {
    stream.abort(error instanceof Error ? error : new Error(String(error)));
    throw error;
  } finally {
    signal.removeEventListener("abort", onAbort);
  }
}

/** Reads to the end, so that the stream closes in order on both sides; not for ever, as some nodes do not end theirs. */
async function drain(rest: AsyncIterator<Uint8Array>, stream: Stream): Promise<void> {
  const timer = setTimeout(() => stream.abort(new Error("the node does not end the stream")), DRAIN_MS);
  try {
    while ((await rest.next()).done !== true);
  } catch (error) {
    stream.abort(error as Error);
  } finally {
    clearTimeout(timer);
  }
}

/** Prefixes the length as an unsigned varint. */
function frame(body: Uint8Array): Uint8Array {
  const prefix: number[] = [];
  let rest = body.length;
  for (; rest >= 0x80; rest >>>= 7) prefix.push((rest & 0x7f) | 0x80);
  prefix.push(rest);
  const out = new Uint8Array(prefix.length + body.length);
  out.set(prefix);
  out.set(body, prefix.length);
  return out;
}

/**
 * Length-prefixed frames as they complete. Throws on a frame above `max` or one cut short.
 *
 * @param onWait - told how many bytes of an unfinished frame there are, whenever more are waited for.
 */
async function* frames(
  source: AsyncIterable<{ subarray(): Uint8Array }>,
  max: number,
  onWait: (bytes: number) => void = () => {},
): AsyncGenerator<Uint8Array> {
  let chunks: Uint8Array[] = [];
  let have = 0;
  let need = 1;
  for await (const chunk of source) {
    const bytes = chunk.subarray();
    chunks.push(bytes);
    have += bytes.length;
    while (have >= need) {
      const buffer = chunks.length === 1 ? (chunks[0] as Uint8Array) : concat(chunks, have);
      const length = readLength(buffer, max);
      need = length === undefined ? have + 1 : length.end;
      if (have < need) {
        chunks = [buffer];
        break;
      }
      yield buffer.subarray(length?.start, need);
      chunks = [buffer.subarray(need)];
      have -= need;
      need = 1;
    }
    onWait(have);
  }
  if (have > 0) throw new Error("the stream ended inside a message");
}

function readLength(buffer: Uint8Array, max: number): { start: number; end: number } | undefined {
  let length = 0;
  for (let i = 0; i < buffer.length; i++) {
    const byte = buffer[i] as number;
    length += (byte & 0x7f) * 2 ** (7 * i);
    if (length > max || i > 4) throw new Error(`a message of more than ${max} bytes`);
    if (byte < 0x80) return { start: i + 1, end: i + 1 + length };
  }
  return undefined;
}

function concat(chunks: readonly Uint8Array[], length: number): Uint8Array {
  const out = new Uint8Array(length);
  let at = 0;
  for (const chunk of chunks) {
    out.set(chunk, at);
    at += chunk.length;
  }
  return out;
}

/** Answers are matched by stream, so the id need not be long; it is sent twice with each message. */
function requestId(): string {
  return (globalThis.crypto.getRandomValues(new Uint32Array(1))[0] as number).toString(36);
}
