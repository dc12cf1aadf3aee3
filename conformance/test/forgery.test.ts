import { fromBinary, toBinary } from "@bufbuild/protobuf";
import { EnvelopeSchema, type InboxHandshake, InboxHandshakeSchema } from "@chatsdk/abi/wire_pb";
import { beforeAll, describe, expect, test } from "vitest";
import { nodeCrypto } from "../../bindings-ts/src/crypto/node-crypto.ts";
import { concatBytes } from "../../core/src/bytes.ts";
import { encodeEnvelope } from "../../core/src/envelope/envelope.ts";
import { inboxHint, inboxHintKey } from "../../core/src/handshake/key-agreement.ts";
import { decodeInvite } from "../../core/src/invite/invite-link.ts";
import { SEALED_HEADER_LENGTH } from "../../core/src/ratchet/header.ts";
import { forgeHandshake, type Lies } from "../src/adversary.ts";
import type { Machine } from "../src/machine.ts";
import { seededRandom } from "../src/random.ts";
import { besiege, type Siege } from "../src/siege.ts";

/** Feeds envelopes that must not be taken, and counts. */
class Assault {
  attempts = 0;
  readonly #machine: Machine;
  readonly #nowMs: number;
  readonly #before: string;
  /** What one change, effect or event would be reported as. */
  readonly breaches: string[] = [];

  constructor(siege: Siege) {
    this.#machine = siege.bob.machine;
    this.#nowMs = siege.world.nowMs;
    this.#before = this.#machine.disk.fingerprint();
  }

  try(name: string, payload: Uint8Array): void {
    this.attempts++;
    const outcome = this.#machine.step(this.#nowMs, { case: "envelopeReceived", value: { topic: "/t", payload } });
    const effects = outcome.effects.filter(({ effect }) => effect.case !== "log");
    const total = outcome.changes.length + outcome.events.length + effects.length;
    if (total > 0 || outcome.reply) this.breaches.push(name);
  }

