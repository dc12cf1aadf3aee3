import { fromBinary } from "@bufbuild/protobuf";
import {
  type AccountRecord,
  AccountRecordSchema,
  ConversationRecordSchema,
  type ConversationRecord,
  HeldRecordSchema,
  OutgoingRecordSchema,
  PrekeyRecordSchema,
  SegmentRecordSchema,
} from "@chatsdk/abi/records_pb";
import { EnvelopeSchema, InboxHandshakeSchema } from "@chatsdk/abi/wire_pb";
import { EventSchema } from "@chatsdk/abi/api_pb";
import { concatBytes } from "../../core/src/bytes.ts";
import { unpad } from "../../core/src/envelope/padding.ts";
import { accept } from "../../core/src/handshake/handshake.ts";
import { suiteBits } from "../../core/src/handshake/suite.ts";
import { advanceChain } from "../../core/src/ratchet/chain-key.ts";
import { SEALED_HEADER_LENGTH } from "../../core/src/ratchet/header.ts";
import { openMessage } from "../../core/src/ratchet/message-key.ts";
import type { Machine } from "./machine.ts";

const SCHEMAS = {
  account: AccountRecordSchema,
  prekey: PrekeyRecordSchema,
  conv: ConversationRecordSchema,
  out: OutgoingRecordSchema,
  held: HeldRecordSchema,
  segment: SegmentRecordSchema,
  event: EventSchema,
};

/** How far a stolen chain key is run forward. */
const STEPS = 80;

/**
 * Somebody with a copy of a machine's disk and the key of its vault, and with every envelope that ever passed. Not bound to
 * what the machine would do: tries every stolen value of 32 bytes as every kind of key.
 */
export class Thief {
  /** Every 32 bytes long part of every field. */
  readonly secrets: Uint8Array[] = [];
  readonly #machine: Machine;

  constructor(victim: Machine) {
    this.#machine = victim.clone("thief");
    const seen = new Set<string>();
    for (const field of this.#fields()) {
      if (field.length % 32 !== 0) continue;
      for (let offset = 0; offset < field.length; offset += 32) {
        const part = field.slice(offset, offset + 32);
        const name = Buffer.from(part).toString("hex");
        if (!seen.has(name)) this.secrets.push(part);
        seen.add(name);
      }
    }
  }

  /** The stolen record of a conversation. */
  conversation(id: string): ConversationRecord {
    return fromBinary(ConversationRecordSchema, this.#open(`conv/${id}`));
  }

  account(id: string): AccountRecord {
    return fromBinary(AccountRecordSchema, this.#open(`account/${id}`));
  }

  /** The stolen secret that belongs to a public prekey. */
  prekeyOf(publicKey: Uint8Array): Uint8Array {
    const { crypto } = this.#machine;
    const found = this.secrets.find((secret) => Buffer.from(crypto.x25519PublicKey(secret)).equals(publicKey));
    if (!found) throw new Error("the prekey's secret is not there");
    return found;
  }

  /** Everything stored in clear under the vault, for a search for plaintexts. */
  holds(plaintext: string): boolean {
    const needle = Buffer.from(plaintext);
    const { records } = this.#machine.disk;
    return [...records.keys()].some((key) => Buffer.from(this.#open(key)).includes(needle));
  }

  /** The plaintext of a ratchet message, if any stolen value leads to its key. */
  reads(envelope: Uint8Array, associatedData: Uint8Array): string | undefined {
    const { hint, payload } = fromBinary(EnvelopeSchema, envelope);
    return this.#readRatchet(hint, payload, associatedData);
  }

  /** The plaintext of a first message, if any stolen value is the prekey it was made for. */
  readsSetUp(envelope: Uint8Array, binding: Uint8Array, prekey: Uint8Array): string | undefined {
    const { crypto } = this.#machine;
    const handshake = fromBinary(InboxHandshakeSchema, fromBinary(EnvelopeSchema, envelope).payload);
    const recovery = crypto.x25519PublicKey(new Uint8Array(32).fill(1));
    for (const identitySeed of this.secrets) {
      for (const secret of this.secrets) {
        const held = { identitySeed, secret, publicKey: prekey, binding, suites: suiteBits(1, 2) };
        try {
          return Buffer.from(unpad(accept(crypto, held, recovery, handshake, 0).plaintext)).toString("latin1");
        } catch {
          // Not these two.
        }
      }
    }
    return undefined;
  }

  #readRatchet(hint: Uint8Array, payload: Uint8Array, associatedData: Uint8Array): string | undefined {
    const { crypto } = this.#machine;
    for (let size = 256; payload.length - size - 16 >= SEALED_HEADER_LENGTH; size *= 2) {
      const start = payload.length - size - 16;
      const bound = concatBytes(associatedData, hint, payload.subarray(0, start));
      for (const secret of this.secrets) {
        let chainKey = secret;
        let messageKey = secret;
        for (let step = 0; step < STEPS; step++) {
          const opened = openMessage(crypto, messageKey, payload.subarray(start), bound);
          if (opened) return Buffer.from(unpad(opened)).toString("latin1");
          ({ messageKey, chainKey } = advanceChain(crypto, chainKey));
        }
      }
    }
    return undefined;
  }

  #open(key: string): Uint8Array {
    return this.#machine.vault.openRecord(key, this.#machine.disk.records.get(key)!);
  }

  *#fields(): Generator<Uint8Array> {
    for (const key of this.#machine.disk.records.keys()) {
      const schema = SCHEMAS[key.split("/")[0] as keyof typeof SCHEMAS];
      if (schema) yield* bytesIn(fromBinary(schema, this.#open(key)));
    }
  }
}

function* bytesIn(value: unknown): Generator<Uint8Array> {
  if (value instanceof Uint8Array) yield value;
  else if (typeof value === "object" && value !== null) for (const part of Object.values(value)) yield* bytesIn(part);
}
