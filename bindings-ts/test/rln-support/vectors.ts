import { readFileSync } from "node:fs";
import { ChatError } from "@chatsdk/core";
import { parseRlnCredentials, parseRlnGroup } from "../../src/rln/group.ts";
import type { ProofRequest } from "../../src/transport/waku-transport.ts";

/** The values that every language must compute: `cargo run --release --example vectors` in waku-node/rln makes them. */
export const vectors = JSON.parse(
  readFileSync(new URL("../../../waku-node/rln/testdata/vectors.json", import.meta.url), "utf8"),
);

export const groupJson = JSON.stringify({
  version: 1,
  rlnIdentifier: vectors.rlnIdentifier,
  epochSeconds: vectors.epochSeconds,
  members: vectors.members,
});
export const group = parseRlnGroup(groupJson);

export const credentialsJson = JSON.stringify({
  version: 1,
  rlnIdentifier: vectors.rlnIdentifier,
  leafIndex: vectors.leafIndex,
  userMessageLimit: vectors.members[vectors.leafIndex].userMessageLimit,
  identityCommitment: vectors.identityCommitment,
  identitySecret: vectors.identitySecret,
});
export const credentials = parseRlnCredentials(credentialsJson);

export const statement: ProofRequest = {
  payload: new Uint8Array(Buffer.from(vectors.payload, "hex")),
  topic: vectors.contentTopic,
  timestampNs: BigInt(vectors.timestampNs),
  epoch: BigInt(vectors.epochNumber),
  messageId: vectors.messageId,
};

export async function rejection(promise: Promise<unknown>): Promise<ChatError> {
  const error: unknown = await promise.then(
    () => undefined,
    (reason: unknown) => reason,
  );
  if (error instanceof ChatError) return error;
  throw new Error(`no ChatError: ${String(error)}`);
}
