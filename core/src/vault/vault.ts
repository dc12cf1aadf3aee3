import { create, toBinary } from "@bufbuild/protobuf";
import { type Conversation, type Message, MessageSchema } from "@chatsdk/abi/api_pb";
import { type KeyDerivation, type VaultHeader, VaultHeaderSchema } from "@chatsdk/abi/host_pb";
import { ErrorCode } from "@chatsdk/abi/errors_pb";
import { bytesToHex, concatBytes, EMPTY, framed, label, utf8ToBytes } from "../bytes.ts";
import { decodeStored } from "../codec.ts";
import type { Crypto } from "../crypto/crypto.ts";
import type { Entropy } from "../entropy.ts";
import { ChatError } from "../errors.ts";

export const VAULT_FORMAT = 1;
const NONCE_LENGTH = 24;
const HEADER = label("vault-header");
const RECORDS = label("vault-records");
const TAGS = label("vault-tags");
const MESSAGES = label("vault-messages");

/**
 * Seals what a database holds: records and message contents with XChaCha20-Poly1305 under keys of the database, bound
 * to their place (a record cannot be moved to another key); tags with HMAC-SHA-256, so that a stolen file cannot be matched with
 * recorded traffic. The database's own key is random, and sealed under the host's: a passphrase can be changed.
 */
export class Vault {
  readonly #crypto: Crypto;
  readonly #recordKey: Uint8Array;
  readonly #tagKey: Uint8Array;
  readonly #messageKey: Uint8Array;
  /** False for an unprotected database: messages stay readable by any SQLite tool. */
  readonly sealsMessages: boolean;

  private constructor(crypto: Crypto, dataKey: Uint8Array, sealsMessages: boolean) {
    this.#crypto = crypto;
    this.#recordKey = crypto.hkdfSha256(dataKey, EMPTY, RECORDS, 32);
    this.#tagKey = crypto.hkdfSha256(dataKey, EMPTY, TAGS, 32);
    this.#messageKey = crypto.hkdfSha256(dataKey, EMPTY, MESSAGES, 32);
    this.sealsMessages = sealsMessages;
  }

  /** A new database's header. `hostKey` is 32 bytes, made as `derivation` says (zeros if unprotected). */
  static create(crypto: Crypto, derivation: KeyDerivation, hostKey: Uint8Array, entropy: Entropy): VaultHeader {
    const databaseId = bytesToHex(entropy.bytes(16));
    return sealHeader(crypto, databaseId, derivation, hostKey, entropy.bytes(32), entropy);
  }

  /** Throws WRONG_KEY if the key does not open the header. */
  static open(crypto: Crypto, header: VaultHeader, hostKey: Uint8Array): Vault {
    return new Vault(crypto, openHeader(crypto, header, hostKey), header.derivation?.derivation.case !== "unprotected");
  }

  /** The same database under another host key. Messages keep the protection they were written with. */
  static rekey(
    crypto: Crypto,
    header: VaultHeader,
    oldKey: Uint8Array,
    derivation: KeyDerivation,
    newKey: Uint8Array,
    entropy: Entropy,
  ): VaultHeader {
    return sealHeader(crypto, header.databaseId, derivation, newKey, openHeader(crypto, header, oldKey), entropy);
  }

