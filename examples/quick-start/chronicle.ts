import type { ChatEvent, ChatMessage, DeliveryStatusName } from "@chatsdk/client";
import { type Speaker, say, ticks } from "./printing.ts";

interface Entry {
  /** What the reader calls it: "[3]". */
  label: string;
  from: Speaker;
}

const steps: DeliveryStatusName[] = ["queued", "sent", "delivered", "read"];
/** Ticks that come this close together share a line. */
const TOGETHER_MS = 150;

/** What has happened to which message, told line by line. */
export class Chronicle {
  readonly #entries = new Map<string, Entry>();
  readonly #statuses = new Map<string, DeliveryStatusName>();
  readonly #received = new Set<string>();
  readonly #untold = new Set<string>();
  readonly #troubles: string[] = [];
  #timer: NodeJS.Timeout | undefined;

  /** What should not happen here: lost, missing or failed messages. */
  get troubles(): readonly string[] {
    return this.#troubles;
  }

  get messageIds(): string[] {
    return [...this.#entries.keys()];
  }

  /** True once all these messages have come at least so far. */
  reached(status: DeliveryStatusName, messageIds = this.messageIds): boolean {
    return messageIds.every((id) => steps.indexOf(this.#statuses.get(id) ?? "queued") >= steps.indexOf(status));
  }

  hasReceived(messageIds: string[]): boolean {
    return messageIds.every((id) => this.#received.has(id));
  }

  /** A message was sent. */
  wrote(from: Speaker, messageId: string, text: string): void {
    const label = `[${this.#entries.size + 1}]`;
    this.#entries.set(messageId, { label, from });
    say(from, `▸ ${label} ${text}`);
  }

  /** Something happened to a person. */
  note(speaker: Speaker, event: ChatEvent, reaction: string | undefined): void {
    switch (event.type) {
      case "messageReceived":
        this.#received.add(event.message.id);
        say(speaker, `◂ ${this.label(event.message.id)} ${this.#describe(event.message, reaction)}`);
        break;
      case "messageStatusChanged":
        if (event.status === "read") this.#noteRead(event.messageId);
        else this.#noteStatus(event.messageId, event.status);
        if (event.status === "failed") this.#troubles.push(`${speaker}: a message failed: ${event.failureReason}`);
        break;
      case "messagesMissing":
      case "messagesLost":
        this.#troubles.push(`${speaker}: ${event.type}: ${event.messageIds.length}`);
        break;
      case "connectionChanged":
        if (event.online) say(speaker, "is online");
        break;
    }
  }

  label(messageId: string): string {
    return this.#entries.get(messageId)?.label ?? "[?]";
  }

  /** `read` is said of a message and means all before it as well. */
  #noteRead(messageId: string): void {
    const reader = this.#entries.get(messageId)?.from;
    for (const [id, { from }] of this.#entries) {
      if (from === reader && this.#statuses.get(id) !== "read") this.#noteStatus(id, "read");
      if (id === messageId) break;
    }
  }

  #noteStatus(messageId: string, status: DeliveryStatusName): void {
    this.#statuses.set(messageId, status);
    this.#untold.add(messageId);
    this.#timer ??= setTimeout(() => this.tellTicks(), TOGETHER_MS);
  }

  /** Prints the ticks that have changed. */
  tellTicks(): void {
    clearTimeout(this.#timer);
    this.#timer = undefined;
    const groups = Map.groupBy(this.#untold, (id) => `${this.#entries.get(id)?.from}/${this.#statuses.get(id)}`);
    for (const ids of groups.values()) {
      const entries = [...this.#entries].filter(([id]) => ids.includes(id)).map(([, entry]) => entry);
      // Read receipts have a status too, but nobody wrote them.
      if (!entries[0]) continue;
      const labels = entries.map(({ label }) => label).join(" ");
      say(entries[0].from, `${ticks[this.#statuses.get(ids[0]!)!]} ${labels}`);
    }
    this.#untold.clear();
  }

  #describe({ text = "", refersTo }: ChatMessage, reaction: string | undefined): string {
    if (refersTo === undefined) return text;
    return reaction ? `${reaction} to ${this.label(refersTo)}` : `↩ ${this.label(refersTo)} ${text}`;
  }
}
