import { create } from "@bufbuild/protobuf";
import { SessionState } from "@chatsdk/abi/api_pb";
import { SdsMessageSchema } from "@chatsdk/abi/wire_pb";
import { nodeCrypto } from "@chatsdk/client";
import { describe, expect, test } from "vitest";
import { encode } from "../../core/src/codec.ts";
import { inboxHint, inboxHintKey, repairBinding, repairHint } from "../../core/src/handshake/key-agreement.ts";
import { decodeInvite } from "../../core/src/invite/invite-link.ts";
import { Chance } from "../fuzz/chance.ts";
import { Forger, type ForgeryKind, LOW_ORDER_KEYS } from "../fuzz/forger.ts";
import { type HelloFields, type Mark, sealSetUp } from "../fuzz/impostor.ts";
import { buildScene, conversationOf, recoveryPrekeyOf, type Scene } from "../fuzz/scene.ts";

const ENTROPY = new Uint8Array(32).fill(7);

const counts: Record<ForgeryKind, number> = {
  randomBytes: 9000,
  randomWellFormed: 9000,
  awaitedHint: 8000,
  truncated: 12_000,
  extended: 6000,
  bitFlipped: 14_000,
  manyBitsFlipped: 6000,
  replayed: 6000,
  replayedAltered: 7000,
  foreign: 4000,
  reflected: 4000,
  splicedHint: 5000,
  splicedBody: 3500,
  splicedHeader: 3000,
  mixedHandshake: 2000,
  randomEphemeral: 2000,
  lowOrderEphemeral: 1000,
  replayedSetUp: 1500,
  alteredSetUp: 1000,
};

/** Feeds envelopes that must leave no trace, and notes each that does. */
class Observer {
  readonly traces: string[] = [];
  readonly reasons = new Map<string, number>();
  #fed = 0;
  readonly #scene: Scene;
  readonly #before: string;

  constructor(scene: Scene) {
    this.#scene = scene;
    this.#before = scene.victor.machine.disk.fingerprint();
  }

  /** Now and then for good, so that what a step does to the disk and to the machine's memory shows later. */
  feed(kind: string, payload: Uint8Array): void {
    const { victor, world } = this.#scene;
    const input = { case: "envelopeReceived" as const, value: { topic: "/chatsdk/2/0/proto", payload } };
    const forGood = ++this.#fed % 20 === 0;
    try {
      const { changes, events, effects, reply } = forGood
        ? victor.machine.step(world.nowMs, input)
        : victor.machine.prepare(world.nowMs, input, ENTROPY);
      const [log] = effects.map(({ effect }) => effect);
      const dropped = effects.length === 1 && log?.case === "log";
      if (changes.length > 0 || events.length > 0 || reply || !dropped) this.#trace(kind, "it left a trace", payload);
      else this.#count(log.value.message);
    } catch (error) {
      this.#trace(kind, String(error), payload);
    }
    if (this.#fed % 5000 === 0) this.compare(kind);
  }

  /** The database, to the byte. */
  compare(kind: string): void {
    if (this.#scene.victor.machine.disk.fingerprint() !== this.#before) this.traces.push(`${kind}: the disk changed`);
  }

  #count(message: string): void {
    const reason = message.replace("envelope dropped: ", "").replace(/\d+/g, "N");
    this.reasons.set(reason, (this.reasons.get(reason) ?? 0) + 1);
  }

  #trace(kind: string, what: string, payload: Uint8Array): void {
    if (this.traces.length < 20) this.traces.push(`${kind}: ${what}: ${Buffer.from(payload).toString("hex")}`);
  }
}

/** Delivers what was held back: every one must be accepted now, and none twice. */
function expectGenuineAccepted(scene: Scene): void {
  const { victor, world, held, heldTexts, conversations } = scene;
  const feed = (payload: Uint8Array) =>
    victor.machine.step(world.nowMs, { case: "envelopeReceived", value: { topic: "", payload } });
  expect(conversationOf(victor, conversations.ben).session!.kemSeed.length).toBe(64);
  for (const { from, publishId, payload } of held)
    expect(feed(payload).changes.length, `${from} ${publishId}`).toBeGreaterThan(0);
  expect(victor.texts.filter((value) => heldTexts.includes(value)).toSorted()).toEqual(heldTexts.toSorted());
  const states = victor.eventsOf("sessionStateChanged").map(({ sessionState }) => sessionState);
  expect(states).toContain(SessionState.REPAIR_REQUESTED);
  expect(conversationOf(victor, conversations.ben).session!.kemSeed.length).toBe(0);
  for (const { from, payload } of held) expect(feed(payload).changes, `${from}, again`).toEqual([]);
}

