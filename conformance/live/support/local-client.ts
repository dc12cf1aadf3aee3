import { join } from "node:path";
import {
  type ChatClient,
  type ChatEvent,
  type ChatMessage,
  type ChatOptions,
  FileRollbackAnchor,
  openChat,
} from "@chatsdk/client";
import { afterwards } from "./network.ts";
import { until } from "./person.ts";

/** A client in this process, and the events it has shown. */
export class LocalClient {
  readonly client: ChatClient;
  readonly path: string;
  readonly events: ChatEvent[] = [];
  /** Ends with the client. */
  readonly reading: Promise<void>;

  private constructor(client: ChatClient, path: string) {
    this.client = client;
    this.path = path;
    this.reading = this.#read();
    afterwards(() => this.close());
  }

  /** The database is `folder/name.db`, its rollback anchor beside it. */
  static async open(folder: string, name: string, options: Partial<ChatOptions>): Promise<LocalClient> {
    const path = join(folder, `${name}.db`);
    const anchor = new FileRollbackAnchor({ folder: join(folder, "state") });
    return new LocalClient(await openChat({ storageKey: { unprotected: true }, anchor, ...options, path }), path);
  }

  async #read(): Promise<void> {
    for await (const event of this.client.events()) this.events.push(event);
  }

  async close(): Promise<void> {
    await this.client.close();
    await this.reading;
  }

  async accountId(): Promise<string> {
    return (await this.client.defaultAccount()).id;
  }

  /** A link of the default account. */
  async link(): Promise<string> {
    return (await this.client.createInvite(await this.accountId())).link;
  }

  get received(): ChatMessage[] {
    return this.events.flatMap((event) => (event.type === "messageReceived" ? [event.message] : []));
  }

  get texts(): string[] {
    return this.received.map(({ text }) => text ?? "");
  }

  get connection(): boolean[] {
    return this.events.flatMap((event) => (event.type === "connectionChanged" ? [event.online] : []));
  }

  withStatus(status: string): string[] {
    return this.events.flatMap((event) =>
      event.type === "messageStatusChanged" && event.status === status ? [event.messageId] : [],
    );
  }

  /** Texts of a conversation as stored, oldest first. */
  async stored(conversationId: string, outgoing?: boolean): Promise<string[]> {
    const rows = await this.client.messages(conversationId, { limit: 1000 });
    return rows
      .filter((row) => outgoing === undefined || row.outgoing === outgoing)
      .map(({ text }) => text ?? "")
      .reverse();
  }

  /** Waits until all of ours are delivered. */
  async allDelivered(conversationId: string, timeoutMs?: number): Promise<void> {
    const waiting = async () =>
      (await this.client.messages(conversationId, { limit: 1000 })).filter(
        ({ outgoing, status }) => outgoing && status !== "delivered",
      );
    await until(
      async () => (await waiting()).length === 0,
      () => "all messages are delivered",
      timeoutMs,
      100,
    );
  }
}

/** A conversation of two that both know, with one message each way. */
export async function meet(alice: LocalClient, bob: LocalClient): Promise<string> {
  const conversation = await alice.client.acceptInvite(await alice.accountId(), await bob.link(), "hello");
  await until(
    () => bob.texts.includes("hello"),
    () => "the first message arrives",
  );
  await bob.client.send(conversation.id, "welcome");
  await until(
    () => alice.texts.includes("welcome"),
    () => "the first answer arrives",
  );
  await Promise.all([alice.allDelivered(conversation.id), bob.allDelivered(conversation.id)]);
  return conversation.id;
}
