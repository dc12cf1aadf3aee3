/**
 * One person: a process with a database of its own, connected to a Waku node. It does what its parent orders and reports what
 * happens; it leaves when the parent disconnects. Everything said to the SDK is in this file.
 */
import { join } from "node:path";
import { type ChatEvent, FileRollbackAnchor, openChat, Reaction, Reply, type Sendable } from "@chatsdk/client";

/** What a person can be told to do. Those that send answer with the message's id. */
export interface Orders {
  invite(): Promise<string>;
  accept(link: string, text: string): Promise<string>;
  send(text: string): Promise<string>;
  reply(messageId: string, text: string): Promise<string>;
  react(messageId: string, reaction: string): Promise<string>;
  markRead(messageId: string): Promise<void>;
  safetyNumber(): Promise<string>;
}

export interface Order {
  id: number;
  name: keyof Orders;
  args: unknown[];
}

export type Report =
  /** `reaction`: if the event is about one. */
  | { kind: "event"; event: ChatEvent; reaction: string | undefined }
  | { kind: "answer"; id: number; value?: unknown; error?: string };

const [folder = "", node = ""] = process.argv.slice(2);

const chat = await openChat({
  path: join(folder, "chat.db"),
  storageKey: { passphrase: "a real application asks its user for this" },
  peers: [node],
  // Kept in the user's home by default; this demonstration leaves nothing behind.
  anchor: new FileRollbackAnchor({ folder: join(folder, "anchor") }),
});
const me = await chat.defaultAccount();
let conversationId = (await chat.conversations())[0]?.id ?? "";

async function send(content: Sendable): Promise<string> {
  return (await chat.send(conversationId, content)).id;
}

const orders: Orders = {
  invite: async () => (await chat.createInvite(me.id)).link,
  accept: async (link, text) => {
    conversationId = (await chat.acceptInvite(me.id, link, text)).id;
    return (await chat.messages(conversationId))[0]!.id;
  },
  send,
  reply: (messageId, text) => send(Reply.of({ messageId, text })),
  react: (messageId, reaction) => send(Reaction.of({ messageId, reaction })),
  markRead: (messageId) => chat.markRead(conversationId, messageId),
  safetyNumber: () => chat.safetyNumber(conversationId),
};

function report(message: Report): void {
  // Fails if the parent has disconnected: then nobody wants to know.
  process.send?.(message, undefined, undefined, () => {});
}

process.on("message", async ({ id, name, args }: Order) => {
  try {
    const order = orders[name] as (...given: unknown[]) => Promise<unknown>;
    report({ kind: "answer", id, value: await order(...args) });
  } catch (error) {
    report({ kind: "answer", id, error: String(error) });
  }
});
process.on("disconnect", () => void chat.close());

for await (const event of chat.events()) {
  if (event.type === "conversationStarted") conversationId = event.conversation.id;
  const reaction = event.type === "messageReceived" ? Reaction.read(event.message)?.reaction : undefined;
  report({ kind: "event", event, reaction });
}
