import { readFileSync, writeFileSync } from "node:fs";
import { nobleCrypto } from "@chatsdk/core";
import { beforeAll, describe, expect, test } from "vitest";
import {
  type Bytes,
  bytes,
  concat,
  DH,
  ed25519PublicKey,
  ed25519Sign,
  field,
  framed,
  H,
  hex,
  HKDF,
  HMAC,
  keccak256,
  L,
  open,
  packed,
  parse,
  present,
  publicToX25519,
  seal,
  seedToX25519,
  u16,
  u32,
  utf8,
  x25519PublicKey,
  xseal,
} from "../src/spec-primitives.ts";
import { protocolVectors, render } from "../src/vectors.ts";

const EMPTY = new Uint8Array(0);
const FF = new Uint8Array(32).fill(0xff);

/** A vector file, or a part of one. */
class Vector {
  constructor(
    readonly fields: Record<string, unknown>,
    readonly name: string,
  ) {}

  static file(name: string): Vector {
    return new Vector(JSON.parse(readFileSync(pathOf(name), "utf8")), name);
  }

  has(name: string): boolean {
    return name in this.fields;
  }

  get(name: string): unknown {
    if (!this.has(name)) throw new Error(`${this.name}: no ${name}`);
    return this.fields[name];
  }

  bytes(name: string): Bytes {
    return bytes(this.get(name) as string);
  }

  text(name: string): string {
    return this.get(name) as string;
  }

  number(name: string): number {
    return this.get(name) as number;
  }

  numbers(name: string): number[] {
    return this.get(name) as number[];
  }

  part(name: string): Vector {
    return new Vector(this.get(name) as Record<string, unknown>, `${this.name}.${name}`);
  }

  parts(name: string): Vector[] {
    const list = this.get(name) as Record<string, unknown>[];
    return list.map((part, index) => new Vector(part, `${this.name}.${name}[${index}]`));
  }

  /** The value computed by hand is the one in the file. */
  expect(name: string, value: Bytes | string | number): void {
    const actual = value instanceof Uint8Array ? hex(value) : value;
    expect(actual, `${this.name}.${name}`).toBe(this.get(name));
  }
}

function pathOf(name: string): URL {
  return new URL(`../vectors/protocol/${name}.json`, import.meta.url);
}

describe("vectors are what the core makes", () => {
  const made = Object.entries(protocolVectors()).map(([name, vector]) => [name, render(vector)] as const);

  beforeAll(() => {
    if (process.env["UPDATE_VECTORS"]) for (const [name, text] of made) writeFileSync(pathOf(name), text);
  });

  test.each(made)("S2 %s.json, byte for byte", (name, text) => {
    expect(text).toBe(readFileSync(pathOf(name), "utf8"));
  });
});

/** 04 */
function pad(plaintext: Bytes): Bytes {
  let size = 256;
  while (size < plaintext.length + 1) size *= 2;
  return concat(plaintext, Uint8Array.of(0x80), new Uint8Array(size - plaintext.length - 1));
}

/** 03 */
function hintOf(hintKey: Bytes, number: number): Bytes {
  const beacon = number % 64 === 0;
  const position = beacon ? number / 64 : number;
  const block = HMAC(hintKey, concat(Uint8Array.of(beacon ? 2 : 1), u32(Math.floor(position / 4))));
  return block.subarray(8 * (position % 4), 8 * (position % 4) + 8);
}

function awaitedNumbers(next: number): number[] {
  const ahead = Math.min(Math.max(2 * next, 4), 32);
  const end = Math.ceil((next + ahead) / 8) * 8;
  const beacon = Math.ceil(end / 64) * 64;
  const far = (Math.floor((beacon + 128) / 256) + 1) * 256;
  const window = Array.from({ length: end - next }, (_, i) => next + i);
  return [...window, beacon, beacon + 64, beacon + 128, far, far + 256, far + 512];
}

interface RootStep {
  rootKey: Bytes;
  chainKey: Bytes;
  nextHeaderKey: Bytes;
}

