import { create, toBinary } from "@bufbuild/protobuf";
import { base64Encode, BinaryWriter, WireType } from "@bufbuild/protobuf/wire";
import { IntroductionBundleSchema, InviteLinkSchema, PayloadSchema } from "@chatsdk/abi/wire_pb";
import { describe, expect, test } from "vitest";
import { nodeCrypto } from "../../bindings-ts/src/crypto/node-crypto.ts";
import { concatBytes } from "../../core/src/bytes.ts";
import { decodeInvite, INVITE_PREFIX } from "../../core/src/invite/invite-link.ts";
import { Insider } from "../src/adversary.ts";
import { pair, Person, text } from "../src/people.ts";
import { Thief } from "../src/thief.ts";
import { World } from "../src/world.ts";

function strangers(seed: number): [World, Person, Person] {
  const world = new World(seed);
  return [world, new Person(world, "alice", {}, nodeCrypto), new Person(world, "bob", {}, nodeCrypto)];
}

describe("what a newer version may send", () => {
  test("S2 more in a link's signed bundle is passed over", () => {
    const [, alice, bob] = strangers(97);
    const { bundle } = decodeInvite(nodeCrypto, bob.invite());
    const more = new BinaryWriter().tag(20, WireType.Varint).uint32(7).finish();
    const encoded = concatBytes(toBinary(IntroductionBundleSchema, bundle), more);
    const { identitySeed } = new Thief(bob.machine).account(bob.accountId);
    const signature = nodeCrypto.ed25519Sign(identitySeed, concatBytes(Buffer.from(INVITE_PREFIX), encoded));
    const link = toBinary(InviteLinkSchema, create(InviteLinkSchema, { bundle: encoded, signature }));
    const value = { link: INVITE_PREFIX + base64Encode(link, "url") };
    const details = alice.call({ case: "inspectInvite", value }, "inviteDetails");
    expect(details.identityKey).toEqual(bundle.identityKey);
  });

  test("S2 a kind of payload that is unknown here is refused without a trace, and the conversation goes on", () => {
    const world = new World(95);
    const { alice, bob, conversationId } = pair(world, {}, nodeCrypto);
    const insider = new Insider(alice.machine, conversationId);
    const takes = (payload: Uint8Array): boolean =>
      bob.machine.step(world.nowMs, { case: "envelopeReceived", value: { topic: "/t", payload } }).changes.length > 0;
    const carry = (content: Uint8Array): Uint8Array => insider.seal({ content }, create(PayloadSchema));
    const before = bob.machine.disk.fingerprint();
    const unknown = new BinaryWriter().tag(3, WireType.LengthDelimited).bytes(new Uint8Array(30)).finish();
    expect(takes(carry(unknown))).toBe(false);
    expect(takes(carry(new Uint8Array(0)))).toBe(false);
    expect(bob.machine.disk.fingerprint() === before).toBe(true);
    const frame = { timestampMs: 5n, content: text("known") };
    expect(takes(insider.seal({}, create(PayloadSchema, { kind: { case: "frame", value: frame } })))).toBe(true);
  });
});

describe("a set-up made in time", () => {
  test("U1 U2 reaches the link's author even if the author comes back an hour after the link has expired", () => {
    const [world, alice, bob] = strangers(98);
    const value = { accountId: bob.accountId, validForMs: 3600_000n };
    const { link } = bob.call({ case: "createInvite", value }, "invite");
    world.switchOff(bob.machine);
    alice.accept(link, "in time");
    world.run(2 * 3600_000);
    world.switchOn(bob.machine);
    world.run(60_000);
    expect(bob.texts).toEqual(["in time"]);
  });
});
