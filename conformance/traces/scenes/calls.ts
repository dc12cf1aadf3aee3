import { Insider } from "../../src/adversary.ts";
import { text, type Person } from "../../src/people.ts";
import { seededRandom } from "../../src/random.ts";
import { type Fault, Interrupted } from "../../src/world.ts";
import { HOUR, MINUTE, refused, restart, SECOND, type Stage, talked, tried, UNKNOWN_ID } from "../stage.ts";

const MAX_OUTBOX = 1000;
const TOO_LARGE = (64 * 1024 - 512) * 255;

/** Every call about conversations and messages, as it should be used and as it should not. */
export function calls(stage: Stage): void {
  const { alice, bob, id } = talked(stage);
  const { world } = stage;
  const conversationId = UNKNOWN_ID;
  const messageId = "AAAAAAAAAAAAAAAA";
  const content = text("x");
  const notFound = "CONVERSATION_NOT_FOUND";
  refused(alice, { case: "sendMessage", value: { conversationId, content } }, notFound);
  refused(alice, { case: "cancelMessage", value: { conversationId, messageId } }, notFound);
  refused(alice, { case: "markRead", value: { conversationId, messageId, sendReceipt: true } }, notFound);
  refused(alice, { case: "deleteConversation", value: { conversationId } }, notFound);
  refused(alice, { case: "getSafetyNumber", value: { conversationId } }, notFound);
  refused(alice, { case: "setVerified", value: { conversationId, verified: true } }, notFound);
  refused(alice, { case: "repairConversation", value: { conversationId } }, notFound);
  refused(alice, { case: "acceptRepair", value: { conversationId } }, notFound);
  refused(alice, { case: "sendMessage", value: { conversationId: id } }, "INVALID_ARGUMENT");
  const silent = stage.extra("silent");
  const unanswered = alice.accept(silent.invite());
  world.switchOff(silent.machine);
  refused(alice, { case: "repairConversation", value: { conversationId: unanswered } }, "NO_REPAIR_PENDING");
  refused(alice, { case: "acceptRepair", value: { conversationId: unanswered } }, "NO_REPAIR_PENDING");
  const numbers = [alice, bob].map(
    (person) => person.call({ case: "getSafetyNumber", value: { conversationId: id } }, "safetyNumber").digits,
  );
  if (numbers[0] !== numbers[1]) throw new Error("the safety numbers differ");
  for (const verified of [true, true, false])
    alice.call({ case: "setVerified", value: { conversationId: id, verified } }, "done");

  world.refuse = ({ from }) => from === alice.machine.name;
  const taken = alice.send(id, "never mind");
  alice.call({ case: "cancelMessage", value: { conversationId: id, messageId: taken } }, "done");
  refused(alice, { case: "cancelMessage", value: { conversationId: id, messageId: taken } }, "MESSAGE_NOT_FOUND");
  world.refuse = () => false;
  world.run(MINUTE);
  const delivered = alice.send(id, "this one");
  world.run(5 * MINUTE);
  refused(alice, { case: "cancelMessage", value: { conversationId: id, messageId: delivered } }, "MESSAGE_NOT_FOUND");

  // The first message carries the set-up.
  const only = alice.rows(unanswered)[0]!.messageId;
  refused(alice, { case: "cancelMessage", value: { conversationId: unanswered, messageId: only } }, "INVALID_ARGUMENT");

  // Events wait until they are acknowledged, over restarts.
  world.forgetful.add(bob.machine);
  for (let i = 0; i < 5; i++) alice.send(id, `${i}`);
  world.run(SECOND);
  restart(bob);
  const { eventNumber } = bob.machine.events.at(-1)!;
  for (const number of [eventNumber - 2n, 0n, eventNumber, 2n ** 63n])
    bob.call({ case: "acknowledgeEvents", value: { eventNumber: number } }, "done");
  restart(bob);
  world.run(HOUR);
}

