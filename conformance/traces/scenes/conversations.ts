import { SessionState } from "@chatsdk/abi/api_pb";
import { AttachmentReferenceSchema, ReactionSchema, ReplySchema } from "@chatsdk/abi/content_pb";
import { ErrorCode } from "@chatsdk/abi/errors_pb";
import { censorSequences, chatter } from "../../src/chatter.ts";
import { text } from "../../src/people.ts";
import { CALM } from "../../src/world.ts";
import {
  basic,
  DAY,
  HOUR,
  inject,
  MINUTE,
  refused,
  restart,
  restore,
  say,
  SECOND,
  type Stage,
  talked,
} from "../stage.ts";

const ROUGH = { loss: 0.1, duplication: 0.15, delayMs: 400, reorder: 4, store: true };

/** Both talk at the same time over a network that loses, doubles and shuffles. */
export function chat(maximumSuite: number, messages: number) {
  return (stage: Stage): void => {
    const { alice, bob, id } = talked(stage, { maximumSuite });
    const { world } = stage;
    world.weather = ROUGH;
    chatter([alice, bob], id, messages, 2 * SECOND);
    world.run(10 * MINUTE);
    restart(bob);
    world.run(HOUR);
    for (const person of [alice, bob]) world.acknowledge(person.machine);
    if (bob.texts.length !== messages + 1) throw new Error(`bob has ${bob.texts.length} messages`);
  };
}

/** A network that stores nothing: only the sender can supply what was lost. */
export function withoutStore(stage: Stage): void {
  const { alice, bob, id } = talked(stage);
  const { world } = stage;
  world.weather = { ...ROUGH, loss: 0.25, store: false };
  chatter([alice, bob], id, 30, 3 * SECOND);
  world.run(6 * HOUR);
}

/** Messages that never arrive: reported missing, then lost; others expire. */
export function lost(stage: Stage): void {
  const { alice, bob, id } = talked(stage, {
    messageTtlMs: BigInt(2 * HOUR),
    repairAttempts: 3,
    historyIntervalMs: HOUR,
  });
  const { world } = stage;
  world.censor = censorSequences(alice, [3, 4, 6]);
  for (let i = 0; i < 8; i++) alice.send(id, `number ${i}`);
  world.run(DAY);
  if (bob.eventsOf("messagesLost").length === 0) throw new Error("nothing was reported lost");
  world.censor = () => false;
  world.switchOff(bob.machine);
  alice.send(id, "expires");
  world.run(DAY);
  world.switchOn(bob.machine);
  alice.send(id, "after all that");
  world.run(HOUR);
}

/** No node takes what is published, then one does; the connection comes and goes. */
export function offline(stage: Stage): void {
  const { alice, id } = talked(stage);
  const { world } = stage;
  world.refuse = ({ from }) => from === alice.machine.name;
  for (let i = 0; i < 5; i++) alice.send(id, `waits ${i}`);
  world.run(5 * MINUTE);
  world.feed(alice.machine, { case: "connectionChanged", value: { online: false } });
  world.run(MINUTE);
  world.refuse = () => false;
  world.feed(alice.machine, { case: "connectionChanged", value: { online: true } });
  world.run(10 * MINUTE);
  world.feed(alice.machine, { case: "historyPage", value: { queryId: "unknown", failed: true } });
  world.run(HOUR);
}

/** Messages of many segments, both ways, with a loss in the middle; one that is never complete. */
export function large(stage: Stage): void {
  const { alice, bob, id } = talked(stage, { historyIntervalMs: DAY });
  const { world } = stage;
  const body = (length: number, fill: number): Uint8Array => new Uint8Array(length).fill(fill);
  say(alice, id, { domain: 7, tag: 1, version: 1, payload: body(66_000, 1) });
  world.run(MINUTE);
  world.weather = { ...CALM, loss: 0.5, reorder: 3 };
  say(bob, id, { domain: 7, tag: 1, version: 1, payload: body(66_000, 2) });
  world.run(HOUR);
  world.weather = CALM;
  world.censor = ({ publishId }) => publishId.startsWith(`m/${id}/5/`);
  say(alice, id, { domain: 7, tag: 1, version: 1, payload: body(66_000, 3) });
  world.run(20 * DAY);
}

/** Every content type, and what no type knows. */
export function contents(stage: Stage): void {
  const { alice, bob, id } = talked(stage);
  const { world } = stage;
  const attachment = {
    url: "https://example.org/file",
    mediaType: "image/png",
    size: 12n,
    digest: new Uint8Array(32).fill(1),
    key: new Uint8Array(32).fill(2),
    nonce: new Uint8Array(12).fill(3),
    name: "../cat.png",
  };
  const first = alice.send(id, "grüße 👋 \u0000 e\u0301");
  const all = [
    text(""),
    basic(2, ReplySchema, { messageId: first, text: "yes" }),
    basic(3, ReactionSchema, { messageId: first, reaction: "👍" }),
    basic(3, ReactionSchema, { messageId: first }),
    basic(5, AttachmentReferenceSchema, attachment),
    { domain: 0x63686573, tag: 1, version: 1, payload: new TextEncoder().encode('{"from":"e2","to":"e4"}') },
    { domain: 0xffffffff, tag: 0xffffffff, version: 0xffffffff, payload: new Uint8Array(0) },
    { domain: 0, tag: 99, version: 1, payload: Uint8Array.of(1, 2, 3) },
    { domain: 0, tag: 1, version: 2, payload: text("from the future").payload },
  ];
  for (const content of all) {
    say(bob, id, content);
    world.run(SECOND);
  }
  world.run(MINUTE);
  const newest = bob.eventsOf("messageReceived").at(-1)!.message!.messageId;
  bob.call({ case: "markRead", value: { conversationId: id, messageId: newest, sendReceipt: false } }, "done");
  bob.call({ case: "markRead", value: { conversationId: id, messageId: newest, sendReceipt: true } }, "done");
  alice.call(
    { case: "markRead", value: { conversationId: id, messageId: "????????????????", sendReceipt: true } },
    "done",
  );
  world.run(HOUR);
}