function rootStep(rootKey: Bytes, agreement: Bytes, kemSecret: Bytes): RootStep {
  const o = HKDF(concat(agreement, kemSecret), rootKey, L("root"), 128);
  return { rootKey: o.subarray(0, 32), chainKey: o.subarray(32, 64), nextHeaderKey: o.subarray(64, 128) };
}

const messageKeyOf = (chainKey: Bytes): Bytes => HMAC(chainKey, Uint8Array.of(1));
const nextChainKey = (chainKey: Bytes): Bytes => HMAC(chainKey, Uint8Array.of(2));

interface Sent {
  number: number;
  previousChainLength: number;
  ratchetKey: Bytes;
  chainKey: Bytes;
  headerKey: Bytes;
  transcriptHash: Bytes;
  plaintext: Bytes;
  hello: Bytes;
}

/** 03, "Ratchet message". Compares each part with the file. */
function ratchetMessage(vector: Vector, sent: Sent): { hint: Bytes; message: Bytes } {
  const { number, headerKey, hello } = sent;
  const hint = hintOf(headerKey.subarray(32), number);
  const ad = concat(sent.transcriptHash, hint);
  const key = headerKey.subarray(0, 32);
  const sealedHello =
    hello.length > 0 ? seal(key, concat(Uint8Array.of(1), new Uint8Array(7), u32(number)), hello, ad) : EMPTY;
  const header = concat(sent.ratchetKey, u32(sent.previousChainLength), u32(number), u16(sealedHello.length));
  const sealedHeader = seal(key, concat(new Uint8Array(8), u32(number)), header, ad);
  const messageKey = messageKeyOf(sent.chainKey);
  const m = HKDF(messageKey, EMPTY, L("message"), 44);
  const sealedBody = seal(m.subarray(0, 32), m.subarray(32), sent.plaintext, concat(ad, sealedHeader, sealedHello));
  vector.expect("message_number", number);
  vector.expect("previous_chain_length", sent.previousChainLength);
  vector.expect("ratchet_key", sent.ratchetKey);
  vector.expect("chain_key_before", sent.chainKey);
  vector.expect("chain_key_after", nextChainKey(sent.chainKey));
  vector.expect("message_key", messageKey);
  vector.expect("body_key", m.subarray(0, 32));
  vector.expect("body_nonce", m.subarray(32));
  vector.expect("header_key", key);
  vector.expect("hint_key", headerKey.subarray(32));
  vector.expect("hint", hint);
  if (hello.length > 0) vector.expect("responder_hello", hello);
  if (hello.length > 0) vector.expect("sealed_responder_hello", sealedHello);
  vector.expect("sealed_header", sealedHeader);
  vector.expect("sealed_body", sealedBody);
  return { hint, message: concat(sealedHeader, sealedHello, sealedBody) };
}

/** 04 */
const envelope = (hint: Bytes, payload: Bytes): Bytes => concat(field(1, hint), field(2, payload));

function checkRootStep(vector: Vector, rootKey: Bytes, peerRatchetKey: Bytes, kemSecret: Bytes): RootStep {
  const secret = vector.bytes("ratchet_secret");
  const step = rootStep(rootKey, DH(secret, peerRatchetKey), kemSecret);
  vector.expect("ratchet_key", x25519PublicKey(secret));
  vector.expect("agreement", DH(secret, peerRatchetKey));
  vector.expect("root_key_before", rootKey);
  vector.expect("root_key_after", step.rootKey);
  vector.expect("chain_key", step.chainKey);
  vector.expect("next_header_key", step.nextHeaderKey);
  return step;
}

/** 05, 06: the SdsMessage with one text. */
function textMessage(key: Bytes, role: "I" | "R", lamport: number, acknowledged: number, text: string, nowMs: number) {
  const contentFrame = concat(field(2, 1), field(3, field(1, text)), field(4, 1));
  const payload = present(1, concat(field(1, nowMs), field(10, contentFrame)));
  const peer = role === "I" ? "R" : "I";
  return concat(
    field(2, messageId(key, role, 1)),
    field(10, lamport),
    acknowledged > 0 ? present(11, field(1, messageId(key, peer, acknowledged))) : EMPTY,
    field(20, payload),
    field(30, 1),
    field(31, acknowledged),
  );
}

