import { create } from "@bufbuild/protobuf";
import { ChatCalls } from "@chatsdk/abi/chat";
import { ErrorCode } from "@chatsdk/abi/errors_pb";
import { type Config, ConfigSchema, type KeyDerivation, type VaultHeader } from "@chatsdk/abi/host_pb";
import { ChatError, Core, type Crypto, Entropy, quoted, Vault } from "@chatsdk/core";
import { deriveKey, newDerivation, type StorageKey } from "../keys/storage-key.ts";
import { RlnMembership } from "../rln/membership.ts";
import type { RollbackAnchor } from "../storage/rollback-anchor.ts";
import type { MessageRow, Storage } from "../storage/storage.ts";
import { matchesWords, queryWords } from "../storage/search-words.ts";
import type { Transport } from "../transport/transport.ts";
import { type Clock, systemClock } from "./clock.ts";
import { type Sendable, toContent } from "./content.ts";
import { Engine, messageOf } from "./engine.ts";
import { EventFeed } from "./event-feed.ts";
import { type Logger, silentLogger } from "./logger.ts";
import {
  type Account,
  type ChatEvent,
  type ChatMessage,
  type Conversation,
  type Invite,
  type InviteDetails,
  type Quota,
  toAccount,
  toConversation,
  toEvent,
  toInvite,
  toInviteDetails,
  toMessage,
  toQuota,
} from "./model.ts";

/** The protocol's settings; all have defaults, see `Config` in abi/proto/host.proto. Times in milliseconds. */
export type ProtocolSettings = Partial<
  Omit<Config, "$typeName" | "$unknown" | "clusterId" | "shardCount" | "rateLimit">
> & {
  /** S1: keeps to a limit without being a member; on a network with RLN give `rln` in its place. */
  rateLimit?: {
    /** Length of an epoch, 1 to 86,400; default 600. */
    epochSeconds?: number;
    /** Publications in an epoch, 1 to 65,535; default 100. */
    messagesPerEpoch?: number;
  };
};

/** What a client is made of. `openChat` fills in the defaults of the platform. */
export interface ClientParts {
  clusterId: number;
  shardCount: number;
  storage: Storage;
  storageKey: StorageKey;
  transport: Transport;
  crypto: Crypto;
  /** 32 fresh random bytes at each call. */
  entropy: () => Uint8Array;
  protocol?: ProtocolSettings;
  /**
   * S1: the membership of a network with RLN; sets the rate limit, so that `protocol.rateLimit` must not be given. Each client needs one of
   * its own. A transport other than the default one has to be given it as its prover as well.
   */
  rln?: RlnMembership;
  clock?: Clock;
  logger?: Logger;
  /** Detects that the database is an old copy. */
  anchor?: RollbackAnchor;
  /** Opens an old copy all the same: all its sessions are marked lost, and can be repaired with the peers' consent. */
  acceptRollback?: boolean;
}

export interface CallOptions {
  /** Aborts a call that has not begun: it rejects with ABORTED. */
  signal?: AbortSignal;
}

/** Which part of a list: newest first. */
export interface PageOptions {
  /** Only older ones than this. */
  before?: Pick<ChatMessage, "id" | "lamport">;
  /** 1 to 1,000; default 50. */
  limit?: number;
}

/** How long acknowledged events are collected before they are forgotten in one commit. */
const ACKNOWLEDGE_DELAY_MS = 50;
const SEARCH_BATCH = 500;

/**
 * A chat client: accounts, invites, conversations and messages of one database, connected to a Waku network. Every method that
 * changes something resolves once the change is durable. Errors are `ChatError`s.
 */
export class ChatClient implements AsyncDisposable {
  readonly #engine: Engine;
  readonly #calls: ChatCalls<AbortSignal>;
  readonly #parts: ClientParts;
  readonly #vault: Vault;
  readonly #clock: Clock;
  readonly #feed: EventFeed;
  #acknowledge: bigint | undefined;
  #cancelAcknowledge: () => void = () => {};
  /** Being made for `defaultAccount`. */
  #firstAccount: Promise<Account> | undefined;
  #closing: Promise<void> | undefined;
  #online = false;
  /** As the core has them. */
  #rlnCredentials: Uint8Array = new Uint8Array();