/** An old copy is opened; the session is lost and, with the peer's consent, repaired. Then once more from the other side. */
export function rollback(stage: Stage): void {
  const { alice, bob, id } = talked(stage, { historyIntervalMs: HOUR });
  const { world } = stage;
  const backup = alice.machine.disk.copy();
  alice.send(id, "after the backup");
  bob.send(id, "answer after the backup");
  world.run(MINUTE);
  alice.send(id, "on its way");
  restore(alice, backup);
  const state = () => alice.machine.disk.conversations.get(id)!.sessionState;
  if (state() !== SessionState.LOST) throw new Error("the session is not lost");
  const value = { conversationId: id, content: text("no") };
  refused(alice, { case: "sendMessage", value }, ErrorCode[ErrorCode.SESSION_LOST]);
  refused(bob, { case: "acceptRepair", value: { conversationId: id } }, "NO_REPAIR_PENDING");
  bob.send(id, "into the old session");
  world.run(MINUTE);
  alice.call({ case: "repairConversation", value: { conversationId: id } }, "done");
  world.run(MINUTE);
  refused(alice, { case: "repairConversation", value: { conversationId: id } }, "REPAIR_TOO_SOON");
  restart(bob);
  bob.call({ case: "acceptRepair", value: { conversationId: id } }, "done");
  world.run(5 * MINUTE);
  if (state() !== SessionState.ESTABLISHED) throw new Error("the session is not repaired");
  alice.send(id, "again");
  bob.send(id, "so you are");
  world.run(5 * MINUTE);
  restore(bob, bob.machine.disk.copy());
  world.run(2 * DAY);
  bob.call({ case: "repairConversation", value: { conversationId: id } }, "done");
  world.run(MINUTE);
  alice.call({ case: "acceptRepair", value: { conversationId: id } }, "done");
  world.run(HOUR);
}

/** More is sent than the rate limit allows: it waits for the next epochs, over a restart as well. */
export function quota(stage: Stage): void {
  const rateLimit = { epochSeconds: 60, messagesPerEpoch: 6 };
  const { alice, bob, id } = talked(stage, { rateLimit });
  const { world } = stage;
  for (let i = 0; i < 15; i++) alice.send(id, `number ${i}`);
  const { waiting } = alice.call({ case: "getQuota", value: {} }, "quota");
  if (waiting === 0) throw new Error("nothing waits");
  world.run(MINUTE);
  restart(alice);
  bob.send(id, "meanwhile");
  world.run(HOUR);
  alice.call({ case: "getQuota", value: {} }, "quota");
  if (bob.texts.length !== 16) throw new Error(`bob has ${bob.texts.length} messages`);
}

/** What an attacker without keys puts on the network. */
export function forged(stage: Stage): void {
  const [alice, bob] = [stage.person("alice"), stage.person("bob")];
  const { world } = stage;
  const link = bob.invite(true);
  const id = alice.accept(link);
  const setUp = world.published.at(-1)!.payload;
  attack(bob, setUp);
  world.run(10 * SECOND);
  bob.send(id, "first answer");
  attack(alice, world.published.at(-1)!.payload);
  world.run(5 * MINUTE);
  alice.send(id, "a plain message");
  const message = world.published.at(-1)!.payload;
  attack(bob, message);
  world.run(MINUTE);
  for (const replayed of [setUp, message, setUp.slice(0, 8), new Uint8Array(0), new Uint8Array(600).fill(7)])
    inject(bob, replayed);
  alice.send(id, "still here");
  world.run(10 * MINUTE);
}

/** Envelopes made of a real one: cut, with a changed bit, with parts of it repeated. */
function attack(person: Parameters<typeof inject>[0], real: Uint8Array): void {
  const { length } = real;
  for (const cut of [1, 8, 10, 12, 60, length >> 1, length - 16, length - 1]) inject(person, real.slice(0, cut));
  for (const position of [0, 1, 3, 9, 10, 12, 20, 60, 100, length >> 1, length - 17, length - 1]) {
    const changed = Uint8Array.from(real);
    changed[position]! ^= 1 << (position % 8);
    inject(person, changed);
  }
  inject(person, Uint8Array.from([...real, ...real]));
  inject(person, Uint8Array.from([...real, 0]));
}
