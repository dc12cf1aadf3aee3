import { type ChatClient, type ChatMessage, type Conversation, Reaction } from "@chatsdk/client";
import type { DeliveryStatusName, FailureReasonName } from "@chatsdk/client";
import { type Contacts, Introduction } from "./contacts.ts";
import type { Numbers } from "./numbers.ts";
import type { Block, Screen } from "./screen.ts";
import { dayLine, dim, messageBlock, newLine, reactionLine, statusWord } from "./view.ts";

/** What is there to be read is read: the peer is told once this much time has passed without a further message. */
const READ_AFTER_MS = 700;
/** Read from the database at a time. */
const ROWS = 100;

export interface OpenConversationParts {
  client: ChatClient;
  screen: Screen;
  contacts: Contacts;
  numbers: Numbers;
}

/** The conversation on the screen: its messages, with ticks and reactions, and what of it has been read. */
export class OpenConversation {
  conversation: Conversation;
  readonly #parts: OpenConversationParts;
  readonly #shown = new Map<string, { message: ChatMessage; recovered: boolean }>();
  /** By message: who reacted how. */
  readonly #reactions = new Map<string, Map<string, string>>();
  #oldest: ChatMessage | undefined;
  #lastDay = "";
  #unread: ChatMessage | undefined;
  #readTimer: NodeJS.Timeout | undefined;

  constructor(parts: OpenConversationParts, conversation: Conversation) {
    this.#parts = parts;
    this.conversation = conversation;
  }

  get peer(): string {
    return this.#parts.contacts.name(this.conversation);
  }

  async refresh(): Promise<void> {
    this.conversation = await this.#parts.client.conversation(this.conversation.id);
  }

  /** Prints the newest messages. */
  async showNewest(limit: number): Promise<void> {
    const { client, screen } = this.#parts;
    const unread = await client.unreadCount(this.conversation.id);
    const page = await this.#page(Math.max(limit, unread));
    await this.#showPage(page, unread);
    if (page.length === 0) screen.print(dim("      No messages yet. Type one."));
    if (unread > 0) this.#willRead((await client.messages(this.conversation.id)).find(({ outgoing }) => !outgoing));
  }

  /** Prints the page before the oldest one shown. */
  async showOlder(limit: number): Promise<void> {
    const page = await this.#page(limit, this.#oldest);
    await this.#showPage(page, 0);
    if (page.length < limit) this.#parts.screen.print(dim("      This is the beginning."));
  }

  /** A message that was just sent or received. */
  async add(message: ChatMessage, recovered = false): Promise<void> {
    const reaction = Reaction.read(message);
    if (reaction) {
      const { screen, numbers } = this.#parts;
      this.#noteReaction(message, reaction);
      screen.print(reactionLine(message, this.peer, numbers.known(reaction.messageId)));
      await this.#redraw(reaction.messageId);
      return;
    }
    await this.#show(message, recovered);
    if (!message.outgoing) this.#willRead(message);
  }

  async noteStatus(messageId: string, status: DeliveryStatusName, reason?: FailureReasonName): Promise<void> {
    const { screen, numbers } = this.#parts;
    const target = this.#shown.get(messageId)?.message;
    if (!target) return;
    const isReadToo = (other: ChatMessage): boolean =>
      status === "read" && other.outgoing && other.lamport <= target.lamport && other.status !== "read";
    for (const { message } of this.#shown.values()) {
      if (message !== target && !isReadToo(message)) continue;
      message.status = status;
      if (reason) message.failureReason = reason;
      await this.#redraw(message.id);
      if (!screen.interactive || status === "failed") {
        screen.print(dim(`      ${numbers.of(message)} ${statusWord(status, reason)}`));
      }
    }
  }

  /** Tells the peer now what has been read. */
  async flushRead(): Promise<void> {
    clearTimeout(this.#readTimer);
    const newest = this.#unread;
    this.#unread = undefined;
    if (newest) await this.#parts.client.markRead(this.conversation.id, newest.id);
  }

  #willRead(message: ChatMessage | undefined): void {
    clearTimeout(this.#readTimer);
    this.#unread = message;
    // It fails if the conversation was deleted or its session is lost: then there is nothing to be told.
    this.#readTimer = setTimeout(() => void this.flushRead().catch(() => {}), READ_AFTER_MS);
  }

  /** The messages before one, newest first: those that get lines of their own. Reactions are noted on the way. */
  async #page(limit: number, before?: ChatMessage): Promise<ChatMessage[]> {
    const found: ChatMessage[] = [];
    let from = before;
    for (;;) {
      const rows = await this.#parts.client.messages(this.conversation.id, {
        limit: ROWS,
        ...(from && { before: from }),
      });
      for (const message of rows) {
        from = message;
        this.#oldest = message;
        const reaction = Reaction.read(message);
        if (reaction) this.#noteReaction(message, reaction, { isOlder: true });
        else if (!Introduction.matches(message)) found.push(message);
        if (found.length === limit) return found;
      }
      if (rows.length < ROWS) return found;
    }
  }

  async #showPage(newestFirst: readonly ChatMessage[], unread: number): Promise<void> {
    const firstNew = newestFirst.filter(({ outgoing }) => !outgoing)[unread - 1];
    this.#lastDay = "";
    for (const message of newestFirst.toReversed()) {
      if (message === firstNew) {
        this.#showDay(message);
        this.#parts.screen.print(newLine(unread));
      }
      await this.#show(message, false);
    }
  }

  async #show(message: ChatMessage, recovered: boolean): Promise<void> {
    const { screen } = this.#parts;
    this.#shown.set(message.id, { message, recovered });
    this.#showDay(message);
    screen.printBlock(message.id, await this.#render(message.id));
  }

  #showDay({ sentAt }: ChatMessage): void {
    const day = sentAt.toDateString();
    if (day !== this.#lastDay) this.#parts.screen.print(dayLine(sentAt));
    this.#lastDay = day;
  }

  async #redraw(messageId: string): Promise<void> {
    if (this.#shown.has(messageId)) this.#parts.screen.update(messageId, await this.#render(messageId));
  }

  async #render(messageId: string): Promise<Block> {
    const { message, recovered } = this.#shown.get(messageId)!;
    const answers = message.refersTo === undefined ? undefined : await this.#find(message.refersTo);
    const reactions = this.#reactions.get(messageId) ?? new Map<string, string>();
    return messageBlock({
      message,
      number: this.#parts.numbers.of(message),
      peer: this.peer,
      answers,
      reactions,
      recovered,
    });
  }

  async #find(messageId: string): Promise<ChatMessage | undefined> {
    const shown = this.#shown.get(messageId)?.message;
    return shown ?? this.#parts.client.message(this.conversation.id, messageId).catch(() => undefined);
  }

  /** The newest reaction of each side counts; pages come newest first. */
  #noteReaction(message: ChatMessage, value: { messageId: string; reaction: string }, { isOlder = false } = {}): void {
    const reactions = this.#reactions.get(value.messageId) ?? new Map<string, string>();
    const who = message.outgoing ? "you" : this.peer;
    if (isOlder && reactions.has(who)) return;
    reactions.set(who, value.reaction);
    this.#reactions.set(value.messageId, reactions);
  }
}
