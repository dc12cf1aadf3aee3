// Writes a database with the storage of the TypeScript SDK. `node write.mjs STORAGE_MODULE FILE`
import { pathToFileURL } from "node:url";

const { SqliteStorage } = await import(pathToFileURL(process.argv[2]));
const storage = await SqliteStorage.open(process.argv[3], { create: true });
const change = (kind, value) => ({ $typeName: "chatsdk.v1.Change", change: { case: kind, value } });
const message = {
  $typeName: "chatsdk.v1.Message",
  messageId: "m1",
  conversationId: "c1",
  outgoing: false,
  sequence: 1,
  lamport: 2n ** 63n + 5n,
  timestampMs: 1n,
  storedMs: 2n,
  domain: 0,
  tag: 1,
  version: 1,
  payload: new Uint8Array([1, 0, 2]),
  text: "Crème\0 brûlée",
  status: 0,
  failureReason: 0,
};
await storage.commit([
  change("put", { $typeName: "chatsdk.v1.Record", key: "conv/c1", value: new Uint8Array([9, 8]) }),
  change("addTags", { $typeName: "chatsdk.v1.TagChange", key: "conv/c1", tags: new Uint8Array(8).fill(3) }),
  change("putMessage", message),
  change("putMessage", {
    ...message,
    messageId: "m2",
    outgoing: true,
    lamport: 7n,
    text: undefined,
    refersTo: "m1",
    status: 5,
    failureReason: 2,
  }),
  change("putConversation", {
    $typeName: "chatsdk.v1.Conversation",
    conversationId: "c1",
    accountId: "a1",
    peerIdentityKey: new Uint8Array(32).fill(4),
    createdMs: 5n,
    suite: 2,
    sessionState: 2,
    verified: true,
    initiator: false,
    lastActivityMs: 6n,
  }),
]);
await storage.close();
