import type { ChatMessage } from "@chatsdk/client";
import { UsageError } from "./errors.ts";

/** Short numbers for messages, as long as the program runs: ids are too long to type. */
export class Numbers {
  readonly #messages: ChatMessage[] = [];
  readonly #numbers = new Map<string, number>();

  of(message: ChatMessage): number {
    const known = this.#numbers.get(message.id);
    if (known !== undefined) return known;
    const number = this.#messages.push(message);
    this.#numbers.set(message.id, number);
    return number;
  }

  /** The number of a message that has been shown. */
  known(messageId: string): number | undefined {
    return this.#numbers.get(messageId);
  }

  /** The message with a number, in the open conversation. */
  message(number: number, conversationId: string): ChatMessage {
    const message = this.#messages[number - 1];
    if (!message) throw new UsageError(`There is no message ${number} on the screen.`);
    if (message.conversationId !== conversationId)
      throw new UsageError(`Message ${number} is in another conversation.`);
    return message;
  }
}
