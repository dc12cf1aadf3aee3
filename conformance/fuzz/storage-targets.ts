import { create, type DescMessage, fromBinary, toBinary } from "@bufbuild/protobuf";
import { EventSchema, MessageSchema } from "@chatsdk/abi/api_pb";
import { KeyDerivationSchema, VaultHeaderSchema } from "@chatsdk/abi/host_pb";
import { file_records } from "@chatsdk/abi/records_pb";
import { nodeCrypto } from "@chatsdk/client";
import { Entropy, Vault } from "@chatsdk/core";
import { label } from "../../core/src/bytes.ts";
import { decode, decodeStored } from "../../core/src/codec.ts";
import { encoded, vaultHeaders } from "./samples.ts";
import type { Stage } from "./stage.ts";
import type { Target } from "./target.ts";

const concat = (...parts: Uint8Array[]): Uint8Array => new Uint8Array(Buffer.concat(parts));
const HOST_KEY = new Uint8Array(32).fill(8);
const SEED = new Uint8Array(32).fill(9);
const NONCE = new Uint8Array(24).fill(10);
const EMPTY = new Uint8Array(0);

/** A value with every field set: strings and bytes of a few, numbers of 1, messages within. */
function filled(schema: DescMessage): Uint8Array {
  const message: Record<string, unknown> = {};
  for (const field of schema.fields) {
    if (field.oneof) continue;
    const scalar = field.scalar;
    const one: unknown =
      field.message !== undefined
        ? fromBinary(field.message, filled(field.message))
        : scalar === 9
          ? "id"
          : scalar === 12
            ? new Uint8Array(32).fill(1)
            : scalar === 8
              ? true
              : scalar === 4
                ? 1n
                : 1;
    message[field.localName] = field.fieldKind === "list" ? [one, one] : one;
  }
  return toBinary(schema, create(schema, message));
}

function records(): Target[] {
  return [...file_records.messages, EventSchema].map((schema) => ({
    name: `record ${schema.name}`,
    samples: [filled(schema)],
    run: (bytes) => void decodeStored(schema, bytes, "record"),
  }));
}

/** Everything that comes back from the database. */
export function storageTargets(stage: Stage): Target[] {
  const derivation = create(KeyDerivationSchema, { derivation: { case: "rawKey", value: {} } });
  const header = Vault.create(nodeCrypto, derivation, HOST_KEY, new Entropy(nodeCrypto, SEED));
  const vault = Vault.open(nodeCrypto, header, HOST_KEY);
  const headers = vaultHeaders(header);
  // The data key is drawn after the 16 bytes of the database's id.
  const entropy = new Entropy(nodeCrypto, SEED);
  entropy.bytes(16);
  const dataKey = entropy.bytes(32);
  const messageKey = nodeCrypto.hkdfSha256(dataKey, EMPTY, label("vault-messages"), 32);
  const place = new TextEncoder().encode("message/c/m");
  const row = (payload: Uint8Array) => create(MessageSchema, { conversationId: "c", messageId: "m", payload });
  const sealed = vault.sealRecord("state", new Uint8Array(40).fill(1), new Entropy(nodeCrypto, SEED));
  const message = encoded(MessageSchema, { payload: new Uint8Array(20), text: "text", refersTo: "AAAA" });
  const sealMessage = (plaintext: Uint8Array): Uint8Array =>
    concat(NONCE, nodeCrypto.xaeadSeal(messageKey, NONCE, plaintext, place));
  return [
    ...records(),
    {
      name: "vault header",
      samples: headers.slice(0, 1),
      spoiled: headers,
      run: (bytes) => void Vault.open(nodeCrypto, decode(VaultHeaderSchema, bytes, "header"), HOST_KEY),
    },
    { name: "sealed record", samples: [sealed], run: (bytes) => void vault.openRecord("state", bytes) },
    {
      name: "sealed message",
      samples: [sealMessage(message)],
      run: (bytes) => void vault.openMessage(row(bytes)),
    },
    {
      name: "message under its seal",
      samples: [message],
      run: (bytes) => void vault.openMessage(row(sealMessage(bytes))),
    },
    {
      name: "record under its seal, at the machine",
      samples: stage.recordSamples("state"),
      run: (bytes) => stage.feedWithState(bytes),
    },
  ];
}