  /** Nothing was accepted, and the disk is the same to the byte. */
  expectNothing(): void {
    expect(this.breaches).toEqual([]);
    expect(this.#machine.disk.fingerprint() === this.#before).toBe(true);
  }
}

let siege: Siege;
let assault: Assault;
let total = 0;

beforeAll(() => {
  siege = besiege(nodeCrypto);
});

const isHandshake = (name: string): boolean => name.startsWith("set-up") || name.startsWith("repair");
const parts = (payload: Uint8Array) => fromBinary(EnvelopeSchema, payload);
const handshakeOf = (payload: Uint8Array): InboxHandshake => fromBinary(InboxHandshakeSchema, parts(payload).payload);

/** Everything of an envelope that has a meaning: two encodings of the same are no forgery. */
function meaning(name: string, envelope: Uint8Array): string | undefined {
  const hex = (bytes: Uint8Array): string => Buffer.from(bytes).toString("hex");
  try {
    const { hint, payload } = parts(envelope);
    if (!isHandshake(name)) return `${hex(hint)}/${hex(payload)}`;
    const { ephemeralKey, encryptedHello, message } = fromBinary(InboxHandshakeSchema, payload);
    return [hint, ephemeralKey, encryptedHello, message].map(hex).join("/");
  } catch {
    return undefined;
  }
}

function assail(attack: () => void, atLeast: number): void {
  assault = new Assault(siege);
  attack();
  total += assault.attempts;
  assault.expectNothing();
  expect(assault.attempts).toBeGreaterThanOrEqual(atLeast);
}

describe("forged envelopes against a machine in every state", () => {
  test("F3 a flipped bit anywhere in an envelope that is awaited", () => {
    const random = seededRandom(1);
    assail(() => {
      for (const [name, genuine] of siege.awaited) {
        const same = meaning(name, genuine);
        // Every bit of the first 256 bytes and the last 32, and a sample of those between.
        for (let bit = 0; bit < genuine.length * 8; bit++) {
          const inTheMiddle = bit > 256 * 8 && bit < (genuine.length - 32) * 8;
          if (inTheMiddle && random() > 0.25) continue;
          const forged = genuine.slice();
          forged[bit >> 3]! ^= 1 << (bit & 7);
          if (meaning(name, forged) !== same) assault.try(`${name}: bit ${bit}`, forged);
        }
      }
    }, 40_000);
  });

  test("F3 truncated and extended envelopes", () => {
    assail(() => {
      for (const [name, genuine] of siege.awaited) {
        const { hint, payload } = parts(genuine);
        for (let length = 0; length < genuine.length; length++) {
          if (length > 300 && length % 7 !== 0) continue;
          assault.try(`${name}: cut to ${length}`, genuine.subarray(0, length));
          if (length < payload.length)
            assault.try(`${name}: payload of ${length}`, encodeEnvelope(hint, payload.subarray(0, length)));
        }
        for (const more of [1, 16, 58, 1000]) {
          if (!isHandshake(name))
            assault.try(`${name}: ${more} more`, encodeEnvelope(hint, concatBytes(payload, new Uint8Array(more))));
        }
        assault.try(`${name}: short hint`, encodeEnvelope(hint.subarray(1), payload));
        assault.try(`${name}: long hint`, encodeEnvelope(concatBytes(hint, hint), payload));
      }
    }, 5000);
  });

  test("F3 replays of everything the machine ever took, of its own envelopes, and of other people's", () => {
    assail(() => {
      const { taken, own, foreign } = siege;
      for (let round = 0; round < 100; round++) {
        for (const payload of [...taken, ...own, ...foreign]) assault.try("replay", payload);
      }
    }, 1500);
  });

  test("F3 splices: hint of one and payload of another, header of one and body of another", () => {
    const all = [...siege.awaited.values(), ...siege.taken, ...siege.own, ...siege.foreign];
    assail(() => {
      for (const [name, genuine] of siege.awaited) {
        const { hint, payload } = parts(genuine);
        for (const other of all) {
          if (other === genuine) continue;
          const { payload: foreign } = parts(other);
          assault.try(`${name}: payload of another`, encodeEnvelope(hint, foreign));
          for (const cut of [8, 32, SEALED_HEADER_LENGTH, 256, payload.length - 16]) {
            const spliced = concatBytes(payload.subarray(0, cut), foreign.subarray(cut));
            assault.try(`${name}: cut at ${cut}`, encodeEnvelope(hint, spliced));
            const reversed = concatBytes(foreign.subarray(0, cut), payload.subarray(cut));
            assault.try(`${name}: reversed cut at ${cut}`, encodeEnvelope(hint, reversed));
          }
        }
      }
    }, 3000);
  });

  test("F3 random payloads under awaited hints, under random hints, and random bytes", () => {
    const random = seededRandom(2);
    const noise = (length: number): Uint8Array => Uint8Array.from({ length }, () => random() * 256);
    const hints = [...siege.awaited.values()].map((envelope) => parts(envelope).hint);
    const lengths = [0, 1, 15, 16, 57, 58, 59, 74, 75, 314, 330, 1400, 3000];
    assail(() => {
      for (let i = 0; i < 40_000; i++) {
        const hint = hints[i % (2 * hints.length)] ?? noise(8);
        const length = lengths[Math.floor(random() * lengths.length)]! + Math.floor(random() * 3);
        assault.try("random payload", i % 10 === 0 ? noise(length) : encodeEnvelope(hint, noise(length)));
      }
    }, 40_000);
  });

  test("F3 set-ups put together from parts of others", () => {
    const handshakes = [...siege.awaited].filter(([name]) => isHandshake(name));
    const pieces = handshakes.map(([, payload]) => ({ hint: parts(payload).hint, ...handshakeOf(payload) }));
    const links = [siege.singleUseLink, siege.reusableLink].map((link) => decodeInvite(nodeCrypto, link));
    assail(() => {
      for (const hintOf of pieces)
        for (const key of pieces)
          for (const hello of pieces)
            for (const message of pieces) {
              if (new Set([key, hello, message]).size === 1 && hintOf === key) continue;
              const handshake = {
                ...key,
                encryptedHello: hello.encryptedHello,
                message: message.message,
              };
              const encoded = toBinary(InboxHandshakeSchema, handshake);
              assault.try("pieces", encodeEnvelope(hintOf.hint, encoded));
              // Who holds the link can make the hint fit.
              for (const { hash } of links) {
                const hint = inboxHint(nodeCrypto, inboxHintKey(nodeCrypto, hash), key.ephemeralKey);
                if (new Set([key, hello, message]).size > 1) assault.try("pieces", encodeEnvelope(hint, encoded));
              }
            }
    }, 200);
  });
});

describe("dishonest set-ups by somebody who holds the link", () => {
  const mallory = new Uint8Array(32).fill(77);
  const alice = nodeCrypto.ed25519PublicKey(new Uint8Array(32).fill(88));
  const order8 = "e0eb7a7c3b41b8ae1656e3faf19fc46ada098deb9c32b1fd866205165f49b800";
  const bytes = (value: string): Uint8Array => Uint8Array.from(Buffer.from(value, "hex"));
  const lowOrder = [new Uint8Array(32), new Uint8Array(32).fill(1, 0, 1), bytes(order8)];
  const badKemKey = new Uint8Array(1184).fill(0xff);
  const kemKey = nodeCrypto.mlKem768PublicKey(new Uint8Array(64).fill(3));

  const lies: [string, Lies][] = [
    ["another's identity, known by its public key", { hello: { identityKey: alice } }],
    [
      "another's identity in the transcript as well",
      { hello: { identityKey: alice }, transcript: { initiatorIdentity: alice } },
    ],
    ["an identity that is no point", { hello: { identityKey: new Uint8Array(32).fill(0xff) } }],
    ["an identity of small order", { hello: { identityKey: new Uint8Array(32).fill(1, 0, 1) } }],
    ["an identity cut short", { hello: { identityKey: alice.subarray(1) } }],
    ...lowOrder.map((ratchetKey): [string, Lies] => ["a ratchet key of low order", { hello: { ratchetKey } }]),
    ...lowOrder.map((recoveryPrekey): [string, Lies] => [
      "a recovery prekey of low order",
      { hello: { recoveryPrekey } },
    ]),
    ["no ratchet key", { hello: { ratchetKey: new Uint8Array(0) } }],
    ["an invalid encapsulation key", { hello: { kemKey: badKemKey } }],
    ["an encapsulation key cut short", { hello: { kemKey: kemKey.subarray(1) } }],
    ["suite 2 with the encapsulation key stripped", { hello: { kemKey: new Uint8Array(0) } }],
    ["suite 1 with an encapsulation key", { hello: { suite: 1 }, transcript: { suite: 1 } }],
    ["suite 0", { hello: { suite: 0 }, transcript: { suite: 0 } }],
    ["suite 3", { hello: { suite: 3 }, transcript: { suite: 3 } }],
    ["a suite in the hello, another in the transcript", { hello: { suite: 1, kemKey: new Uint8Array(0) } }],
    ["another binding in the transcript", { transcript: { binding: new Uint8Array(32) } }],
    ["another responder in the transcript", { transcript: { responderIdentity: alice } }],
    ["another hello in the transcript", { transcript: { hello: new Uint8Array(10) } }],
    ["an address that is none", { hello: { deliveryAddress: "everybody" } }],
    ["an address of another application", { hello: { deliveryAddress: "/other/2/1/proto" } }],
    ["an empty first message", { plaintext: new Uint8Array(0) }],
    ["a first message without padding", { plaintext: new Uint8Array(256) }],
    ["a first message that is no SDS message", { plaintext: concatBytes(bytes("ffff80"), new Uint8Array(253)) }],
    ["a hint of nobody's", { hint: new Uint8Array(8) }],
  ];

  test.each(lies)("F3 %s", (_, lie) => {
    assail(() => {
      for (const link of [siege.singleUseLink, siege.reusableLink]) {
        const invite = decodeInvite(nodeCrypto, link);
        assault.try("lie", forgeHandshake(nodeCrypto, invite, mallory, `lie ${link}`, lie));
      }
    }, 2);
  });

  test("F3 the machine's own identity", () => {
    const seed = new Uint8Array(32).fill(5);
    const identityKey = siege.bob.call({ case: "listAccounts", value: {} }, "accounts").accounts[0]!.identityKey;
    const lie = { hello: { identityKey }, transcript: { initiatorIdentity: identityKey } };
    assail(() => {
      for (const link of [siege.singleUseLink, siege.reusableLink])
        assault.try("own", forgeHandshake(nodeCrypto, decodeInvite(nodeCrypto, link), seed, "own", lie));
    }, 2);
  });
});

describe("after all that", () => {
  test("F3 more than 100,000 were tried, and every genuine envelope is still taken", () => {
    expect(total).toBeGreaterThan(100_000);
    const { bob, world, awaited } = siege;
    for (const [name, payload] of awaited) {
      const { changes } = bob.machine.step(world.nowMs, { case: "envelopeReceived", value: { topic: "/t", payload } });
      expect(changes.length, name).toBeGreaterThan(0);
    }
    // The forger can tell the truth as well: the lies were refused for what they said.
    for (const link of [siege.reusableLink]) {
      const honest = forgeHandshake(nodeCrypto, decodeInvite(nodeCrypto, link), new Uint8Array(32).fill(77), "honest");
      const { events } = bob.machine.step(world.nowMs, {
        case: "envelopeReceived",
        value: { topic: "/t", payload: honest },
      });
      expect(events.map(({ event }) => event.case)).toEqual(["conversationStarted", "messageReceived"]);
    }
  });
});
