import { createHash } from "node:crypto";
import { fromBinary } from "@bufbuild/protobuf";
import { EnvelopeSchema } from "@chatsdk/abi/wire_pb";

/** An envelope by what must be unique about it. */
export interface Fingerprint {
  hint: string;
  /** Of all its bytes. */
  digest: string;
}

export function fingerprint(payload: Uint8Array): Fingerprint {
  const { hint } = fromBinary(EnvelopeSchema, payload);
  if (hint.length !== 8) throw new Error(`an envelope's hint has ${hint.length} bytes`);
  return { hint: Buffer.from(hint).toString("hex"), digest: createHash("sha256").update(payload).digest("hex") };
}

/** The hint names the message key: the same hint on other bytes means that a key was used twice. Returns those envelopes. */
export function keysUsedTwice(envelopes: readonly Fingerprint[]): Fingerprint[] {
  const digestOf = new Map<string, string>();
  return envelopes.filter(({ hint, digest }) => {
    const first = digestOf.get(hint) ?? digest;
    digestOf.set(hint, first);
    return first !== digest;
  });
}