/** A content that is too large, and an outbox that is full. */
export function limits(stage: Stage): void {
  const alice = stage.person("alice");
  const bob = stage.extra("bob");
  const { world } = stage;
  const id = alice.accept(bob.invite());
  world.run(5 * MINUTE);
  const value = { conversationId: id, content: { domain: 7, tag: 1, version: 1, payload: new Uint8Array(TOO_LARGE) } };
  refused(alice, { case: "sendMessage", value }, "CONTENT_TOO_LARGE");
  world.switchOff(bob.machine);
  // As if so many had been sent and never acknowledged: a thousand real ones would fill the trace.
  const insider = new Insider(alice.machine, id);
  insider.record.reliability!.nextSequence += MAX_OUTBOX - 2;
  insider.giveBack();
  alice.send(id, "the last but one");
  alice.send(id, "the last");
  refused(alice, { case: "sendMessage", value: { conversationId: id, content: text("one too many") } }, "OUTBOX_FULL");
}

/** Steps that fail at random: commits refused, processes that die before or after a commit. */
export function failures(stage: Stage): void {
  const { alice, bob, id } = talked(stage);
  const { world } = stage;
  const random = seededRandom(7);
  const faults: Fault[] = ["before the commit", "after the commit", "commit refused", "commit refused", 0, 1];
  let quiet = false;
  world.fault = () => (quiet || random() > 0.12 ? undefined : faults[Math.floor(random() * faults.length)]);
  for (let i = 0; i < 60; i++) {
    const person = random() < 0.5 ? alice : bob;
    tried(person, { case: "sendMessage", value: { conversationId: id, content: text(`number ${i}`) } });
    world.run(Math.round(random() * 4 * SECOND));
  }
  quiet = true;
  world.run(2 * HOUR);
}

/** Whatever comes to three people's minds: calls in any order, with good and bad arguments, in bad weather. */
export function anything(seed: number) {
  return (stage: Stage): void => {
    const people = [stage.person("alice"), stage.person("bob", { maximumSuite: 1 }), stage.extra("carol")];
    const { world } = stage;
    const random = seededRandom(seed);
    const pick = <Item>(items: readonly Item[]): Item | undefined => items[Math.floor(random() * items.length)];
    const links: string[] = [];
    world.weather = { loss: 0.1, duplication: 0.1, delayMs: 300, reorder: 3, store: true };
    world.fault = () => (random() < 0.01 ? "commit refused" : undefined);
    for (let i = 0; i < 100; i++) {
      const person = pick(people)!;
      act(person, random(), links, pick);
      world.run(random() < 0.1 ? HOUR : Math.round(random() * 5 * SECOND));
    }
    world.fault = () => undefined;
    world.run(HOUR);
  };
}

function act(person: Person, what: number, links: string[], pick: <Item>(items: readonly Item[]) => Item | undefined) {
  const { accountId, machine } = person;
  const rows = [...machine.disk.messages.values()];
  const row = pick(rows);
  const conversationId = pick([...machine.disk.conversations.keys()]) ?? UNKNOWN_ID;
  const messageId = row?.messageId ?? "AAAAAAAAAAAAAAAA";
  const link = pick(links) ?? "";
  const content = text(`${machine.name} ${rows.length}`);
  if (what < 0.06) {
    try {
      links.push(person.invite(what < 0.03));
    } catch (error) {
      if (!(error instanceof Interrupted)) throw error;
    }
  } else if (what < 0.14) tried(person, { case: "acceptInvite", value: { accountId, link, content } });
  else if (what < 0.7) tried(person, { case: "sendMessage", value: { conversationId, content } });
  else if (what < 0.76) tried(person, { case: "markRead", value: { conversationId, messageId, sendReceipt: true } });
  else if (what < 0.8) tried(person, { case: "cancelMessage", value: { conversationId, messageId } });
  else if (what < 0.83) tried(person, { case: "setVerified", value: { conversationId, verified: what < 0.815 } });
  else if (what < 0.85) tried(person, { case: "getSafetyNumber", value: { conversationId } });
  else if (what < 0.87) tried(person, { case: "listInvites", value: { accountId } });
  else if (what < 0.89) tried(person, { case: "repairConversation", value: { conversationId } });
  else if (what < 0.9) tried(person, { case: "deleteConversation", value: { conversationId } });
  else if (what < 0.95) restart(person);
  else tried(person, { case: "connectionChanged", value: { online: what < 0.98 } });
}
