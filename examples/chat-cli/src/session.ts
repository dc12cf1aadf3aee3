import type { Account, ChatClient, ChatEvent, ChatMessage, Conversation } from "@chatsdk/client";
import { ChatError, ErrorCode, Reaction } from "@chatsdk/client";
import { type Contacts, fingerprint, Introduction } from "./contacts.ts";
import { explain, UsageError } from "./errors.ts";
import { Numbers } from "./numbers.ts";
import { OpenConversation } from "./open-conversation.ts";
import type { Screen } from "./screen.ts";
import * as view from "./view.ts";

const PAGE = 15;

export interface SessionParts {
  client: ChatClient;
  account: Account;
  screen: Screen;
  contacts: Contacts;
  /** What our user is called. */
  name: string;
}

/** One run of the program: what is open, what came in, what the user asks for. */
export class Session {
  readonly client: ChatClient;
  readonly account: Account;
  readonly screen: Screen;
  readonly contacts: Contacts;
  readonly name: string;
  readonly numbers = new Numbers();
  #open: OpenConversation | undefined;
  #connection: "connecting" | "online" | "offline" = "connecting";
  #last: Promise<unknown> = Promise.resolve();

  constructor({ client, account, screen, contacts, name }: SessionParts) {
    this.client = client;
    this.account = account;
    this.screen = screen;
    this.contacts = contacts;
    this.name = name;
  }

  /** One thing after the other: events and commands would print into each other's lines. Failures are shown. */
  async inTurn(task: () => Promise<void>): Promise<void> {
    const turn = this.#last.then(task).catch((error: unknown) => this.screen.print(explain(error)));
    this.#last = turn;
    await turn;
  }

  /** Says who and where we are, and opens the conversation if there is only one. */
  async begin(): Promise<void> {
    if (this.client.online) this.#connection = "online";
    const about = `${fingerprint(this.account.identityKey)}  ${this.#connection}  /help shows the commands`;
    this.screen.print(`${view.bold(this.name)}  ${view.dim(about)}`);
    const conversations = await this.client.conversations(this.account.id);
    if (conversations.length === 1) await this.open(conversations[0]!);
    else await this.showList();
    this.showPrompt();
  }

  // What is open.

