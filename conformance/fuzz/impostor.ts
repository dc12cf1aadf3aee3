import { create } from "@bufbuild/protobuf";
import { nodeCrypto } from "@chatsdk/client";
import { Entropy } from "@chatsdk/core";
import { SendingChainSchema, SessionSchema } from "@chatsdk/abi/records_pb";
import { InboxHandshakeSchema, type InitiatorHello, InitiatorHelloSchema } from "@chatsdk/abi/wire_pb";
import { encode } from "../../core/src/codec.ts";
import { encodeEnvelope } from "../../core/src/envelope/envelope.ts";
import { pad } from "../../core/src/envelope/padding.ts";
import { InitiatorAgreement } from "../../core/src/handshake/key-agreement.ts";
import { ratchetEncrypt } from "../../core/src/ratchet/double-ratchet.ts";

/** Whom a set-up is for, as a link or the knowledge of a session tells it. */
export interface Mark {
  identityKey: Uint8Array;
  prekey: Uint8Array;
  binding: Uint8Array;
}

export type HelloFields = Omit<Partial<InitiatorHello>, "$typeName" | "$unknown">;

/**
 * A set-up sealed by the rules, with a hello of the attacker's choice. `identitySeed` is the secret the attacker really has;
 * `claimed` the identity key that the hello names.
 */
export function sealSetUp(
  mark: Mark,
  identitySeed: Uint8Array,
  seed: Uint8Array,
  fields: HelloFields,
  hint: (ephemeralKey: Uint8Array) => Uint8Array,
  plaintext: Uint8Array,
): Uint8Array {
  const entropy = new Entropy(nodeCrypto, seed);
  const agreement = new InitiatorAgreement(nodeCrypto, entropy.bytes(32), mark.identityKey, mark.prekey);
  const ratchetSecret = entropy.bytes(32);
  const claimed = fields.identityKey ?? nodeCrypto.ed25519PublicKey(identitySeed);
  const hello = encode(
    InitiatorHelloSchema,
    create(InitiatorHelloSchema, {
      identityKey: claimed,
      ratchetKey: nodeCrypto.x25519PublicKey(ratchetSecret),
      suite: 1,
      deliveryAddress: "/chatsdk/2/0/proto",
      recoveryPrekey: nodeCrypto.x25519PublicKey(entropy.bytes(32)),
      ...fields,
    }),
  );
  const { ephemeralKey } = agreement;
  const { key, nonce } = agreement.helloKey(mark.binding);
  const associatedData = new Uint8Array(Buffer.concat([mark.binding, ephemeralKey]));
  const encryptedHello = nodeCrypto.aeadSeal(key, nonce, pad(hello), associatedData);
  const secrets = agreement.session(identitySeed, {
    suite: fields.suite ?? 1,
    binding: mark.binding,
    initiatorIdentity: claimed,
    responderIdentity: mark.identityKey,
    ephemeralKey,
    prekey: mark.prekey,
    hello,
  });
  const session = create(SessionSchema, {
    associatedData: secrets.associatedData,
    rootKey: secrets.rootKey,
    ratchetSecret,
    sending: create(SendingChainSchema, { chainKey: secrets.chainKey, headerKey: secrets.headerKey, next: 0 }),
  });
  const message = ratchetEncrypt(nodeCrypto, session, pad(plaintext), entropy).payload;
  const handshake = create(InboxHandshakeSchema, { ephemeralKey, encryptedHello, message });
  return encodeEnvelope(hint(ephemeralKey), encode(InboxHandshakeSchema, handshake));
}