interface Door {
  name: string;
  mark: Mark;
  hint: (ephemeralKey: Uint8Array) => Uint8Array;
  /** What a hello must say here, beside the rest. */
  fields: HelloFields;
}

/** Where set-ups come in: two open links, and the repair of a conversation by somebody who knows its public side. */
function doors(scene: Scene): Door[] {
  const { victor, links, conversations } = scene;
  const [single, reusable] = [links.single, links.reusable].map((link) => decodeInvite(nodeCrypto, link));
  const ofLinks = [single!, reusable!].map(({ bundle, hash }) => {
    const mark = { identityKey: bundle.identityKey, prekey: bundle.signedPrekey, binding: hash };
    const hintKey = inboxHintKey(nodeCrypto, hash);
    const name = bundle.reusable ? "reusable" : "single";
    return { name, mark, hint: (key: Uint8Array) => inboxHint(nodeCrypto, hintKey, key), fields: {} };
  });
  const prekey = recoveryPrekeyOf(victor, conversations.hal);
  const binding = repairBinding(nodeCrypto, conversationOf(victor, conversations.hal).sessionId, prekey);
  const hint = (): Uint8Array => repairHint(nodeCrypto, inboxHintKey(nodeCrypto, binding));
  const { identityKey } = single!.bundle;
  // A repair may not weaken the session.
  const fields = { suite: 2, kemKey: nodeCrypto.mlKem768PublicKey(new Uint8Array(64).fill(3)) };
  return [...ofLinks, { name: "repair", mark: { identityKey, prekey, binding }, hint, fields }];
}

/** Hellos that no honest initiator makes, by what is wrong with them. */
function badHellos(scene: Scene): [string, HelloFields][] {
  const identityOf = (name: "ann" | "cat" | "hal"): Uint8Array =>
    conversationOf(scene.victor, scene.conversations[name]).peerIdentityKey;
  const own = decodeInvite(nodeCrypto, scene.links.single).bundle.identityKey;
  const weak = LOW_ORDER_KEYS.flatMap((key): [string, HelloFields][] => [
    ["a ratchet key of low order", { ratchetKey: key }],
    ["a recovery prekey of low order", { recoveryPrekey: key }],
  ]);
  return [
    ["the identity of ann", { identityKey: identityOf("ann") }],
    ["the identity of cat", { identityKey: identityOf("cat") }],
    ["the identity of hal", { identityKey: identityOf("hal") }],
    ["the identity of victor", { identityKey: own }],
    ["an unknown suite", { suite: 3 }],
    ["no suite", { suite: 0 }],
    ["suite 2 without a key", { suite: 2, kemKey: new Uint8Array(0) }],
    ["suite 2 with a key past the modulus", { suite: 2, kemKey: new Uint8Array(1184).fill(0xff) }],
    ["suite 1 with a key", { suite: 1, kemKey: new Uint8Array(1184) }],
    ["a short recovery prekey", { recoveryPrekey: new Uint8Array(31).fill(9) }],
    ["a long ratchet key", { ratchetKey: new Uint8Array(33).fill(9) }],
    ["no address", { deliveryAddress: "" }],
    ["an address of another application", { deliveryAddress: "/other/2/0/proto" }],
    ["an address that is no topic", { deliveryAddress: "/chatsdk/2/../proto" }],
    ...weak,
  ];
}

const SYNC = encode(SdsMessageSchema, create(SdsMessageSchema, { nextSequence: 1 }));

