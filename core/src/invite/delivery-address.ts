import { concatBytes, label, readUint32 } from "../bytes.ts";
import type { Crypto } from "../crypto/crypto.ts";

const BUCKET = label("bucket");
const MAX_LENGTH = 64;
const CONTENT_TOPIC = /^\/[a-z0-9-]{1,32}\/[a-z0-9.-]{1,8}\/[a-z0-9-]{1,16}\/proto$/;

/** 23/WAKU2-TOPICS: "/app/version/name/encoding", of the characters this protocol allows. */
export function isContentTopic(topic: string): boolean {
  return topic.length <= MAX_LENGTH && CONTENT_TOPIC.test(topic);
}

/**
 * The topic on which an account receives: one of `bucketCount` that all accounts of the application share, so that a topic names
 * a crowd and not a person. Derived from the identity key: no state, no choice an observer could single out.
 */
export function deliveryAddress(
  crypto: Crypto,
  network: { appName: string; appVersion: string; bucketCount: number },
  identityKey: Uint8Array,
): string {
  const number = readUint32(crypto.sha256(concatBytes(BUCKET, identityKey)), 0);
  return `/${network.appName}/${network.appVersion}/${number % network.bucketCount}/proto`;
}

/** True if both topics belong to one application and version, hence to one shard. */
export function sameApplication(a: string, b: string): boolean {
  const head = (topic: string): string => topic.split("/").slice(0, 3).join("/");
  return head(a) === head(b);
}
