import { create, type MessageInitShape, toBinary } from "@bufbuild/protobuf";
import type { ContentSchema } from "@chatsdk/abi/api_pb";
import { AttachmentReferenceSchema, ReactionSchema, ReplySchema } from "@chatsdk/abi/content_pb";
import { nodeCrypto } from "@chatsdk/client";
import { BasicTag } from "@chatsdk/core";
import { Person, text } from "@chatsdk/conformance/people";
import { World } from "@chatsdk/conformance/world";
import { table } from "./measure.ts";
import { RLN_FIELD_LENGTH, shardMbps, wakuMessageLength } from "./waku-message.ts";

/** Bytes of one message, from its real encoding. */
export interface Size {
  envelope: number;
  wakuMessage: number;
  withProof: number;
}

/** P1's message. */
export const CHAT_MESSAGE = "message, 100 characters";

/** Every kind of message in one suite: what alice and bob publish in a conversation. */
export function measureSizes(suite: number): Record<string, Size> {
  const sizes: Record<string, Size> = {};
  const world = new World();
  const [alice, bob] = ["alice", "bob"].map((name) => new Person(world, name, { maximumSuite: suite }, nodeCrypto));
  const note = (name: string, act: () => void): void => {
    const before = world.published.length;
    act();
    const [publication] = world.published.slice(before);
    if (!publication) throw new Error(`${name}: nothing was published`);
    const { topic, payload } = publication;
    const wakuMessage = wakuMessageLength(topic, payload, world.nowMs);
    sizes[name] = { envelope: payload.length, wakuMessage, withProof: wakuMessage + RLN_FIELD_LENGTH };
  };
  const send = (content: MessageInitShape<typeof ContentSchema>): string =>
    alice!.call({ case: "sendMessage", value: { conversationId, content } }, "sentMessage").message!.messageId;
  const basic = (tag: number, payload: Uint8Array) => ({ domain: 0, tag, version: 1, payload });

  const link = bob!.invite();
  let conversationId = "";
  note("set-up with a first message of 100 characters", () => {
    conversationId = alice!.accept(link, "x".repeat(100));
  });
  world.run(500);
  let messageId = "";
  note("first answer, 100 characters", () => {
    messageId = bob!.send(conversationId, "x".repeat(100));
  });
  world.run(500);
  note(CHAT_MESSAGE, () => send(text("x".repeat(100))));
  note("message, 200 characters", () => send(text("x".repeat(200))));
  note("reply, 100 characters", () =>
    send(basic(BasicTag.reply, toBinary(ReplySchema, create(ReplySchema, { messageId, text: "x".repeat(100) })))),
  );
  note("reaction", () =>
    send(basic(BasicTag.reaction, toBinary(ReactionSchema, create(ReactionSchema, { messageId, reaction: "👍" })))),
  );
  note("attachment reference", () => send(basic(BasicTag.attachmentReference, attachmentReference())));
  note("message, 1,000 characters", () => send(text("x".repeat(1000))));
  note("read receipt", () =>
    alice!.call({ case: "markRead", value: { conversationId, messageId, sendReceipt: true } }, "done"),
  );
  note("acknowledgement on its own", () => world.run(10_000));
  world.censor = () => true;
  send(text("this is lost"));
  world.censor = () => false;
  send(text("this shows it"));
  // Too soon for another acknowledgement, which would tell as well.
  note("repair request", () => world.run(10_000));
  return sizes;
}

function attachmentReference(): Uint8Array {
  const file = {
    url: "https://files.example/".padEnd(80, "x"),
    mediaType: "image/jpeg",
    size: 1_000_000n,
    digest: new Uint8Array(32),
    key: new Uint8Array(32),
    nonce: new Uint8Array(12),
    name: "photo.jpg",
  };
  return toBinary(AttachmentReferenceSchema, create(AttachmentReferenceSchema, file));
}

export function sizes(): string {
  const rows: (string | number)[][] = [];
  for (const suite of [1, 2]) {
    for (const [name, { envelope, wakuMessage, withProof }] of Object.entries(measureSizes(suite)))
      rows.push([suite, name, envelope, wakuMessage, withProof, shardMbps(withProof, 10_000).toFixed(2)]);
  }
  const link = new Person(new World(), "carol", {}, nodeCrypto).invite();
  rows.push(["", "invite link (characters)", link.length, "", "", ""]);
  return table(
    ["suite", "what", "envelope", "WakuMessage", "with RLN proof", "Mbps at 10,000 users, 4 a minute"],
    rows,
  );
}