  private constructor(parts: ClientParts, core: Core, vault: Vault, header: VaultHeader) {
    this.#parts = parts;
    this.#vault = vault;
    this.#clock = parts.clock ?? systemClock;
    this.#feed = new EventFeed((eventNumber) => this.#acknowledgeSoon(eventNumber));
    this.#engine = new Engine({
      core,
      storage: parts.storage,
      transport: parts.transport,
      clock: this.#clock,
      entropy: parts.entropy,
      anchor: parts.anchor,
      databaseId: header.databaseId,
      logger: parts.logger ?? silentLogger,
      onEvent: (data) => {
        const event = toEvent(data);
        if (event) this.#feed.push(event);
      },
    });
    this.#calls = new ChatCalls(this.#engine);
  }

  /**
   * Opens a database, or makes a new one in an empty storage, and connects. Takes over the storage, the transport and the
   * membership: `close` closes them, and so does a failure, which leaves an empty storage empty. With a membership it takes about 2 s longer.
   *
   * Rejects with WRONG_KEY, KEYRING_UNAVAILABLE, DATABASE_LOCKED, STATE_ROLLED_BACK, UNSUPPORTED_VERSION, DATABASE_CORRUPT, STORAGE_FULL,
   * STORAGE_FAILED, INVALID_ARGUMENT, TRANSPORT_FAILED.
   */
  static async open(parts: ClientParts): Promise<ChatClient> {
    let client: ChatClient | undefined;
    try {
      takeMembership(parts);
      const { crypto, clusterId, shardCount, protocol, rln } = parts;
      const stored = await parts.storage.header();
      const header = stored ?? (await ChatClient.#create(parts));
      const hostKey = await deriveKey(parts.storageKey, header.derivation as KeyDerivation);
      const vault = Vault.open(crypto, header, hostKey);
      hostKey.fill(0);
      const settings = { ...protocol, ...(rln && { rateLimit: rln.rateLimit() }), clusterId, shardCount };
      const core = new Core(crypto, create(ConfigSchema, settings), vault);
      client = new ChatClient(parts, core, vault, header);
      await client.#start(core, header, stored === undefined);
      return client;
    } catch (error) {
      const closing = client?.close() ?? release(parts);
      await closing.catch((failure: unknown) => (parts.logger ?? silentLogger).warn(`closing: ${messageOf(failure)}`));
      throw error;
    }
  }

  /** The header of a new database, which is not written yet. */
  static async #create({ crypto, storage, storageKey, entropy }: ClientParts): Promise<VaultHeader> {
    if ((await storage.secrets.scan("", 1)).length > 0) {
      throw new ChatError(ErrorCode.DATABASE_CORRUPT, "database: it has records but no header; restore a backup");
    }
    const derivation = await newDerivation(storageKey);
    const hostKey = await deriveKey(storageKey, derivation);
    const header = Vault.create(crypto, derivation, hostKey, new Entropy(crypto, entropy()));
    hostKey.fill(0);
    return header;
  }

  async #start(core: Core, header: VaultHeader, isNew: boolean): Promise<void> {
    const { anchor, acceptRollback = false, transport, rln, storage } = this.#parts;
    const { generation, rateLimitCredentials } = await this.#engine.read(core.open());
    this.#rlnCredentials = rateLimitCredentials;
    await rln?.open(rateLimitCredentials);
    await anchor?.lock?.(header.databaseId);
    const seen = (await anchor?.read(header.databaseId)) ?? 0n;
    const rolledBack = seen > generation;
    if (rolledBack && !acceptRollback) {
      throw new ChatError(
        ErrorCode.STATE_ROLLED_BACK,
        `database: an old copy (commit ${generation}, this machine has seen ${seen}); open the newest, or set acceptRollback and repair the conversations`,
      );
    }
    await transport.start({
      onMessage: ({ topic, payload }) => this.#engine.feed({ case: "envelopeReceived", value: { topic, payload } }),
      onConnection: (online) => {
        this.#online = online;
        this.#engine.feed({ case: "connectionChanged", value: { online } });
        this.#feed.push({ number: 0n, type: "connectionChanged", online });
      },
    });
    // Not before all that may fail: the header binds the database to its key.
    if (isNew) await storage.setHeader(header);
    await this.#engine.start({ rolledBack, seenGeneration: seen });
  }

  /** True while at least one service node is connected. */
  get online(): boolean {
    return this.#online;
  }

  /**
   * Changes what opens the database, such as its passphrase. Keys and messages are not written again: who knows the old key
   * and has an old copy of the file can still read that copy. Rejects with WRONG_KEY if `oldKey` does not open it, INVALID_ARGUMENT if one of the
   * keys is `{ unprotected: true }`: messages keep the protection they were written with.
   */
  async changeStorageKey(oldKey: StorageKey, newKey: StorageKey): Promise<void> {
    const { crypto, storage, entropy } = this.#parts;
    if ("unprotected" in oldKey || "unprotected" in newKey) {
      throw new ChatError(
        ErrorCode.INVALID_ARGUMENT,
        "newKey: protection cannot be added or taken away; make a new database",
      );
    }
    const header = await storage.header();
    if (!header) throw new ChatError(ErrorCode.DATABASE_CORRUPT, "database: it has no header; restore a backup");
    const derivation = await newDerivation(newKey);
    const [oldHostKey, newHostKey] = [
      await deriveKey(oldKey, header.derivation as KeyDerivation),
      await deriveKey(newKey, derivation),
    ];
    await storage.setHeader(
      Vault.rekey(crypto, header, oldHostKey, derivation, newHostKey, new Entropy(crypto, entropy())),
    );
    oldHostKey.fill(0);
    newHostKey.fill(0);
  }

  // Accounts.

  /** F1: makes an identity. Nothing is registered anywhere. */
  async createAccount(options?: CallOptions): Promise<Account> {
    return toAccount(await this.#calls.createAccount({}, options?.signal));
  }

  /** Oldest first. */
  async accounts(options?: CallOptions): Promise<Account[]> {
    return (await this.#calls.listAccounts({}, options?.signal)).accounts.map(toAccount);
  }

  /** The oldest account; made now if there is none. */
  async defaultAccount(options?: CallOptions): Promise<Account> {
    const oldest = (await this.accounts(options))[0];
    if (oldest) return oldest;
    this.#firstAccount ??= this.createAccount(options).finally(() => {
      this.#firstAccount = undefined;
    });
    return this.#firstAccount;
  }

  /** Deletes an account with its conversations, messages and invites from this device. */
  async deleteAccount(accountId: string, options?: CallOptions): Promise<void> {
    await this.#calls.deleteAccount({ accountId }, options?.signal);
  }

  // Invites.

  /**
   * U2: makes a link to share out of band.
   *
   * @param options.validForMs - how long it can be accepted; default seven days, at most a year.
   * @param options.reusable - several people may accept it; default false: the first one only.
   */
  async createInvite(
    accountId: string,
    options: CallOptions & { validForMs?: number; reusable?: boolean } = {},
  ): Promise<Invite> {
    const { validForMs = 0, reusable = false } = options;
    if (!Number.isFinite(validForMs) || validForMs < 0)
      throw new ChatError(ErrorCode.INVALID_ARGUMENT, "validForMs: give a positive number of milliseconds");
    const value = { accountId, validForMs: BigInt(Math.round(validForMs)), reusable };
    return toInvite(await this.#calls.createInvite(value, options?.signal));
  }

  /** Invites that can still be accepted, oldest first. */
  async invites(accountId: string, options?: CallOptions): Promise<Invite[]> {
    return (await this.#calls.listInvites({ accountId }, options?.signal)).invites.map(toInvite);
  }

  async revokeInvite(inviteId: string, options?: CallOptions): Promise<void> {
    await this.#calls.revokeInvite({ inviteId }, options?.signal);
  }

  /** Reads a link without accepting it. Rejects with INVALID_INVITE, INVITE_EXPIRED, INVITE_WRONG_NETWORK, UNSUPPORTED_SUITE. */
  async inspectInvite(link: string, options?: CallOptions): Promise<InviteDetails> {
    return toInviteDetails(await this.#calls.inspectInvite({ link }, options?.signal));
  }

  /**
   * U1: starts a conversation with the link's author, who need not be online, by a first message. Rejects as
   * `inspectInvite`, and with INVITE_ALREADY_ACCEPTED, INVITE_OWN, CONTENT_TOO_LARGE.
   */
  async acceptInvite(accountId: string, link: string, first: Sendable, options?: CallOptions): Promise<Conversation> {
    const value = { accountId, link, content: toContent(first) };
    return toConversation((await this.#calls.acceptInvite(value, options?.signal)).conversation!);
  }

  // Conversations.

  /** The latest activity first. */
  async conversations(accountId?: string): Promise<Conversation[]> {
    const rows = await this.#parts.storage.messages.conversations(accountId);
    return rows.map((row) => toConversation(this.#vault.openConversation(row)));
  }

  async conversation(conversationId: string): Promise<Conversation> {
    const row = await this.#parts.storage.messages.conversation(conversationId);
    if (!row)
      throw new ChatError(
        ErrorCode.CONVERSATION_NOT_FOUND,
        `conversationId: no conversation ${quoted(conversationId)}; list the conversations`,
      );
    return toConversation(this.#vault.openConversation(row));
  }

  /** Deletes keys and messages from this device. The peer is not told. */
  async deleteConversation(conversationId: string, options?: CallOptions): Promise<void> {
    await this.#calls.deleteConversation({ conversationId }, options?.signal);
  }

  /** Sixty digits both sides compare to know that nobody sits between them. */
  async safetyNumber(conversationId: string, options?: CallOptions): Promise<string> {
    return (await this.#calls.getSafetyNumber({ conversationId }, options?.signal)).digits;
  }

  /** Notes that the safety numbers were compared, or takes it back. */
  async setVerified(conversationId: string, verified: boolean, options?: CallOptions): Promise<void> {
    await this.#calls.setVerified({ conversationId, verified }, options?.signal);
  }

  /** Asks the peer for new keys after ours were lost. Once a day at most (REPAIR_TOO_SOON). */
  async repairConversation(conversationId: string, options?: CallOptions): Promise<void> {
    await this.#calls.repairConversation({ conversationId }, options?.signal);
  }

  /** Agrees to a repair the peer asked for: ask your user first. The verification is taken back. */
  async acceptRepair(conversationId: string, options?: CallOptions): Promise<void> {
    await this.#calls.acceptRepair({ conversationId }, options?.signal);
  }

  // Rate limit.

  /** S1: what the rate limit leaves in this epoch; `undefined` without one (`rln`, `protocol.rateLimit`). */
  async quota(options?: CallOptions): Promise<Quota | undefined> {
    return toQuota(await this.#calls.getQuota({}, options?.signal));
  }

  // Messages.

  /** F2: sends a message. Resolves once it is stored and encrypted; events tell how far it gets. Rejects with SESSION_LOST, OUTBOX_FULL (retryable), CONTENT_TOO_LARGE. */
  async send(conversationId: string, content: Sendable, options?: CallOptions): Promise<ChatMessage> {
    const value = { conversationId, content: toContent(content) };
    return toMessage((await this.#calls.sendMessage(value, options?.signal)).message!);
  }

  /** Gives up a message that is not delivered yet. It may arrive all the same if it is already under way. */
  async cancel(conversationId: string, messageId: string, options?: CallOptions): Promise<void> {
    await this.#calls.cancelMessage({ conversationId, messageId }, options?.signal);
  }

  /**
   * Marks everything up to a message as read. Throws MESSAGE_NOT_FOUND, and tells the peer nothing, if the conversation has no such message.
   * @param options.sendReceipt - tells the peer, unless 1,000 messages wait for delivery; default true.
   */
  async markRead(
    conversationId: string,
    messageId: string,
    options: CallOptions & { sendReceipt?: boolean } = {},
  ): Promise<void> {
    await this.conversation(conversationId);
    await this.message(conversationId, messageId);
    const value = { conversationId, messageId, sendReceipt: options.sendReceipt ?? true };
    await this.#calls.markRead(value, options?.signal);
  }

  /** F6: a page of a conversation, newest first. */
  async messages(conversationId: string, { before, limit = 50 }: PageOptions = {}): Promise<ChatMessage[]> {
    const rows = await this.#parts.storage.messages.page({
      conversationId,
      limit,
      ...(before && { before: positionOf(before) }),
    });
    return rows.map((row) => this.#open(row));
  }

  async message(conversationId: string, messageId: string): Promise<ChatMessage> {
    const row = await this.#parts.storage.messages.message(conversationId, messageId);
    if (!row)
      throw new ChatError(
        ErrorCode.MESSAGE_NOT_FOUND,
        `messageId: no message ${quoted(messageId)}; page through the conversation`,
      );
    return this.#open(row);
  }

  /** Incoming messages not marked read; reactions do not count. */
  async unreadCount(conversationId: string): Promise<number> {
    return this.#parts.storage.messages.unreadCount(conversationId);
  }

  /**
   * Messages with every word of `query` (the last may be a beginning), newest first; case and accents do not count. In a protected
   * database all messages are decrypted one after the other: some 50,000 a second.
   */
  async search(query: string, options: PageOptions & { conversationId?: string } = {}): Promise<ChatMessage[]> {
    const { conversationId, before, limit = 50 } = options;
    const { messages } = this.#parts.storage;
    if (!this.#vault.sealsMessages) {
      const found = await messages.search(query, {
        limit,
        ...(conversationId && { conversationId }),
        ...(before && { before: positionOf(before) }),
      });
      return found.map((row) => this.#open(row));
    }
    const ids = conversationId ? [conversationId] : (await messages.conversations()).map((row) => row.conversationId);
    const found: ChatMessage[] = [];
    for (const id of ids) found.push(...(await this.#scan(id, query, limit, before)));
    return found.sort((a, b) => Number(b.lamport - a.lamport) || (a.id < b.id ? 1 : -1)).slice(0, limit);
  }

  async #scan(
    conversationId: string,
    query: string,
    limit: number,
    from: PageOptions["before"],
  ): Promise<ChatMessage[]> {
    const words = queryWords(query);
    const found: ChatMessage[] = [];
    let before = from;
    while (words.length > 0) {
      const page = await this.messages(conversationId, { limit: SEARCH_BATCH, ...(before && { before }) });
      for (const message of page) {
        if (message.text !== undefined && matchesWords(message.text, words)) found.push(message);
        if (found.length === limit) return found;
      }
      before = page.at(-1);
      if (page.length < SEARCH_BATCH) break;
    }
    return found;
  }

  // Events.

  /**
   * What happens, in order, from the first event the application has not dealt with. An event counts as dealt with when
   * the loop asks for the next one. Several loops may run; each sees every event from its start on. Ends when the client closes or
   * `signal` aborts.
   */
  events(options: CallOptions = {}): AsyncIterable<ChatEvent> {
    return { [Symbol.asyncIterator]: () => this.#feed.read(options.signal) };
  }

  /**
   * Finishes what is under way, disconnects and closes the storage. Messages on their way to a node, and proofs for them, get up to 3 s; what
   * no node has taken by then is sent after the next start.
   */
  close(): Promise<void> {
    this.#closing ??= this.#close();
    return this.#closing;
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.close();
  }

  async #close(): Promise<void> {
    this.#feed.close();
    this.#cancelAcknowledge();
    if (this.#acknowledge !== undefined) this.#flushAcknowledged();
    await this.#engine.close();
    // Until its first step has ended the core stores them.
    this.#rlnCredentials.fill(0);
    await release(this.#parts);
  }

  #acknowledgeSoon(eventNumber: bigint): void {
    if (this.#acknowledge === undefined && !this.#closing) {
      this.#cancelAcknowledge = this.#clock.at(this.#clock.now() + ACKNOWLEDGE_DELAY_MS, () =>
        this.#flushAcknowledged(),
      );
    }
    this.#acknowledge = eventNumber;
    if (this.#closing) this.#flushAcknowledged();
  }

  #flushAcknowledged(): void {
    const eventNumber = this.#acknowledge;
    this.#acknowledge = undefined;
    if (eventNumber !== undefined) this.#engine.feed({ case: "acknowledgeEvents", value: { eventNumber } });
  }

  #open(row: MessageRow): ChatMessage {
    return toMessage(this.#vault.openMessage(row));
  }
}

/** Before anything is opened: makes the membership theirs. Throws INVALID_ARGUMENT, and CLOSED. */
export function takeMembership(parts: Partial<ClientParts>): void {
  const { rln, protocol } = parts;
  if (rln === undefined) return;
  // Also null, and whatever else a program may have in its place: without a membership nothing would be proved, in silence.
  if (!(rln instanceof RlnMembership))
    throw new ChatError(
      ErrorCode.INVALID_ARGUMENT,
      "rln: must be a membership; make it with new RlnMembership({ group, circuit, credentials }), or leave it out",
    );
  rln.take(parts);
  if (protocol?.rateLimit)
    throw new ChatError(ErrorCode.INVALID_ARGUMENT, "protocol.rateLimit: rln sets it; leave it out");
}

/** Closes what there is of a client's parts; a membership that another client has stays open. */
export async function release(parts: Partial<ClientParts>): Promise<void> {
  const { transport, anchor, rln, storage } = parts;
  const closings = [
    () => transport?.stop(),
    () => anchor?.close?.(),
    () => (rln instanceof RlnMembership ? rln.release(parts) : undefined),
    () => storage?.close(),
  ];
  const failures: unknown[] = [];
  for (const close of closings)
    await Promise.resolve()
      .then(close)
      .catch((error: unknown) => failures.push(error));
  if (failures.length > 0) throw failures[0];
}

function positionOf({ lamport, id }: Pick<ChatMessage, "id" | "lamport">): { lamport: bigint; messageId: string } {
  return { lamport, messageId: id };
}
