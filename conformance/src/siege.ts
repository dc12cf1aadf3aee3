import type { Crypto } from "@chatsdk/core";
import { Person } from "./people.ts";
import { CALM, World } from "./world.ts";

/** Envelopes by what they are. */
export type Corpus = Map<string, Uint8Array>;

/**
 * A machine in every state a session can be in, and the envelopes an attacker may have: those it still awaits (held
 * back on the network), those it has taken, its own, and those of other people.
 */
export interface Siege {
  world: World;
  bob: Person;
  /** Held back: each would be accepted as it is. */
  awaited: Corpus;
  /** Taken by Bob's machine before. */
  taken: Uint8Array[];
  /** Published by Bob's machine. */
  own: Uint8Array[];
  /** Of a conversation Bob has no part in. */
  foreign: Uint8Array[];
  singleUseLink: string;
  reusableLink: string;
}

/** Nobody sends anything twice, or says what is missing: what is held back stays awaited. */
const PATIENT = { resendAfterMs: 1e9, gapDelayMs: 1e9, ackDelayMs: 1e9 };

export function besiege(crypto: Crypto): Siege {
  const world = new World(99);
  const bob = new Person(world, "bob", PATIENT, crypto);
  const awaited: Corpus = new Map();
  let holdAs: string | undefined;
  let count = 0;
  world.censor = ({ from, payload }) => {
    if (holdAs === undefined || from === "bob") return false;
    awaited.set(`${holdAs} ${++count}`, payload);
    return true;
  };
  /** What others publish meanwhile is held back. */
  const hold = (name: string, act: () => void): void => {
    holdAs = name;
    act();
    holdAs = undefined;
  };
  const person = (name: string, config = {}): Person => new Person(world, name, { ...PATIENT, ...config }, crypto);
  const settle = (): boolean => world.run(20_000);
  world.weather = { ...CALM, store: false };

  // An established conversation, suite 2: messages of the current chain are awaited.
  const alice = person("alice");
  const withAlice = alice.accept(bob.invite());
  settle();
  bob.send(withAlice, "hello alice");
  settle();
  alice.send(withAlice, "one");
  settle();
  hold("current chain", () => {
    alice.send(withAlice, "two");
    alice.send(withAlice, "x".repeat(600));
  });

  // Suite 1: the peer's next chain is awaited.
  const carol = person("carol", { maximumSuite: 1 });
  const withCarol = carol.accept(bob.invite());
  settle();
  bob.send(withCarol, "hello carol");
  settle();
  hold("next chain", () => {
    carol.send(withCarol, "a");
    carol.send(withCarol, "b");
  });

  // Keys of two chains skipped.
  const erin = person("erin");
  const withErin = erin.accept(bob.invite());
  settle();
  bob.send(withErin, "hello erin");
  settle();
  hold("skipped", () => erin.send(withErin, "2"));
  hold("skipped", () => erin.send(withErin, "3"));
  erin.send(withErin, "4");
  settle();
  hold("skipped in a later chain", () => erin.send(withErin, "5"));
  erin.send(withErin, "6");
  settle();

  // We wait for the first answer, which brings the ciphertext of ML-KEM.
  const dave = person("dave");
  const withDave = bob.accept(dave.invite());
  hold("first answer", () => {
    world.run(1000);
    dave.send(withDave, "hello bob");
  });

  // We have not answered yet: the peer's encapsulation key is kept.
  const gina = person("gina");
  const reusableLink = bob.invite(true);
  const withGina = gina.accept(reusableLink, "hello bob");
  world.run(100);
  hold("before our answer", () => gina.send(withGina, "are you there?"));
  hold("set-up on a reusable link", () => person("ines").accept(reusableLink, "me too"));

  // An open single-use link.
  const singleUseLink = bob.invite();
  hold("set-up on a single-use link", () => person("hugo").accept(singleUseLink, "it is me"));

  // A peer has lost its keys.
  const frank = person("frank");
  const withFrank = frank.accept(bob.invite());
  settle();
  bob.send(withFrank, "hello frank");
  settle();
  world.switchOff(frank.machine);
  world.switchOn(frank.machine, true);
  hold("repair", () => frank.call({ case: "repairConversation", value: { conversationId: withFrank } }, "done"));

  // A second account, and people who are not Bob.
  const second = bob.call({ case: "createAccount", value: {} }, "account").accountId;
  const link = bob.call({ case: "createInvite", value: { accountId: second } }, "invite").link;
  person("jane").accept(link, "to your other self");
  const mark = world.published.length;
  const kate = person("kate");
  const leo = person("leo");
  const apart = kate.accept(leo.invite());
  settle();
  leo.send(apart, "not for bob");
  kate.send(apart, "nor this");
  settle();
  const foreign = world.published
    .slice(mark)
    .filter(({ from }) => from === "kate" || from === "leo")
    .map(({ payload }) => payload);

  world.acknowledge(bob.machine);
  const held = new Set(awaited.values());
  const outsiders = new Set(["bob", "kate", "leo", "dave"]);
  return {
    world,
    bob,
    awaited,
    taken: world.published
      .filter(({ from, payload }) => !outsiders.has(from) && !held.has(payload))
      .map(({ payload }) => payload),
    own: world.published.filter(({ from }) => from === "bob").map(({ payload }) => payload),
    foreign,
    singleUseLink,
    reusableLink,
  };
}