  sealRecord(key: string, plaintext: Uint8Array, entropy: Entropy): Uint8Array {
    return seal(this.#crypto, this.#recordKey, plaintext, utf8ToBytes(key), entropy);
  }

  openRecord(key: string, sealed: Uint8Array): Uint8Array {
    const plaintext = open(this.#crypto, this.#recordKey, sealed, utf8ToBytes(key));
    if (!plaintext) throw new ChatError(ErrorCode.DATABASE_CORRUPT, `record ${key}: does not verify; restore a backup`);
    return plaintext;
  }

  /** What a hint is stored as. */
  tag(hint: Uint8Array): Uint8Array {
    return this.#crypto.hmacSha256(this.#tagKey, hint).slice(0, 8);
  }

  /** Payload, text and reference as one sealed payload; the rest of the row stays readable for sorting and paging. */
  sealMessage(message: Message, entropy: Entropy): Message {
    if (!this.sealsMessages) return message;
    const { payload, text, refersTo } = message;
    const content = create(MessageSchema, {
      payload,
      ...(text !== undefined && { text }),
      ...(refersTo !== undefined && { refersTo }),
    });
    const { text: _text, refersTo: _refersTo, ...row } = message;
    return {
      ...row,
      payload: seal(this.#crypto, this.#messageKey, toBinary(MessageSchema, content), messagePlace(message), entropy),
    };
  }

  openMessage<Row extends Message>(row: Row): Row {
    if (!this.sealsMessages) return row;
    const plaintext = open(this.#crypto, this.#messageKey, row.payload, messagePlace(row));
    if (!plaintext)
      throw new ChatError(ErrorCode.DATABASE_CORRUPT, `message ${row.messageId}: does not verify; restore a backup`);
    const { payload, text, refersTo } = decodeStored(MessageSchema, plaintext, `message ${row.messageId}`);
    return { ...row, payload, ...(text !== undefined && { text }), ...(refersTo !== undefined && { refersTo }) };
  }

  /** A conversation's row without the peer's identity in clear. */
  sealConversation(conversation: Conversation, entropy: Entropy): Conversation {
    if (!this.sealsMessages) return conversation;
    const place = utf8ToBytes(`conversation/${conversation.conversationId}`);
    return {
      ...conversation,
      peerIdentityKey: seal(this.#crypto, this.#messageKey, conversation.peerIdentityKey, place, entropy),
    };
  }

  openConversation(row: Conversation): Conversation {
    if (!this.sealsMessages) return row;
    const peerIdentityKey = open(
      this.#crypto,
      this.#messageKey,
      row.peerIdentityKey,
      utf8ToBytes(`conversation/${row.conversationId}`),
    );
    if (!peerIdentityKey)
      throw new ChatError(
        ErrorCode.DATABASE_CORRUPT,
        `conversation ${row.conversationId}: does not verify; restore a backup`,
      );
    return { ...row, peerIdentityKey };
  }
}

function messagePlace(message: Message): Uint8Array {
  return utf8ToBytes(`message/${message.conversationId}/${message.messageId}`);
}

function seal(crypto: Crypto, key: Uint8Array, plaintext: Uint8Array, place: Uint8Array, entropy: Entropy): Uint8Array {
  const nonce = entropy.bytes(NONCE_LENGTH);
  return concatBytes(nonce, crypto.xaeadSeal(key, nonce, plaintext, place));
}

function open(crypto: Crypto, key: Uint8Array, sealed: Uint8Array, place: Uint8Array): Uint8Array | undefined {
  if (sealed.length < NONCE_LENGTH + 16) return undefined;
  return crypto.xaeadOpen(key, sealed.subarray(0, NONCE_LENGTH), sealed.subarray(NONCE_LENGTH), place);
}

/** The derivation is bound too: who can write the file cannot weaken it unnoticed. */
function headerPlace(header: { databaseId: string; derivation: KeyDerivation | undefined }): Uint8Array {
  const bound = create(VaultHeaderSchema, {
    format: VAULT_FORMAT,
    databaseId: header.databaseId,
    ...(header.derivation && { derivation: header.derivation }),
  });
  return framed(HEADER, toBinary(VaultHeaderSchema, bound));
}

function sealHeader(
  crypto: Crypto,
  databaseId: string,
  derivation: KeyDerivation,
  hostKey: Uint8Array,
  dataKey: Uint8Array,
  entropy: Entropy,
): VaultHeader {
  const sealedDataKey = seal(crypto, hostKey, dataKey, headerPlace({ databaseId, derivation }), entropy);
  return create(VaultHeaderSchema, { format: VAULT_FORMAT, derivation, sealedDataKey, databaseId });
}

function openHeader(crypto: Crypto, header: VaultHeader, hostKey: Uint8Array): Uint8Array {
  if (header.format !== VAULT_FORMAT) {
    throw new ChatError(
      ErrorCode.UNSUPPORTED_VERSION,
      `database format ${header.format}: written by a newer version; update the SDK`,
    );
  }
  const dataKey = open(
    crypto,
    hostKey,
    header.sealedDataKey,
    headerPlace({ databaseId: header.databaseId, derivation: header.derivation }),
  );
  if (!dataKey)
    throw new ChatError(
      ErrorCode.WRONG_KEY,
      "key: it does not open this database; nothing was changed; give the passphrase or key it was made with",
    );
  return dataKey;
}
