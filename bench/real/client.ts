import { join } from "node:path";
import type { AgentPool } from "@chatsdk/conformance/agent-pool";
import type { LocalNode } from "@chatsdk/conformance/local-network";
import type { AgentProcess, JsonObject, Language } from "../../conformance/agent/agent-process.ts";
import { TEXT_LENGTH } from "../src/habits.ts";
import { Link } from "./link.ts";

/** One message that a client wrote. */
export interface Written {
  messageId: string;
  /** When the application wrote it, Unix milliseconds. */
  atMs: number;
}

export interface ClientParts {
  number: number;
  language: Language;
  pool: AgentPool;
  node: LocalNode;
  /** For the database. */
  folder: string;
  /** The agent's `rln`, of a network with RLN. */
  rln?: JsonObject;
}

export interface Use {
  limit: number;
  used: number;
  waiting: number;
}

const TEXT = "x".repeat(TEXT_LENGTH);
const ONLINE_WITHIN_MS = 60_000;
const POLL_MS = 50;

/** A real client in a process of its own: a user who writes to one peer, behind a link that counts. */
export class RealClient {
  readonly number: number;
  readonly link: Link;
  readonly written: Written[] = [];
  /** When events came, Unix milliseconds, by message id. */
  readonly deliveredMs = new Map<string, number>();
  readonly receivedMs = new Map<string, number>();
  readonly failed: string[] = [];
  readonly lost: string[] = [];
  readonly openedAtMs = Date.now();
  accountId = "";
  /** The delivery address. */
  topic = "";
  #conversationId: string | undefined;
  readonly #agent: AgentProcess;

  private constructor(parts: ClientParts, agent: AgentProcess, link: Link) {
    this.number = parts.number;
    this.#agent = agent;
    this.link = link;
    agent.listener = { onEvent: (event) => this.#see(event), onLine: () => undefined };
  }

  /** Opens a new database; resolves when the client has an account and is subscribed. */
  static async start(parts: ClientParts): Promise<RealClient> {
    const agent = await parts.pool.take(parts.language);
    const address = agent.ready.address === "ws" ? parts.node.websocket : parts.node.tcp;
    const link = await Link.open(address);
    const client = new RealClient(parts, agent, link);
    await agent.call("open", {
      path: join(parts.folder, `client-${parts.number}.db`),
      storageKey: { unprotected: true },
      peers: [link.through(address)],
      ...(parts.rln && { rln: parts.rln }),
    });
    const { id, deliveryAddress } = (await agent.call("createAccount")) as { id: string; deliveryAddress: string };
    client.accountId = id;
    client.topic = deliveryAddress;
    await client.#untilOnline();
    return client;
  }

  async #untilOnline(): Promise<void> {
    const end = performance.now() + ONLINE_WITHIN_MS;
    while (!((await this.#agent.call("stats")) as { online: boolean }).online) {
      if (performance.now() > end) throw new Error(`client ${this.number} is not online after ${ONLINE_WITHIN_MS} ms`);
      await new Promise((resolve) => setTimeout(resolve, POLL_MS));
    }
  }

  #see(event: JsonObject): void {
    const now = Date.now();
    const { type, status } = event;
    if (type === "conversationStarted") this.#conversationId ??= (event["conversation"] as { id: string }).id;
    else if (type === "messageReceived") this.receivedMs.set((event["message"] as { id: string }).id, now);
    else if (type === "messagesLost") this.lost.push(...(event["messageIds"] as string[]));
    else if (type === "messageStatusChanged" && status === "delivered")
      this.deliveredMs.set(event["messageId"] as string, now);
    else if (type === "messageStatusChanged" && status === "failed") this.failed.push(event["messageId"] as string);
  }

  /** Accepts a new link of the peer with a first message. */
  async meet(peer: RealClient): Promise<void> {
    const invite = { accountId: peer.accountId, reusable: false };
    const { link } = (await peer.#agent.call("createInvite", invite)) as { link: string };
    const atMs = Date.now();
    const started = { accountId: this.accountId, link, content: { text: TEXT } };
    const { id } = (await this.#agent.call("acceptInvite", started)) as { id: string };
    this.#conversationId = id;
    const [message] = (await this.#agent.call("messages", { conversationId: id })) as JsonObject[];
    this.written.push({ messageId: message!["id"] as string, atMs });
  }

  /** Does nothing before the first message of the peer has come. */
  async write(): Promise<void> {
    if (this.#conversationId === undefined) return;
    const atMs = Date.now();
    const message = { conversationId: this.#conversationId, content: { text: TEXT } };
    const { id } = (await this.#agent.call("send", message)) as { id: string };
    this.written.push({ messageId: id, atMs });
  }

  get isConfirmed(): boolean {
    return this.written.every(({ messageId }) => this.deliveredMs.has(messageId));
  }

  /** Of the present epoch; absent without RLN. */
  async use(): Promise<Use | undefined> {
    const quota = (await this.#agent.call("quota")) as { limit: number; remaining: number; waiting: number } | null;
    return quota ? { limit: quota.limit, used: quota.limit - quota.remaining, waiting: quota.waiting } : undefined;
  }

  async residentBytes(): Promise<number> {
    return ((await this.#agent.call("stats")) as { residentBytes: number }).residentBytes;
  }

  async close(): Promise<void> {
    if (!this.#agent.isRunning) return;
    await this.#agent.stop();
    await this.link.close();
  }
}
