import type { Event, Message } from "@chatsdk/abi/api_pb";
import { DeliveryStatus } from "@chatsdk/abi/api_pb";
import { openEnvelope } from "./adversary.ts";
import type { Person } from "./people.ts";
import type { World } from "./world.ts";

const hex = (bytes: Uint8Array): string => Buffer.from(bytes).toString("hex");

/**
 * Keys used twice: envelopes that share a hint, hence a chain and a message number, and differ. A hint names exactly one
 * message key, and exactly one pair of header key and nonce.
 */
export function keyReuse(world: World): string[] {
  const payloads = new Map<string, string>();
  const reused: string[] = [];
  for (const { from, publishId, payload } of world.published) {
    const { hint, payload: content } = openEnvelope(payload);
    const known = payloads.get(hex(hint));
    if (known !== undefined && known !== hex(content)) reused.push(`${from} ${publishId} ${hex(hint)}`);
    payloads.set(hex(hint), hex(content));
  }
  return reused;
}

/** What an application that keeps to the numbers has been shown: each event once. */
export function shownEvents(person: Person): Event[] {
  const shown = new Map(person.machine.events.map((event) => [event.eventNumber, event]));
  return [...shown.values()];
}

/** The texts of a conversation by message id: as sent by one side, as stored by the other, as shown to the other. */
export function accountOf(sender: Person, recipient: Person, conversationId: string) {
  const mine = sender.rows(conversationId).filter((row) => row.outgoing);
  const theirs = recipient.rows(conversationId).filter((row) => !row.outgoing);
  const shown = shownEvents(recipient).flatMap(({ event, conversationId: id }) =>
    event.case === "messageReceived" && id === conversationId ? [event.value.message!] : [],
  );
  const entry = ({ messageId, text }: Pick<Message, "messageId" | "text">): string => `${messageId} ${text}`;
  return {
    sent: mine.map(entry).sort(),
    stored: theirs.map(entry).sort(),
    shown: shown.map(entry).sort(),
    undelivered: mine.filter(({ status }) => status < DeliveryStatus.DELIVERED).map(entry),
  };
}
