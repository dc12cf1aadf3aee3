import { concatBytes, EMPTY, framed, label, uint32Bytes } from "../bytes.ts";
import type { Crypto } from "../crypto/crypto.ts";
import { Rejected } from "../errors.ts";

/**
 * X3DH (Signal's specification, revision 1) without one-time prekeys, in two stages. The first covers the
 * initiator's identity: only who holds the responder's identity key and prekey reads it. The second adds the initiator's identity.
 * `binding` is the hash of the link (or of the conversation that is repaired): both stages depend on it.
 */
export interface HelloKey {
  key: Uint8Array;
  nonce: Uint8Array;
}

/** Everything a new session is made of. */
export interface SessionSecrets {
  associatedData: Uint8Array;
  rootKey: Uint8Array;
  /** Of the initiator's first chain. */
  chainKey: Uint8Array;
  headerKey: Uint8Array;
  /** Of the responder's first chain. */
  responderHeaderKey: Uint8Array;
  /** Of the initiator's second chain. */
  initiatorNextHeaderKey: Uint8Array;
  messageIdKey: Uint8Array;
  sessionId: Uint8Array;
}

const HELLO = label("hello");
const TRANSCRIPT = label("transcript");
const SESSION = label("session");
const ZEROS = new Uint8Array(32);
/** X3DH section 2.2: keeps the input apart from any encoded key. */
const PREFIX = new Uint8Array(32).fill(0xff);

function agree(crypto: Crypto, secretKey: Uint8Array, publicKey: Uint8Array): Uint8Array {
  const shared = crypto.x25519(secretKey, publicKey);
  if (!shared) throw new Rejected("key agreement: low-order public key");
  return shared;
}

function helloKey(
  crypto: Crypto,
  ephemeralIdentity: Uint8Array,
  ephemeralPrekey: Uint8Array,
  binding: Uint8Array,
): HelloKey {
  const output = crypto.hkdfSha256(concatBytes(PREFIX, ephemeralIdentity, ephemeralPrekey), binding, HELLO, 44);
  return { key: output.slice(0, 32), nonce: output.slice(32, 44) };
}

/** What the transcript binds beside the binding: a change of any of it gives other keys. */
export interface Transcript {
  suite: number;
  binding: Uint8Array;
  initiatorIdentity: Uint8Array;
  responderIdentity: Uint8Array;
  ephemeralKey: Uint8Array;
  prekey: Uint8Array;
  /** The encoded InitiatorHello. */
  hello: Uint8Array;
}

function sessionSecrets(crypto: Crypto, agreements: Uint8Array[], transcript: Transcript): SessionSecrets {
  const associatedData = crypto.sha256(
    framed(
      TRANSCRIPT,
      uint32Bytes(transcript.suite),
      transcript.binding,
      transcript.initiatorIdentity,
      transcript.responderIdentity,
      transcript.ephemeralKey,
      transcript.prekey,
      transcript.hello,
    ),
  );
  const output = crypto.hkdfSha256(
    concatBytes(PREFIX, ...agreements),
    ZEROS,
    concatBytes(SESSION, associatedData),
    304,
  );
  return {
    associatedData,
    rootKey: output.slice(0, 32),
    chainKey: output.slice(32, 64),
    headerKey: output.slice(64, 128),
    responderHeaderKey: output.slice(128, 192),
    initiatorNextHeaderKey: output.slice(192, 256),
    messageIdKey: output.slice(256, 288),
    sessionId: output.slice(288, 304),
  };
}

/** The initiator's side. */
export class InitiatorAgreement {
  readonly ephemeralKey: Uint8Array;
  readonly #crypto: Crypto;
  readonly #ephemeralIdentity: Uint8Array;
  readonly #ephemeralPrekey: Uint8Array;

  /** `responderIdentity` is an Ed25519 key. */
  constructor(crypto: Crypto, ephemeralSecret: Uint8Array, responderIdentity: Uint8Array, prekey: Uint8Array) {
    this.#crypto = crypto;
    this.ephemeralKey = crypto.x25519PublicKey(ephemeralSecret);
    this.#ephemeralIdentity = agree(crypto, ephemeralSecret, identityForAgreement(crypto, responderIdentity));
    this.#ephemeralPrekey = agree(crypto, ephemeralSecret, prekey);
  }

  helloKey(binding: Uint8Array): HelloKey {
    return helloKey(this.#crypto, this.#ephemeralIdentity, this.#ephemeralPrekey, binding);
  }

  session(identitySeed: Uint8Array, transcript: Transcript): SessionSecrets {
    const identityPrekey = agree(this.#crypto, this.#crypto.ed25519SeedToX25519(identitySeed), transcript.prekey);
    return sessionSecrets(this.#crypto, [identityPrekey, this.#ephemeralIdentity, this.#ephemeralPrekey], transcript);
  }
}

/** The responder's side. */
export class ResponderAgreement {
  readonly #crypto: Crypto;
  readonly #prekeySecret: Uint8Array;
  readonly #ephemeralIdentity: Uint8Array;
  readonly #ephemeralPrekey: Uint8Array;

  constructor(crypto: Crypto, identitySeed: Uint8Array, prekeySecret: Uint8Array, ephemeralKey: Uint8Array) {
    this.#crypto = crypto;
    this.#prekeySecret = prekeySecret;
    this.#ephemeralIdentity = agree(crypto, crypto.ed25519SeedToX25519(identitySeed), ephemeralKey);
    this.#ephemeralPrekey = agree(crypto, prekeySecret, ephemeralKey);
  }

  helloKey(binding: Uint8Array): HelloKey {
    return helloKey(this.#crypto, this.#ephemeralIdentity, this.#ephemeralPrekey, binding);
  }

  session(transcript: Transcript): SessionSecrets {
    const identityPrekey = agree(
      this.#crypto,
      this.#prekeySecret,
      identityForAgreement(this.#crypto, transcript.initiatorIdentity),
    );
    return sessionSecrets(this.#crypto, [identityPrekey, this.#ephemeralIdentity, this.#ephemeralPrekey], transcript);
  }
}

function identityForAgreement(crypto: Crypto, identityKey: Uint8Array): Uint8Array {
  const publicKey = crypto.ed25519PublicToX25519(identityKey);
  if (!publicKey) throw new Rejected("identity_key: not a valid Ed25519 key");
  return publicKey;
}

const HINT = label("inbox-hint");

/** Makes the hints of set-ups with a prekey: known to those who hold the link. */
export function inboxHintKey(crypto: Crypto, binding: Uint8Array): Uint8Array {
  return crypto.hkdfSha256(binding, EMPTY, HINT, 32);
}

/** The hint of a set-up. It depends on the ephemeral key: two set-ups with one reusable link cannot be linked. */
export function inboxHint(crypto: Crypto, hintKey: Uint8Array, ephemeralKey: Uint8Array): Uint8Array {
  return crypto.hmacSha256(hintKey, ephemeralKey).slice(0, 8);
}

/** The hint of a repair: constant, so that a tag finds it among thousands of conversations; a recovery prekey serves once. */
export function repairHint(crypto: Crypto, hintKey: Uint8Array): Uint8Array {
  return crypto.hmacSha256(hintKey, EMPTY).slice(0, 8);
}

const REPAIR = label("repair");

/** What a link's hash is to an invite, this is to a repair. */
export function repairBinding(crypto: Crypto, sessionId: Uint8Array, recoveryPrekey: Uint8Array): Uint8Array {
  return crypto.sha256(framed(REPAIR, sessionId, recoveryPrekey));
}