/** 05 */
function messageId(key: Bytes, role: "I" | "R", sequence: number): string {
  return Buffer.from(HMAC(key, concat(utf8(role), u32(sequence))).subarray(0, 12)).toString("base64url");
}

describe("the text of the specification is complete: everything again, by hand", () => {
  test("U2 01 invite link", () => {
    const v = Vector.file("invite");
    const seed = v.bytes("identity_seed");
    const identityKey = ed25519PublicKey(seed);
    v.expect("identity_key", identityKey);
    v.expect("signed_prekey", x25519PublicKey(v.bytes("prekey_secret")));
    const bundle = concat(
      field(1, identityKey),
      field(2, v.bytes("signed_prekey")),
      field(3, v.text("delivery_address")),
      field(4, v.number("cluster_id")),
      field(5, v.number("shard_count")),
      field(6, v.number("expires_at")),
      field(7, v.get("reusable") as boolean),
      field(8, v.number("suites")),
    );
    v.expect("bundle", bundle);
    const signature = ed25519Sign(seed, concat(utf8("logos_chatintro_2_"), bundle));
    v.expect("signature", signature);
    const link = concat(field(1, bundle), field(2, signature));
    v.expect("link_bytes", link);
    v.expect("link", `logos_chatintro_2_${Buffer.from(link).toString("base64url")}`);
    v.expect("link_hash", H(link));
    v.expect("inbox_hint_key", HKDF(H(link), EMPTY, L("inbox-hint"), 32));
    expect(v.text("link").length).toBeLessThanOrEqual(300);
  });

  test("F1 01 delivery addresses", () => {
    const file = JSON.parse(readFileSync(pathOf("delivery-address"), "utf8")) as Record<string, unknown>[];
    for (const part of file) {
      const v = new Vector(part, "delivery-address");
      const number = Buffer.from(H(concat(L("bucket"), v.bytes("identity_key")))).readUInt32BE();
      for (const address of v.parts("addresses"))
        address.expect("address", `/chatsdk/2/${number % address.number("bucket_count")}/proto`);
    }
  });

  test("U2 01 safety number", () => {
    const v = Vector.file("safety-number");
    const half = (identityKey: Bytes): string => {
      let digest = H(concat(L("safety-number"), identityKey));
      for (let i = 2; i <= 5200; i++) digest = H(concat(digest, identityKey));
      return [0, 1, 2, 3, 4, 5]
        .map((group) => BigInt(`0x${hex(digest.subarray(5 * group, 5 * group + 5))}`) % 100000n)
        .map((number) => String(number).padStart(5, "0"))
        .join(" ");
    };
    v.expect("safety_number", [half(v.bytes("identity_key_a")), half(v.bytes("identity_key_b"))].sort().join(" "));
  });

  test.each([1, 2])("F3 U1 02 set-up with suite %i, the first envelope and the first reply", (suite) => {
    const v = Vector.file(`set-up-suite-${suite}`);
    const binding = v.bytes("link_hash");
    const [ia, ib] = [v.bytes("initiator_identity_seed"), v.bytes("responder_identity_seed")];
    const [IA, IB] = [ed25519PublicKey(ia), ed25519PublicKey(ib)];
    const [pb, ea, ra] = [v.bytes("prekey_secret"), v.bytes("ephemeral_secret"), v.bytes("ratchet_secret")];
    const [PB, EA, RA] = [x25519PublicKey(pb), x25519PublicKey(ea), x25519PublicKey(ra)];
    v.expect("initiator_identity_key", IA);
    v.expect("responder_identity_key", IB);
    v.expect("prekey", PB);
    v.expect("ephemeral_key", EA);
    v.expect("ratchet_key", RA);

    // Stage 1. Both sides' computations.
    const ephemeralIdentity = DH(ea, publicToX25519(IB));
    const ephemeralPrekey = DH(ea, PB);
    expect(hex(DH(seedToX25519(ib), EA))).toBe(hex(ephemeralIdentity));
    expect(hex(DH(pb, EA))).toBe(hex(ephemeralPrekey));
    v.expect("dh_ephemeral_identity", ephemeralIdentity);
    v.expect("dh_ephemeral_prekey", ephemeralPrekey);
    const k = HKDF(concat(FF, ephemeralIdentity, ephemeralPrekey), binding, L("hello"), 44);
    v.expect("hello_key", k.subarray(0, 32));
    v.expect("hello_nonce", k.subarray(32));
    const hello = concat(
      field(1, IA),
      field(2, RA),
      field(3, suite),
      suite === 2 ? field(4, v.bytes("kem_key")) : EMPTY,
      field(5, v.text("initiator_delivery_address")),
      field(6, v.number("now_ms")),
      field(7, v.bytes("initiator_recovery_prekey")),
    );
    v.expect("hello", hello);
    const encryptedHello = seal(k.subarray(0, 32), k.subarray(32), pad(hello), concat(binding, EA));
    v.expect("encrypted_hello", encryptedHello);

    // Stage 2.
    const identityPrekey = DH(seedToX25519(ia), PB);
    expect(hex(DH(pb, publicToX25519(IA)))).toBe(hex(identityPrekey));
    v.expect("dh_identity_prekey", identityPrekey);
    const transcriptHash = H(framed(L("transcript"), u32(suite), binding, IA, IB, EA, PB, hello));
    v.expect("transcript_hash", transcriptHash);
    const s = HKDF(
      concat(FF, identityPrekey, ephemeralIdentity, ephemeralPrekey),
      new Uint8Array(32),
      concat(L("session"), transcriptHash),
      304,
    );
    v.expect("root_key", s.subarray(0, 32));
    v.expect("initiator_chain_key", s.subarray(32, 64));
    v.expect("initiator_header_key", s.subarray(64, 128));
    v.expect("responder_header_key", s.subarray(128, 192));
    v.expect("initiator_next_header_key", s.subarray(192, 256));
    v.expect("message_id_key", s.subarray(256, 288));
    v.expect("session_id", s.subarray(288, 304));
    const idKey = s.subarray(256, 288);
    const nowMs = v.number("now_ms");

    // The first envelope.
    const firstVector = v.part("first_message");
    const plaintext = pad(textMessage(idKey, "I", nowMs, 0, "hello bob", nowMs));
    firstVector.expect("plaintext", plaintext);
    const first = ratchetMessage(firstVector, {
      number: 0,
      previousChainLength: 0,
      ratchetKey: RA,
      chainKey: s.subarray(32, 64),
      headerKey: s.subarray(64, 128),
      transcriptHash,
      plaintext,
      hello: EMPTY,
    });
    const inboxHintKey = HKDF(binding, EMPTY, L("inbox-hint"), 32);
    v.expect("inbox_hint_key", inboxHintKey);
    const inboxHint = HMAC(inboxHintKey, EA).subarray(0, 8);
    v.expect("inbox_hint", inboxHint);
    const handshake = concat(field(1, EA), field(2, encryptedHello), field(3, first.message));
    v.expect("first_envelope", envelope(inboxHint, handshake));

    // The first reply.
    const replyVector = v.part("reply");
    const kem =
      suite === 2 ? nobleCrypto.mlKem768Encapsulate(v.bytes("kem_key"), replyVector.bytes("kem_entropy")) : undefined;
    if (kem) {
      replyVector.expect("kem_ciphertext", kem.ciphertext);
      replyVector.expect("kem_shared_secret", kem.sharedSecret);
      expect(hex(nobleCrypto.mlKem768PublicKey(v.bytes("kem_seed")))).toBe(v.text("kem_key"));
      expect(hex(nobleCrypto.mlKem768Decapsulate(v.bytes("kem_seed"), kem.ciphertext))).toBe(hex(kem.sharedSecret));
    }
    const step = checkRootStep(replyVector.part("root_step"), s.subarray(0, 32), RA, kem?.sharedSecret ?? EMPTY);
    const replyPlaintext = pad(textMessage(idKey, "R", nowMs + 1, 1, "hello alice", nowMs));
    replyVector.expect("plaintext", replyPlaintext);
    const reply = ratchetMessage(replyVector, {
      number: 0,
      previousChainLength: 0,
      ratchetKey: replyVector.bytes("ratchet_key"),
      chainKey: step.chainKey,
      headerKey: s.subarray(128, 192),
      transcriptHash,
      plaintext: replyPlaintext,
      hello: concat(field(1, kem?.ciphertext ?? EMPTY), field(2, v.bytes("responder_recovery_prekey"))),
    });
    v.expect("reply_envelope", envelope(reply.hint, reply.message));

    const repair = v.part("repair");
    const repairBinding = H(framed(L("repair"), s.subarray(288, 304), v.bytes("responder_recovery_prekey")));
    repair.expect("binding", repairBinding);
    const repairHintKey = HKDF(repairBinding, EMPTY, L("inbox-hint"), 32);
    repair.expect("hint_key", repairHintKey);
    repair.expect("hint", HMAC(repairHintKey, EMPTY).subarray(0, 8));
  });

  test("F3 03 ratchet: both sides' chains from the secrets of the set-up and the ratchet secrets alone", () => {
    const setUp = Vector.file("set-up-suite-1");
    const v = Vector.file("ratchet");
    const messages = new Map(v.parts("messages").map((message) => [message.text("name"), message]));
    const at = (name: string): Vector => messages.get(name)!;
    const transcriptHash = setUp.bytes("transcript_hash");
    const reply = setUp.part("reply");
    const responderHello = reply.bytes("responder_hello");

    const check = (
      name: string,
      chain: { key: Bytes; ratchetKey: Bytes; headerKey: Bytes; previous: number },
      number: number,
      hello: Bytes = EMPTY,
    ): void => {
      let chainKey = chain.key;
      for (let i = 0; i < number; i++) chainKey = nextChainKey(chainKey);
      const plaintext = pad(utf8(name));
      at(name).expect("plaintext", plaintext);
      const { hint, message } = ratchetMessage(at(name), {
        number,
        previousChainLength: chain.previous,
        ratchetKey: chain.ratchetKey,
        chainKey,
        headerKey: chain.headerKey,
        transcriptHash,
        plaintext,
        hello,
      });
      at(name).expect("envelope", envelope(hint, message));
    };

    // Bob's first chain: started by the reply.
    const replyStep = reply.part("root_step");
    const rb1 = replyStep.bytes("ratchet_secret");
    const step1 = rootStep(setUp.bytes("root_key"), DH(rb1, setUp.bytes("ratchet_key")), EMPTY);
    const bob1 = {
      key: step1.chainKey,
      ratchetKey: x25519PublicKey(rb1),
      headerKey: setUp.bytes("responder_header_key"),
      previous: 0,
    };
    check("b1", bob1, 1, responderHello);
    check("b2", bob1, 2, responderHello);
    check("b3", bob1, 3, responderHello);

    // Alice's second chain. Its header key comes from the set-up; her first chain had one message.
    const step2 = checkRootStep(at("a1").part("root_step"), step1.rootKey, bob1.ratchetKey, EMPTY);
    const alice2 = {
      key: step2.chainKey,
      ratchetKey: at("a1").bytes("ratchet_key"),
      headerKey: setUp.bytes("initiator_next_header_key"),
      previous: 1,
    };
    check("a1", alice2, 0);
    check("a2", alice2, 1);

    // Bob's second chain: the header key of step 1, four messages before, no hello any more.
    const step3 = checkRootStep(at("b4").part("root_step"), step2.rootKey, alice2.ratchetKey, EMPTY);
    const bob2 = {
      key: step3.chainKey,
      ratchetKey: at("b4").bytes("ratchet_key"),
      headerKey: step1.nextHeaderKey,
      previous: 4,
    };
    check("b4", bob2, 0);

    // Alice's third chain, with a loss and a beacon.
    const step4 = checkRootStep(at("a3").part("root_step"), step3.rootKey, bob2.ratchetKey, EMPTY);
    const alice3 = {
      key: step4.chainKey,
      ratchetKey: at("a3").bytes("ratchet_key"),
      headerKey: step2.nextHeaderKey,
      previous: 2,
    };
    check("a3", alice3, 0);
    check("a4", alice3, 64);
    check("a5", alice3, 65);

    const step5 = checkRootStep(at("b5").part("root_step"), step4.rootKey, alice3.ratchetKey, EMPTY);
    const bob3 = {
      key: step5.chainKey,
      ratchetKey: at("b5").bytes("ratchet_key"),
      headerKey: step3.nextHeaderKey,
      previous: 1,
    };
    check("b5", bob3, 0);
    expect(messages.size).toBe(10);
  });

  test("F3 03 ratchet: what a receiver finds, skips and keeps", () => {
    const setUp = Vector.file("set-up-suite-1");
    const v = Vector.file("ratchet");
    const messages = new Map(v.parts("messages").map((message) => [message.text("name"), message]));
    interface Chain {
      hintKey: string;
      chainKey: Bytes;
      next: number;
    }
    interface Receiver {
      receiving: Chain | undefined;
      skipped: { hintKey: string; keys: Map<number, Bytes> }[];
    }
    const reply = setUp.part("reply");
    const hintKeyOf = (message: Vector): string => message.text("hint_key");
    const receivers: Record<string, Receiver> = {
      alice: {
        receiving: { hintKey: hintKeyOf(reply), chainKey: reply.bytes("chain_key_after"), next: 1 },
        skipped: [],
      },
      bob: {
        receiving: {
          hintKey: hintKeyOf(setUp.part("first_message")),
          chainKey: setUp.part("first_message").bytes("chain_key_after"),
          next: 1,
        },
        skipped: [],
      },
    };
    const chainKeys = new Map<string, Bytes>();
    for (const message of messages.values())
      if (message.has("root_step")) chainKeys.set(hintKeyOf(message), message.part("root_step").bytes("chain_key"));

    const skip = (receiver: Receiver, until: number): void => {
      const chain = receiver.receiving!;
      if (until <= chain.next) return;
      let kept = receiver.skipped.find(({ hintKey }) => hintKey === chain.hintKey);
      if (!kept) {
        kept = { hintKey: chain.hintKey, keys: new Map() };
        receiver.skipped.push(kept);
      }
      for (; chain.next < until; chain.next++) {
        kept.keys.set(chain.next, messageKeyOf(chain.chainKey));
        chain.chainKey = nextChainKey(chain.chainKey);
      }
    };

    for (const delivery of v.parts("deliveries")) {
      const message = messages.get(delivery.text("name"))!;
      const receiver = receivers[delivery.text("to")]!;
      const number = message.number("message_number");
      const hint = message.text("hint");
      const finds = (hintKey: string, numbers: readonly number[]): boolean =>
        numbers.some((candidate) => hex(hintOf(bytes(hintKey), candidate)) === hint);
      const old = receiver.skipped.find(({ hintKey, keys }) => finds(hintKey, [...keys.keys()]));
      let key: Bytes;
      if (old) {
        delivery.expect("position", "skipped");
        key = old.keys.get(number)!;
        old.keys.delete(number);
        receiver.skipped = receiver.skipped.filter(({ keys }) => keys.size > 0);
      } else {
        const chain = receiver.receiving!;
        if (finds(chain.hintKey, awaitedNumbers(chain.next))) delivery.expect("position", "current");
        else {
          delivery.expect("position", "next");
          expect(finds(hintKeyOf(message), awaitedNumbers(0))).toBe(true);
          skip(receiver, message.number("previous_chain_length"));
          const hintKey = hintKeyOf(message);
          receiver.receiving = { hintKey, chainKey: chainKeys.get(hintKey)!, next: 0 };
        }
        skip(receiver, number);
        const current = receiver.receiving!;
        key = messageKeyOf(current.chainKey);
        current.chainKey = nextChainKey(current.chainKey);
        current.next++;
      }
      const m = HKDF(key, EMPTY, L("message"), 44);
      const sealedHello = message.has("sealed_responder_hello") ? message.bytes("sealed_responder_hello") : EMPTY;
      const ad = concat(v.bytes("transcript_hash"), message.bytes("hint"), message.bytes("sealed_header"), sealedHello);
      const plaintext = open(m.subarray(0, 32), m.subarray(32), message.bytes("sealed_body"), ad);
      expect(hex(plaintext)).toBe(hex(pad(utf8(delivery.text("name")))));
      delivery.expect("next_number", receiver.receiving!.next);
      const skipped = receiver.skipped.map(({ keys }) => ({
        numbers: [...keys.keys()],
        message_keys: hex(concat(...keys.values())),
      }));
      expect(skipped, delivery.name).toEqual(delivery.get("skipped"));
    }
  });

  test("F3 03 hints and awaited windows", () => {
    const v = Vector.file("hints");
    for (const part of v.parts("hints")) part.expect("hint", hintOf(v.bytes("hint_key"), part.number("number")));
    for (const part of v.parts("awaited")) expect(awaitedNumbers(part.number("next"))).toEqual(part.numbers("numbers"));
  });

  test("F3 04 padding", () => {
    const v = Vector.file("padding");
    for (const part of v.parts("sizes")) part.expect("padded", pad(new Uint8Array(part.number("length"))).length);
    for (const part of v.parts("examples")) part.expect("padded", pad(part.bytes("plaintext")));
  });

  test("R1 05 message ids", () => {
    const v = Vector.file("message-ids");
    for (const part of v.parts("ids")) {
      const role = part.text("by") === "initiator" ? "I" : "R";
      part.expect("id", messageId(v.bytes("message_id_key"), role, part.number("sequence")));
    }
  });

  test("R1 S2 05 SDS messages", () => {
    const v = Vector.file("sds");
    const key = v.bytes("message_id_key");
    const own = (sequence: number): string => messageId(key, "I", sequence);
    const peer = (sequence: number): string => messageId(key, "R", sequence);
    const entry = (number: 11 | 13, id: string): Bytes => present(number, field(1, id));
    const now = v.number("now_ms");
    const content = field(20, v.bytes("content"));
    v.expect("own_id_7", own(7));
    v.expect("own_id_8", own(8));
    v.expect("peer_id_5", peer(5));
    v.expect("first_message", concat(field(2, own(1)), field(10, now), content, field(30, 1)));
    const message = concat(field(2, own(8)), field(10, now), entry(11, own(7)));
    v.expect("message", concat(message, content, field(30, 8), packed(33, [3, 4])));
    // Acknowledged 5; 7, 8 and 16 have arrived: bits 0, 1 and 9.
    const ahead = concat(field(31, 5), field(32, Uint8Array.of(0x03, 0x02)), packed(33, [3, 4]));
    v.expect("message_behind_a_gap", concat(message, entry(11, peer(5)), content, field(30, 8), ahead));
    // A sync message ticks the clock: now is not later than the clock, so it is one more.
    const sync = concat(field(10, now + 1), entry(11, own(8)), entry(11, peer(5)));
    v.expect("acknowledgement", concat(sync, field(31, 5), packed(33, [3, 4]), field(35, 9)));
    v.expect("request", concat(sync, field(31, 5), packed(33, [3, 4]), field(34, true), field(35, 9)));
    const repair = concat(field(10, now + 60_000), entry(11, own(8)), entry(11, peer(5)));
    const wanted = concat(entry(13, peer(6)), entry(13, peer(9)), entry(13, peer(10)));
    v.expect("repair_request", concat(repair, wanted, ahead, field(35, 9)));
  });

  test("F5 06 segments", () => {
    const v = Vector.file("segmentation");
    const payload = Uint8Array.from({ length: v.number("content_length") }, (_, index) => index % 251);
    const contentFrame = concat(
      field(1, v.number("domain")),
      field(2, v.number("tag")),
      field(3, payload),
      field(4, v.number("version")),
    );
    const frame = concat(field(1, v.number("timestamp_ms")), field(10, contentFrame));
    v.expect("frame_length", frame.length);
    v.expect("frame_sha256", H(frame));
    const hash = keccak256(frame);
    const segments = v.parts("segments");
    expect(segments.length).toBe(Math.ceil(frame.length / 65024));
    segments.forEach((segment, index) => {
      const part = frame.subarray(65024 * index, 65024 * (index + 1));
      const encoded = present(2, concat(field(1, hash), field(2, index), field(3, segments.length), field(4, part)));
      segment.expect("index", index);
      segment.expect("segment_count", segments.length);
      segment.expect("entire_message_hash", hash);
      segment.expect("payload_length", part.length);
      segment.expect("encoded_length", encoded.length);
      segment.expect("encoded_sha256", H(encoded));
    });
  });

  test("F7 08 sealed store", () => {
    const v = Vector.file("vault");
    const dataKey = v.bytes("data_key");
    const nonceOf = (name: string): Bytes => v.bytes(name).subarray(0, 24);
    const sealed = (name: string, key: Bytes, plaintext: Bytes, place: Bytes): void =>
      v.expect(name, concat(nonceOf(name), xseal(key, nonceOf(name), plaintext, place)));

    const argon = v.part("argon2id");
    const argon2id = concat(
      field(1, argon.bytes("salt")),
      field(2, argon.number("memory_kib")),
      field(3, argon.number("passes")),
      field(4, argon.number("lanes")),
    );
    const derivation = field(2, present(3, argon2id));
    const start = concat(field(1, 1), derivation);
    const id = field(4, v.text("database_id"));
    sealed("sealed_data_key", v.bytes("host_key"), dataKey, framed(L("vault-header"), concat(start, id)));
    v.expect("header", concat(start, field(3, v.bytes("sealed_data_key")), id));

    const recordKey = HKDF(dataKey, EMPTY, L("vault-records"), 32);
    sealed("sealed_record", recordKey, v.bytes("record"), utf8(v.text("record_key")));
    const tagKey = HKDF(dataKey, EMPTY, L("vault-tags"), 32);
    v.expect("tag", HMAC(tagKey, v.bytes("hint")).subarray(0, 8));
    const messageKey = HKDF(dataKey, EMPTY, L("vault-messages"), 32);
    const row = concat(
      field(11, v.bytes("message_payload")),
      field(12, v.text("message_text")),
      field(13, v.text("message_refers_to")),
    );
    const place = utf8(`message/${v.text("conversation_id")}/${v.text("message_id")}`);
    sealed("sealed_message_payload", messageKey, row, place);
  });

  test("F3 03 a header opens with what the text says, and with nothing else", () => {
    const v = Vector.file("set-up-suite-2");
    const first = v.part("first_message");
    const ad = concat(v.bytes("transcript_hash"), first.bytes("hint"));
    const header = open(first.bytes("header_key"), new Uint8Array(12), first.bytes("sealed_header"), ad);
    expect(hex(header.subarray(0, 32))).toBe(v.text("ratchet_key"));
    expect(hex(header.subarray(32))).toBe("00000000000000000000");
    expect(() => open(first.bytes("header_key"), new Uint8Array(12), first.bytes("sealed_header"), EMPTY)).toThrow();
    const fields = parse(v.bytes("first_envelope"));
    expect([...fields.keys()]).toEqual([1, 2]);
  });
});