  get current(): OpenConversation {
    if (!this.#open)
      throw new UsageError(
        "No conversation is open. /list shows them, /open opens one, /invite or /accept starts one.",
      );
    return this.#open;
  }

  async open(conversation: Conversation): Promise<void> {
    await this.leave();
    const { client, screen, contacts, numbers } = this;
    this.#open = new OpenConversation({ client, screen, contacts, numbers }, conversation);
    this.showPrompt();
    const name = contacts.isNamed(conversation) ? view.bold(this.#open.peer) : "";
    const about = `${view.sessionWord(conversation.session)}, ${view.verifiedWord(conversation)}`;
    screen.print(`\n${[name, fingerprint(conversation.peerIdentityKey), about].join("  ").trimStart()}`);
    await this.#open.showNewest(PAGE);
  }

  async leave(): Promise<void> {
    const left = this.#open;
    this.#open = undefined;
    this.showPrompt();
    await left?.flushRead();
  }

  /** Of a conversation that is gone nothing more can be marked. */
  forgetOpen(): void {
    this.#open = undefined;
    this.showPrompt();
  }

  showPrompt(): void {
    const offline = this.#connection === "online" ? "" : `${view.attention(`○ ${this.#connection}`)} `;
    const peer = this.#open ? ` ${view.theirs(this.#open.peer)} ${view.dim("›")}` : "";
    this.screen.setPrompt(`${offline}${this.name} ${view.dim("›")}${peer} `);
  }

  async showList(): Promise<void> {
    const conversations = await this.client.conversations(this.account.id);
    if (conversations.length === 0) {
      this.screen.print(
        "No conversations yet. /invite makes a link for somebody, /accept LINK uses one you were given.",
      );
      return;
    }
    const listed = conversations.map(async (conversation) => ({
      conversation,
      name: this.contacts.name(conversation),
      fingerprint: fingerprint(conversation.peerIdentityKey),
      unread: await this.client.unreadCount(conversation.id),
      isOpen: conversation.id === this.#open?.conversation.id,
    }));
    this.screen.print(view.listLines(await Promise.all(listed)));
  }

  /** A conversation by its place in the list, or by the beginning of its name. */
  async find(text: string): Promise<Conversation> {
    const conversations = await this.client.conversations(this.account.id);
    const place = /^\d{1,3}$/.test(text) ? conversations[Number(text) - 1] : undefined;
    const named = conversations.filter((conversation) => {
      const name = this.contacts.name(conversation).toLowerCase();
      return name.startsWith(text.toLowerCase()) || name.startsWith(`~${text.toLowerCase()}`);
    });
    if (place) return place;
    if (named.length > 1) throw new UsageError(`Several names begin with "${text}". /list shows their numbers.`);
    if (!named[0]) throw new UsageError(`No conversation "${text}". /list shows them.`);
    return named[0];
  }

  // What happens.

  async handle(event: ChatEvent): Promise<void> {
    try {
      await this.#handle(event);
    } catch (error) {
      // It was deleted while the event was on its way.
      if (!(error instanceof ChatError) || error.code !== ErrorCode.CONVERSATION_NOT_FOUND) throw error;
    }
  }

  async #handle(event: ChatEvent): Promise<void> {
    switch (event.type) {
      case "conversationStarted":
        return this.#started(event.conversation, event.inviteId);
      case "messageReceived":
        return this.#received(event.message, event.recovered);
      case "messageStatusChanged":
        return this.#statusChanged(event);
      case "messagesMissing":
        return this.#notice(event.conversationId, (peer) =>
          view.attention(`⚠ ${count(event.messageIds, "message")} of ${peer} have not arrived; asking for them`),
        );
      case "messagesLost":
        return this.#notice(event.conversationId, (peer) =>
          view.bad(`✗ ${count(event.messageIds, "message")} of ${peer} are lost; ask ${peer} to write again`),
        );
      case "inviteReused":
        return this.screen.print(
          view.attention(
            "⚠ Somebody used one of your single-use links a second time. Nothing was let in; who else has the link?",
          ),
        );
      case "sessionStateChanged":
        return this.#sessionChanged(event.conversationId, event.session);
      case "connectionChanged":
        return this.#connectionChanged(event.online);
    }
  }

  #connectionChanged(online: boolean): void {
    const before = this.#connection;
    this.#connection = online ? "online" : "offline";
    this.showPrompt();
    const offline =
      before === "online" ? "connection lost; trying to reconnect" : "no Waku node can be reached; still trying";
    this.screen.print(online ? view.good("● online") : view.attention(`○ ${offline}`));
  }

  async #started(conversation: Conversation, inviteId: string | undefined): Promise<void> {
    if (inviteId === undefined) return;
    await this.client.send(conversation.id, Introduction.of({ name: this.name }));
    this.screen.print(view.good(`✉ Your invite was accepted by ${fingerprint(conversation.peerIdentityKey)}`));
    if (!this.#open) await this.open(conversation);
  }

  async #received(message: ChatMessage, recovered: boolean): Promise<void> {
    const introduction = Introduction.read(message);
    if (introduction) return this.#introduced(message, introduction.name);
    if (this.#open?.conversation.id === message.conversationId) return this.#open.add(message, recovered);
    const conversations = await this.client.conversations(this.account.id);
    const place = conversations.findIndex(({ id }) => id === message.conversationId) + 1;
    if (place === 0) return;
    const text = Reaction.matches(message) ? "reacted to a message" : view.preview(message);
    const name = view.theirs(this.contacts.name(conversations[place - 1]!));
    this.screen.print(`✉ ${name}: ${text} ${view.dim(`/open ${place}`)}`);
  }

  async #introduced(message: ChatMessage, name: string): Promise<void> {
    const conversation = await this.client.conversation(message.conversationId);
    if (name === "") return;
    this.contacts.introduce(conversation, name);
    // Nothing to be read by our user. Only if it is all that is new: the mark covers what came before.
    if ((await this.client.unreadCount(conversation.id)) === 1) {
      await this.client.markRead(conversation.id, message.id, { sendReceipt: false });
    }
    const who = fingerprint(conversation.peerIdentityKey);
    this.screen.print(view.dim(`      ${who} goes by the name of ${name} (unchecked; /rename)`));
    this.showPrompt();
  }

  async #statusChanged(event: Extract<ChatEvent, { type: "messageStatusChanged" }>): Promise<void> {
    const { conversationId, messageId, status, failureReason } = event;
    if (this.#open?.conversation.id === conversationId) return this.#open.noteStatus(messageId, status, failureReason);
    if (status !== "failed") return;
    await this.#notice(conversationId, (peer) =>
      view.bad(`✗ A message to ${peer}: ${view.statusWord(status, failureReason)}`),
    );
  }

  async #sessionChanged(conversationId: string, session: Conversation["session"]): Promise<void> {
    if (this.#open?.conversation.id === conversationId) await this.#open.refresh();
    const notices: Record<Conversation["session"], (peer: string) => string> = {
      awaitingReply: (peer) => view.dim(`      ${peer} has not answered yet`),
      established: (peer) => view.good(`● ${peer} is there: keys are established`),
      lost: (peer) => view.bad(`✗ Your keys for ${peer} are from an old copy. /repair asks for new ones`),
      repairSent: (peer) => view.attention(`⚠ Waiting for ${peer} to agree to new keys`),
      repairRequested: (peer) =>
        view.attention(
          `⚠ ${peer} asks for new keys. Ask them in another way, such as a call, whether they did; then /repair, and compare /safety again`,
        ),
    };
    await this.#notice(conversationId, notices[session]);
  }

  async #notice(conversationId: string, text: (peer: string) => string): Promise<void> {
    const conversation = await this.client.conversation(conversationId);
    this.screen.print(text(this.contacts.name(conversation)));
  }
}

function count(items: readonly unknown[], noun: string): string {
  return `${items.length} ${noun}${items.length === 1 ? "" : "s"}`;
}