describe("a machine in the middle of everything", () => {
  test("F3 over 100,000 forged envelopes leave it as it was, to the byte, and the genuine ones are still accepted", () => {
    const scene = buildScene();
    const forger = new Forger(scene, 99);
    const observer = new Observer(scene);
    const done: Record<string, number> = {};
    for (const [kind, count] of Object.entries(counts) as [ForgeryKind, number][]) {
      for (let i = 0; i < count; i++) {
        observer.feed(kind, forger.forge(kind));
        done[kind] = i + 1;
      }
    }
    observer.compare("the end");
    console.table(done);
    console.table(Object.fromEntries(observer.reasons));
    expect(observer.traces).toEqual([]);
    expect(done).toEqual(counts);
    const total = Object.values(done).reduce((sum, count) => sum + count, 0);
    expect(total).toBeGreaterThanOrEqual(100_000);
    expect([...observer.reasons.values()].reduce((sum, count) => sum + count, 0)).toBe(total);
    // The forgeries get as far as they can: no check is left out because an earlier one refuses everything.
    for (const reason of [
      "envelope: not decodable",
      "hint: not awaited",
      "header: does not verify",
      "responder hello: does not verify",
      "message: does not verify",
      "handshake: a replay",
      "handshake: a single-use invite, used again",
      "hello: does not verify",
      "key agreement: low-order public key",
    ])
      expect(observer.reasons.get(reason), reason).toBeGreaterThan(10);
    expectGenuineAccepted(scene);
  }, 300_000);

  test("F3 set-ups sealed by the rules, of impostors and with bad hellos, leave it as it was", () => {
    const scene = buildScene();
    const chance = new Chance(5);
    const observer = new Observer(scene);
    let forged = 0;
    for (const { name, mark, hint, fields } of doors(scene)) {
      const seal = (bad: HelloFields, plaintext: Uint8Array): Uint8Array =>
        sealSetUp(mark, chance.bytes(32), chance.bytes(32), { ...fields, ...bad }, hint, plaintext);
      const feed = (what: string, payload: Uint8Array): void => {
        observer.feed(`${name}: ${what}`, payload);
        forged++;
      };
      for (const [what, bad] of badHellos(scene)) feed(what, seal(bad, SYNC));
      for (let i = 0; i < 50; i++)
        feed("a first message that is none", seal({}, Uint8Array.of(7, ...chance.bytes(chance.below(300)))));
      const stolen = encode(SdsMessageSchema, create(SdsMessageSchema, { sequence: 1, messageId: "AAAAAAAAAAAAAAAA" }));
      feed("a first message with an id that is not its own", seal({}, stolen));
      // The very same with nothing wrong is taken, except for a repair: that is for one identity alone.
      const honest = { case: "envelopeReceived" as const, value: { topic: "", payload: seal({}, SYNC) } };
      const { changes } = scene.victor.machine.prepare(scene.world.nowMs, honest);
      scene.victor.machine.core.commitFailed();
      expect(changes.length > 0, name).toBe(name !== "repair");
    }
    observer.compare("the end");
    console.table(Object.fromEntries(observer.reasons));
    expect(observer.traces).toEqual([]);
    expect(forged).toBeGreaterThan(250);
    for (const reason of ["header: does not verify", "hello.ratchet_key: low order", "repair: by another identity"])
      expect(observer.reasons.get(reason), reason).toBeGreaterThan(2);
    expectGenuineAccepted(scene);
  });

  test("F3 forged envelopes among the genuine ones of a history page take nothing from them", () => {
    const scene = buildScene();
    const { victor, world, held, heldTexts } = scene;
    const forger = new Forger(scene, 7);
    const kinds = Object.keys(counts) as ForgeryKind[];
    const page = held.flatMap(({ payload }) => [...kinds.map((kind) => forger.forge(kind)), payload]);
    const envelopes = page.map((payload) => ({ topic: "", payload }));
    const before = victor.texts.length;
    victor.machine.step(world.nowMs, { case: "historyPage", value: { queryId: "h/none/1", envelopes, more: true } });
    const fresh = victor.texts.slice(before);
    for (const value of heldTexts) expect(fresh.filter((shown) => shown === value)).toEqual([value]);
    expect(fresh.filter((value) => !heldTexts.includes(value) && !/^cat \d+$/.test(value))).toEqual([]);
  });
});
