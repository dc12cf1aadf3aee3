import { nodeCrypto } from "@chatsdk/client";
import { fromBinary } from "@bufbuild/protobuf";
import { type ConversationRecord, ConversationRecordSchema, PrekeyRecordSchema } from "@chatsdk/abi/records_pb";
import { Person } from "../src/people.ts";
import { type Publication, World } from "../src/world.ts";

/** An envelope of an honest sender that has not reached its recipient yet. */
interface Held {
  from: string;
  publishId: string;
  payload: Uint8Array;
}

export interface Scene {
  world: World;
  /** The machine under attack. */
  victor: Person;
  /** Genuine envelopes that victor would accept now. */
  held: Held[];
  /** Texts that they bring. */
  heldTexts: string[];
  /** Envelopes that victor has accepted, the set-ups first. */
  accepted: Uint8Array[];
  acceptedSetUps: Uint8Array[];
  /** Envelopes that victor has sent. */
  own: Uint8Array[];
  /** Envelopes between other accounts of other machines. */
  foreign: Uint8Array[];
  /** Links of victor's: open, and used up with the second use reported. */
  links: { single: string; reusable: string; used: string };
  /** Ids of conversations of victor's, by the peer's name. */
  conversations: Record<"ann" | "ben" | "cat" | "dan" | "eve" | "hal", string>;
}

/** The record of a conversation as victor's machine, or another's, has stored it. */
export function conversationOf(person: Person, id: string): ConversationRecord {
  const key = `conv/${id}`;
  const { disk, vault } = person.machine;
  return fromBinary(ConversationRecordSchema, vault.openRecord(key, disk.records.get(key)!));
}

/** The public half of the prekey kept for the repair of a conversation. */
export function recoveryPrekeyOf(person: Person, id: string): Uint8Array {
  const key = `prekey/${conversationOf(person, id).recoveryPrekeyId}`;
  const { disk, vault } = person.machine;
  return fromBinary(PrekeyRecordSchema, vault.openRecord(key, disk.records.get(key)!)).publicKey;
}

/**
 * Victor in the middle of everything: two accounts, six conversations (one waits for the first answer of an ML-KEM
 * set-up, one has skipped keys, one is of the classic suite), an open single-use and an open reusable link, a used-up one, recovery
 * prekeys. Of each kind of envelope that could be accepted next, a genuine one is held back.
 */
export function buildScene(): Scene {
  const world = new World(20260101);
  const person = (name: string, config = {}): Person => new Person(world, name, config, nodeCrypto);
  const victor = person("victor");
  const second = victor.call({ case: "createAccount", value: {} }, "account").accountId;
  const names = ["ann", "ben", "cat", "dan", "fay", "gus", "hal", "ian", "joe", "mal"] as const;
  const people = Object.fromEntries(names.map((name) => [name, person(name)])) as Record<
    (typeof names)[number],
    Person
  >;
  const { ann, ben, cat, dan, fay, gus, hal, ian, joe, mal } = people;
  const eve = person("eve", { maximumSuite: 1 });

  const held = new Map<string, Held>();
  let holding: (publication: Publication) => boolean = () => false;
  const fromCat = new Set([4, 5, 9]);
  let catId = "";
  world.censor = (publication) => {
    const { from, publishId, payload } = publication;
    const sequence = Number(publishId.split("/")[2]);
    const skipped = from === "cat" && publishId.startsWith(`m/${catId}/`) && fromCat.has(sequence);
    if (!skipped && !holding(publication)) return false;
    held.set(Buffer.from(payload).toString("latin1"), { from, publishId, payload });
    return true;
  };
  const talk = (other: Person, id: string, turns: number): void => {
    for (let turn = 0; turn < turns; turn++) {
      other.send(id, `${other.machine.name} ${turn}`);
      world.run(50);
      victor.send(id, `to ${other.machine.name} ${turn}`);
      world.run(50);
    }
  };

  const used = victor.invite();
  const danId = dan.accept(used);
  world.run(50);
  mal.accept(used);
  const annId = ann.accept(victor.invite());
  const reusable = victor.invite(true);
  catId = cat.accept(reusable);
  const halId = hal.accept(victor.invite());
  const foreignId = ian.accept(joe.invite());
  const eveLink = victor.call({ case: "createInvite", value: { accountId: second } }, "invite").link;
  const eveId = eve.accept(eveLink);
  world.run(100);
  for (const [other, id] of [
    [dan, danId],
    [ann, annId],
    [hal, halId],
    [eve, eveId],
  ] as const)
    talk(other, id, 4);
  for (let turn = 0; turn < 10; turn++) {
    (turn % 2 ? ian : joe).send(foreignId, `foreign ${turn}`);
    world.run(50);
  }
  // Three of cat's first chain are skipped; the last is of a chain that victor has not seen.
  for (let number = 2; number <= 12; number++) {
    cat.send(catId, `cat ${number}`);
    world.run(30);
  }
  victor.send(catId, "to cat");
  world.run(50);
  holding = ({ from }) => from === "cat";
  cat.send(catId, "cat next");

  const single = victor.invite();
  holding = ({ from }) => from !== "victor";
  const benId = victor.accept(ben.invite(), "hello ben");
  world.run(100);
  ben.send(benId, "ben answers");
  ann.send(annId, "ann current");
  ann.send(annId, "ann second");
  eve.send(eveId, "eve current");
  fay.accept(single, "fay begins");
  gus.accept(reusable, "gus begins");
  hal.call({ case: "repairConversation", value: { conversationId: halId } }, "done");
  world.run(100);

  const genuine = [...held.values()];
  const arrived = world.published.filter(({ payload }) => !held.has(Buffer.from(payload).toString("latin1")));
  const isForeign = ({ from, publishId }: Publication): boolean =>
    from === "joe" || from === "ian" || (from === "mal" && publishId !== "");
  const forVictor = arrived.filter((publication) => publication.from !== "victor" && !isForeign(publication));
  return {
    world,
    victor,
    held: genuine,
    heldTexts: [
      "cat 4",
      "cat 5",
      "cat 9",
      "cat next",
      "ben answers",
      "ann current",
      "ann second",
      "eve current",
      "fay begins",
      "gus begins",
    ],
    accepted: forVictor.map(({ payload }) => payload),
    acceptedSetUps: forVictor.filter(({ publishId }) => publishId.split("/")[2] === "1").map(({ payload }) => payload),
    own: arrived.filter(({ from }) => from === "victor").map(({ payload }) => payload),
    foreign: arrived.filter(isForeign).map(({ payload }) => payload),
    links: { single, reusable, used },
    conversations: { ann: annId, ben: benId, cat: catId, dan: danId, eve: eveId, hal: halId },
  };
}
