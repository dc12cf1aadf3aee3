import { DeliveryStatus } from "@chatsdk/abi/api_pb";
import type { Outcome } from "@chatsdk/abi/host_pb";
import type { Person } from "./people.ts";
import type { Publication } from "./world.ts";
import { seededRandom } from "./random.ts";

/** What one side has sent: texts by message id. */
export type Sent = Map<string, string>;

/** Both sides send `count` texts each, at random times `paceMs` apart on average. */
export function chatter(sides: readonly [Person, Person], conversationId: string, count: number, paceMs: number) {
  const random = seededRandom(count + paceMs);
  return sides.map((person) => {
    const sent: Sent = new Map();
    const next = (number: number): void => {
      const value = `${person.machine.name} ${number}`;
      sent.set(person.send(conversationId, value), value);
      if (number < count) person.world.at(2 * random() * paceMs, () => next(number + 1));
    };
    person.world.at(random() * paceMs, () => next(1));
    return sent;
  }) as [Sent, Sent];
}

/**
 * F4: notes every message reported delivered that the recipient has not stored at that moment. `stored` says whether the
 * recipient has it, under a sequence of the sender's.
 */
export function watchDelivered(sender: Person, recipient: Person, conversationId: string): { untrue: string[] } {
  const { disk } = sender.machine;
  const report = { untrue: [] as string[] };
  sender.machine.watch = ({ events }: Outcome) => {
    for (const { event } of events) {
      if (event.case !== "messageStatusChanged" || event.value.status !== DeliveryStatus.DELIVERED) continue;
      const { messageId } = event.value;
      const sequence = disk.messages.get(`${conversationId}/${messageId}`)?.sequence;
      const held = `held/${conversationId}/${String(sequence).padStart(10, "0")}`;
      const { messages, records } = recipient.machine.disk;
      if (!messages.has(`${conversationId}/${messageId}`) && !records.has(held)) report.untrue.push(messageId);
    }
  };
  return report;
}

/** Drops what one machine publishes of the messages with these sequences: the first envelope, every resend, every repair. */
export function censorSequences(sender: Person, sequences: Iterable<number>): (publication: Publication) => boolean {
  const dropped = new Set(sequences);
  return ({ from, publishId }) => {
    const [kind, , sequence] = publishId.split("/");
    return from === sender.machine.name && kind === "m" && dropped.has(Number(sequence));
  };
}

/** Ids of all messages reported in events of one kind, in order, with repetitions. */
export function reported(person: Person, kind: "messagesMissing" | "messagesLost"): string[] {
  return person.eventsOf(kind).flatMap(({ messageIds }) => messageIds);
}
