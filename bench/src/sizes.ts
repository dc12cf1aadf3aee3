import { create, toBinary } from "@bufbuild/protobuf";
import { AttachmentReferenceSchema, ReactionSchema, ReplySchema, TextSchema } from "@chatsdk/abi/content_pb";
import type { Effect } from "@chatsdk/abi/host_pb";
import { nodeCrypto } from "@chatsdk/client";
import { BasicTag } from "@chatsdk/core";
import { Person } from "@chatsdk/conformance/people";
import { World } from "@chatsdk/conformance/world";
import { proto_message } from "@waku/proto";
import { table } from "./measure.ts";

/** Field 21, RateLimitProof as nwaku encodes it: a proof of 128 bytes and six fields of 32, each with tag and length. */
const RLN_FIELD_LENGTH = 4 + (3 + 128) + 6 * (2 + 32);
/** 10,000 users, 4 messages a minute each. */
const MESSAGES_PER_SECOND = (10_000 * 4) / 60;

/** The whole WakuMessage as it travels, with a proof of the real length in field 21. */
function wakuMessageLength(topic: string, payload: Uint8Array, withProof: boolean): number {
  const timestamp = BigInt(Date.UTC(2026, 0, 1)) * 1_000_000n;
  const bare = proto_message.WakuMessage.encode({ payload, contentTopic: topic, version: 0, timestamp }).length;
  return withProof ? bare + RLN_FIELD_LENGTH : bare;
}

export function sizes(): string {
  const rows: (string | number)[][] = [];
  for (const suite of [1, 2]) {
    const world = new World();
    const config = { maximumSuite: suite };
    const alice = new Person(world, "alice", config, nodeCrypto);
    const bob = new Person(world, "bob", config, nodeCrypto);
    const link = bob.invite();
    const note = (name: string, count = 1): void => {
      const last = world.published.slice(-count);
      for (const { topic, payload } of last) {
        const [bare, all] = [wakuMessageLength(topic, payload, false), wakuMessageLength(topic, payload, true)];
        rows.push([suite, name, payload.length, bare, all, ((all * MESSAGES_PER_SECOND * 8) / 1e6).toFixed(2)]);
      }
    };
    const content = (person: Person, id: string, tag: number, payload: Uint8Array): void => {
      const effects: Effect[] = [];
      const value = { conversationId: id, content: { domain: 0, tag, version: 1, payload } };
      person.machine.call(world.nowMs, { case: "sendMessage", value }, "sentMessage", effects);
      world.perform(person.machine, effects);
    };
    const id = alice.accept(link, "x".repeat(100));
    note("set-up with a first message of 100 characters");
    world.run(500);
    bob.send(id, "x".repeat(100));
    note("first answer, 100 characters");
    world.run(500);
    alice.send(id, "x".repeat(100));
    note("message, 100 characters");
    if (suite === 2) {
      const messageId = bob.send(id, "x".repeat(200));
      note("message, 200 characters");
      content(
        alice,
        id,
        BasicTag.reply,
        toBinary(ReplySchema, create(ReplySchema, { messageId, text: "x".repeat(100) })),
      );
      note("reply, 100 characters");
      content(
        alice,
        id,
        BasicTag.reaction,
        toBinary(ReactionSchema, create(ReactionSchema, { messageId, reaction: "👍" })),
      );
      note("reaction");
      const file = {
        url: "https://files.example/".padEnd(80, "x"),
        mediaType: "image/jpeg",
        size: 1_000_000n,
        digest: new Uint8Array(32),
        key: new Uint8Array(32),
        nonce: new Uint8Array(12),
        name: "photo.jpg",
      };
      content(
        alice,
        id,
        BasicTag.attachmentReference,
        toBinary(AttachmentReferenceSchema, create(AttachmentReferenceSchema, file)),
      );
      note("attachment reference");
      content(alice, id, BasicTag.text, toBinary(TextSchema, create(TextSchema, { text: "x".repeat(1000) })));
      note("message, 1,000 characters");
      const before = world.published.length;
      world.run(100_000);
      if (world.published.length > before) note("acknowledgement on its own");
    }
  }
  rows.push([
    "",
    "invite link (characters)",
    new Person(new World(), "carol", {}, nodeCrypto).invite().length,
    "",
    "",
    "",
  ]);
  return table(
    ["suite", "what", "envelope", "WakuMessage", "with RLN proof", "Mbps at 10,000 users, 4 a minute"],
    rows,
  );
}
