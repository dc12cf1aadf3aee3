import { create, toBinary } from "@bufbuild/protobuf";
import type { Event, Message } from "@chatsdk/abi/api_pb";
import { TextSchema } from "@chatsdk/abi/content_pb";
import { BasicTag, type Crypto, nobleCrypto } from "@chatsdk/core";
import { type ConfigValue, type InputValue, Machine, type ReplyCase, replyValue, type ReplyValue } from "./machine.ts";
import type { World } from "./world.ts";

export function text(value: string) {
  return {
    domain: 0,
    tag: BasicTag.text,
    version: 1,
    payload: toBinary(TextSchema, create(TextSchema, { text: value })),
  };
}

type EventValue<Case> = Extract<Event["event"], { case: Case }>["value"];

/** A machine with one account in a world: a new one of this name, or one that has not been started. */
export class Person {
  readonly machine: Machine;
  accountId = "";

  constructor(
    readonly world: World,
    who: string | Machine,
    config: ConfigValue = {},
    crypto: Crypto = nobleCrypto,
  ) {
    this.machine = typeof who === "string" ? new Machine(who, crypto, { clusterId: 42, ...config }) : who;
    world.start(this.machine);
    this.accountId = this.call({ case: "createAccount", value: {} }, "account").accountId;
  }

  /** Throws the failure, or `Interrupted`. */
  call<Case extends ReplyCase>(input: InputValue, expected: Case): ReplyValue<Case> {
    return replyValue(this.world.call(this.machine, input), expected);
  }

  invite(reusable = false): string {
    return this.call({ case: "createInvite", value: { accountId: this.accountId, reusable } }, "invite").link;
  }

  /** Accepts a link; returns the conversation's id. */
  accept(link: string, first = "hello"): string {
    return this.call(
      { case: "acceptInvite", value: { accountId: this.accountId, link, content: text(first) } },
      "sentMessage",
    ).conversation!.conversationId;
  }

  send(conversationId: string, value: string): string {
    return this.call({ case: "sendMessage", value: { conversationId, content: text(value) } }, "sentMessage").message!
      .messageId;
  }

  /** What the application was shown of one kind, a replayed event once. */
  eventsOf<Case extends NonNullable<Event["event"]["case"]>>(kind: Case): EventValue<Case>[] {
    const seen = new Set<bigint>();
    return this.machine.events.flatMap(({ eventNumber, event }) => {
      if (event.case !== kind || seen.has(eventNumber)) return [];
      seen.add(eventNumber);
      return [event.value as unknown as EventValue<Case>];
    });
  }

  get texts(): string[] {
    return this.eventsOf("messageReceived").map(({ message }) => message!.text ?? "");
  }

  /** Ids of messages that reached a status, by events. */
  withStatus(status: number): string[] {
    return this.eventsOf("messageStatusChanged")
      .filter((change) => change.status === status)
      .map(({ messageId }) => messageId);
  }

  /** The message store's rows of a conversation. */
  rows(conversationId: string): Message[] {
    return [...this.machine.disk.messages.values()]
      .filter((row) => row.conversationId === conversationId)
      .map((row) => this.machine.vault.openMessage(row));
  }
}

/** Two people with an established conversation. */
export function pair(world: World, config: ConfigValue = {}, crypto: Crypto = nobleCrypto) {
  const alice = new Person(world, "alice", config, crypto);
  const bob = new Person(world, "bob", config, crypto);
  const conversationId = alice.accept(bob.invite());
  world.run(10_000);
  return { alice, bob, conversationId };
}
