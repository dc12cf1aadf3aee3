// A chat client in a process of its own, started and commanded by person.ts. Runs against the compiled packages.
import { createHash } from "node:crypto";
import {
  type ChatClient,
  ChatError,
  type ChatEvent,
  openChat,
  type ProtocolSettings,
  SqliteStorage,
  type StorageKey,
  WakuTransport,
} from "@chatsdk/client";
import { Diary, notesOf, readDiary } from "./diary.ts";
import { type Death, NotedStorage, NotedTransport } from "./noted-parts.ts";

export interface WorkerSettings {
  /** The database. */
  path: string;
  /** The diary. */
  diary: string;
  peers: readonly string[];
  protocol?: ProtocolSettings;
  storageKey?: StorageKey;
  /** Of the process, besides this one's. */
  environment?: Record<string, string>;
  /** How this process will end; the commits of start-up count. */
  death?: Death;
  /** Goes on with what `stream` was told in an earlier process. */
  stream?: Stream;
}

/** Messages named "prefix-1", "prefix-2", ... until so many `send`s of all processes together have resolved. */
export interface Stream {
  conversationId: string;
  prefix: string;
  until: number;
}

/** A call of a client, or one of the worker's own. */
export interface Call {
  id: number;
  method: string;
  args: unknown[];
}

export type Answer = { id: number; value: unknown } | { id: number; failure: { code: string; message: string } };
export type FromWorker =
  | { begun: true }
  | { ready: true }
  | { event: ChatEvent }
  | { answer: Answer }
  | { refused: { code: string; message: string } };

const CLUSTER = 42;
const SHARDS = 8;

const settings = JSON.parse(process.argv[2] ?? "{}") as WorkerSettings;
const earlier = readDiary(settings.diary);
const diary = new Diary(settings.diary);
const send = (message: FromWorker, then?: () => void): void => {
  // The parent may end first.
  if (process.connected) process.send?.(message, undefined, undefined, then);
};
const failureOf = (error: unknown) => ({
  code: error instanceof ChatError ? error.codeName : "none",
  message:
    error instanceof Error
      ? `${error.message}${error.cause instanceof Error ? ` (${error.cause.stack})` : ""}`
      : String(error),
});

const opened = Promise.withResolvers<void>();
let tried = notesOf(earlier, "trying").length;
let sent = notesOf(earlier, "sent").length;
let order: Stream | undefined;
let streaming = Promise.resolve();

function stream(next: Stream): void {
  order = next;
  streaming = streaming.then(keepSending);
}

async function keepSending(): Promise<void> {
  while (order && sent < order.until) {
    const { conversationId, prefix, until } = order;
    const batch = Array.from({ length: until - sent }, () => `${prefix}-${++tried}`);
    await Promise.all(
      batch.map(async (text) => {
        diary.note({ what: "trying", text });
        try {
          const { id } = await client.send(conversationId, text);
          diary.note({ what: "sent", text, id });
          sent++;
        } catch (error) {
          diary.note({ what: "refused", text, error: failureOf(error).code });
        }
      }),
    );
  }
}

function plainValue(_: string, value: unknown): unknown {
  if (typeof value === "bigint") return `${value}`;
  return value instanceof Uint8Array ? createHash("sha256").update(value).digest("hex") : value;
}

function noteEvent(event: ChatEvent): void {
  const { number, type, ...rest } = event;
  // The conversation's state is that of now, in a replay too.
  const about = JSON.stringify(rest, plainValue);
  const messageId =
    type === "messageReceived" ? event.message.id : type === "messageStatusChanged" ? event.messageId : undefined;
  const text =
    type === "messageReceived" ? event.message.text : type === "messageStatusChanged" ? event.status : undefined;
  diary.note({
    what: "event",
    number: `${number}`,
    type,
    about,
    ...(messageId && { messageId }),
    ...(text && { text }),
  });
}

const own: Record<string, (...args: never[]) => unknown> = {
  stream,
  online: () => client.online,
  sentCount: () => sent,
  async close() {
    order = undefined;
    await streaming;
    await client.close();
    diary.note({ what: "closed" });
  },
};

async function answer({ id, method, args }: Call): Promise<Answer> {
  try {
    await opened.promise;
    const call = own[method] ?? (client[method as keyof ChatClient] as (...args: unknown[]) => unknown).bind(client);
    return { id, value: await call(...(args as never[])) };
  } catch (error) {
    return { id, failure: failureOf(error) };
  }
}

// Once closed a client holds up nothing: the process ends by itself.
let closing = false;
process.on("disconnect", () => closing || process.exit());
process.on("message", (call: Call) => {
  closing ||= call.method === "close";
  void answer(call).then((given) => send({ answer: given }, closing ? () => process.disconnect?.() : undefined));
});

diary.note({ what: "start" });
send({ begun: true });
let client: ChatClient;
try {
  const storage = new NotedStorage(await SqliteStorage.open(settings.path, { create: true }), diary);
  own["die"] = (death: Death) => storage.die(death);
  if (settings.death) storage.die(settings.death);
  client = await openChat({
    path: settings.path,
    storage,
    transport: new NotedTransport(
      new WakuTransport({ clusterId: CLUSTER, shardCount: SHARDS, peers: settings.peers }),
      diary,
    ),
    storageKey: settings.storageKey ?? { unprotected: true },
    ...(settings.protocol && { protocol: settings.protocol }),
  });
} catch (error) {
  send({ refused: failureOf(error) }, () => process.exit(3));
  throw error;
}
diary.note({ what: "ready" });
opened.resolve();
send({ ready: true });
if (settings.stream) stream(settings.stream);
for await (const event of client.events()) {
  noteEvent(event);
  send({ event });
}
