import { readFileSync } from "node:fs";
import { join } from "node:path";
import {
  type ChatClient,
  type ChatEvent,
  type ChatOptions,
  openChat,
  parseRlnGroup,
  RlnMembership,
  type StorageKey,
} from "@chatsdk/client";
import { type ContentJson, fromHex, toSendable } from "./values.ts";

interface OpenParams {
  path: string;
  storageKey: unknown;
  peers: string[];
  clusterId?: number;
  shardCount?: number;
  protocol?: ChatOptions["protocol"];
  transport?: string;
  acceptRollback?: boolean;
  events?: boolean;
  rln?: RlnParams;
}

interface RlnParams {
  groupFile: string;
  credentialsFile?: string;
  circuitFolder?: string;
}

interface Page {
  before?: { id: string; lamport: string };
  limit?: number;
}

type Of<Fields> = Fields & Record<string, unknown>;

/** The client methods of an agent: each takes the request's parameters and returns what the client does. */
export class ClientMethods {
  readonly #onEvent: (event: ChatEvent) => void;
  #client: ChatClient | undefined;
  #reading: Promise<void> | undefined;
  #isOpen = false;

  constructor(onEvent: (event: ChatEvent) => void) {
    this.#onEvent = onEvent;
  }

  get #open(): ChatClient {
    if (!this.#client) throw new Error("no client was opened");
    return this.#client;
  }

  async open({ storageKey, transport = "light", events = true, protocol, rln, ...params }: OpenParams): Promise<null> {
    if (this.#isOpen) throw new Error("open: a client is open");
    if (transport !== "light") throw new Error(`open: no transport ${transport}`);
    const client = await openChat({
      ...params,
      storageKey: keyOf(storageKey),
      logger: { debug() {}, info() {}, warn: (line) => console.error(line) },
      ...(protocol && { protocol: settingsOf(protocol) }),
      ...(rln && { rln: membershipOf(rln) }),
    });
    this.#client = client;
    this.#isOpen = true;
    this.#reading = events ? this.#read(client) : undefined;
    return null;
  }

  async #read(client: ChatClient): Promise<void> {
    for await (const event of client.events()) this.#onEvent(event);
  }

  async close(): Promise<null> {
    await this.#client?.close();
    await this.#reading;
    this.#isOpen = false;
    return null;
  }

  defaultAccount = () => this.#open.defaultAccount();
  createAccount = () => this.#open.createAccount();
  accounts = () => this.#open.accounts();
  deleteAccount = ({ accountId }: Of<{ accountId: string }>) => this.#open.deleteAccount(accountId);
  createInvite = ({ accountId, ...options }: Of<{ accountId: string; validForMs?: number; reusable?: boolean }>) =>
    this.#open.createInvite(accountId, options);
  invites = ({ accountId }: Of<{ accountId: string }>) => this.#open.invites(accountId);
  revokeInvite = ({ inviteId }: Of<{ inviteId: string }>) => this.#open.revokeInvite(inviteId);
  inspectInvite = ({ link }: Of<{ link: string }>) => this.#open.inspectInvite(link);
  acceptInvite = ({ accountId, link, content }: Of<{ accountId: string; link: string; content: ContentJson }>) =>
    this.#open.acceptInvite(accountId, link, toSendable(content));
  conversations = ({ accountId }: Of<{ accountId?: string }>) => this.#open.conversations(accountId);
  conversation = ({ conversationId }: Conversational) => this.#open.conversation(conversationId);
  deleteConversation = ({ conversationId }: Conversational) => this.#open.deleteConversation(conversationId);
  safetyNumber = ({ conversationId }: Conversational) => this.#open.safetyNumber(conversationId);
  setVerified = ({ conversationId, verified }: Conversational & { verified: boolean }) =>
    this.#open.setVerified(conversationId, verified);
  repairConversation = ({ conversationId }: Conversational) => this.#open.repairConversation(conversationId);
  acceptRepair = ({ conversationId }: Conversational) => this.#open.acceptRepair(conversationId);
  send = ({ conversationId, content }: Conversational & { content: ContentJson }) =>
    this.#open.send(conversationId, toSendable(content));
  cancel = ({ conversationId, messageId }: Conversational & { messageId: string }) =>
    this.#open.cancel(conversationId, messageId);
  markRead = ({
    conversationId,
    messageId,
    ...options
  }: Conversational & { messageId: string; sendReceipt?: boolean }) =>
    this.#open.markRead(conversationId, messageId, options);
  messages = ({ conversationId, ...page }: Conversational & Page) => this.#open.messages(conversationId, pageOf(page));
  message = ({ conversationId, messageId }: Conversational & { messageId: string }) =>
    this.#open.message(conversationId, messageId);
  unreadCount = ({ conversationId }: Conversational) => this.#open.unreadCount(conversationId);
  search = ({ query, conversationId, ...page }: Of<{ query: string; conversationId?: string } & Page>) =>
    this.#open.search(query, { ...pageOf(page), ...(conversationId !== undefined && { conversationId }) });
  changeStorageKey = ({ oldKey, newKey }: Of<{ oldKey: unknown; newKey: unknown }>) =>
    this.#open.changeStorageKey(keyOf(oldKey), keyOf(newKey));
  quota = () => this.#open.quota();
  stats = async () => ({ online: this.#open.online, residentBytes: process.memoryUsage().rss });
}

type Conversational = Of<{ conversationId: string }>;

/** Given to the SDK as it came, whatever it is; only bytes are made of a raw key. */
function keyOf(key: unknown): StorageKey {
  const raw = typeof key === "object" && key !== null && "rawKey" in key ? key.rawKey : undefined;
  return (typeof raw === "string" ? { rawKey: fromHex(raw) } : key) as StorageKey;
}

function membershipOf({ groupFile, credentialsFile, circuitFolder }: RlnParams): RlnMembership {
  if (circuitFolder === undefined) throw new Error("open: rln.circuitFolder is missing");
  return new RlnMembership({
    group: parseRlnGroup(readFileSync(groupFile, "utf8")),
    circuit: { provingKey: join(circuitFolder, "rln_final.zkey"), witnessProgram: join(circuitFolder, "rln.wasm") },
    ...(credentialsFile !== undefined && { credentials: readFileSync(credentialsFile) }),
  });
}

const LONG = ["messageTtlMs", "repairIntervalMs"];

function settingsOf(protocol: object): NonNullable<ChatOptions["protocol"]> {
  return Object.fromEntries(
    Object.entries(protocol).map(([name, value]) => [name, LONG.includes(name) ? BigInt(value) : value]),
  );
}

function pageOf({ before, limit }: Page) {
  return {
    ...(before && { before: { id: before.id, lamport: BigInt(before.lamport) } }),
    ...(limit !== undefined && { limit }),
  };
}
