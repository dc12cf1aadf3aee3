import { fromBinary } from "@bufbuild/protobuf";
import { Priority, type Publish } from "@chatsdk/abi/host_pb";
import { EnvelopeSchema, SdsMessageSchema } from "@chatsdk/abi/wire_pb";
import { unpad } from "../../core/src/envelope/padding.ts";
import { SEALED_HEADER_LENGTH } from "../../core/src/ratchet/header.ts";
import { RLN_FIELD_LENGTH, wakuMessageLength } from "../src/waku-message.ts";

const TAG_LENGTH = 16;

/** What a byte on the shard is there for. The first eight are parts of user messages; the rest is the price of reliability and set-up. */
export const CAUSES = [
  "text",
  "content framing",
  "padding",
  "SDS",
  "ratchet header, tags and hint",
  "envelope",
  "WakuMessage fields",
  "RLN proof",
  "bare acknowledgements",
  "repair requests",
  "resends",
  "set-up",
] as const;
export type Cause = (typeof CAUSES)[number];

export const KINDS = ["user message", "bare acknowledgement", "repair request", "resend"] as const;
export type Kind = (typeof KINDS)[number];

const OWN_CAUSE: Record<Exclude<Kind, "user message">, Cause> = {
  "bare acknowledgement": "bare acknowledgements",
  "repair request": "repair requests",
  resend: "resends",
};

export interface Bucket {
  publications: number;
  bytes: number;
}

/** All WakuMessages of a shard in the measured window, each counted once. */
export class Traffic {
  readonly bytes = Object.fromEntries(CAUSES.map((cause) => [cause, 0])) as Record<Cause, number>;
  readonly publications = Object.fromEntries(KINDS.map((kind) => [kind, 0])) as Record<Kind, number>;
  /** By content topic. */
  readonly buckets = new Map<string, Bucket>();

  /** `body` is the padded plaintext, `undefined` if the envelope was sealed earlier; `text` the length of the user's message. */
  note(
    { publishId, topic, payload, priority }: Publish,
    body: Uint8Array | undefined,
    text: number,
    nowMs: number,
  ): void {
    const kind = kindOf(publishId, priority, body !== undefined);
    const message = wakuMessageLength(topic, payload, nowMs);
    this.publications[kind]++;
    this.#noteBucket(topic, message + RLN_FIELD_LENGTH);
    const { hint, payload: inner } = fromBinary(EnvelopeSchema, payload);
    // A responder's hello, or all that a handshake has around its first message.
    const setUp = body === undefined ? 0 : inner.length - SEALED_HEADER_LENGTH - body.length - TAG_LENGTH;
    this.bytes["set-up"] += setUp;
    if (kind !== "user message") {
      this.bytes[OWN_CAUSE[kind]] += message + RLN_FIELD_LENGTH - setUp;
      return;
    }
    const sds = unpad(body!);
    const content = fromBinary(SdsMessageSchema, sds).content!.length;
    this.bytes.text += text;
    this.bytes["content framing"] += content - text;
    this.bytes.SDS += sds.length - content;
    this.bytes.padding += body!.length - sds.length;
    this.bytes["ratchet header, tags and hint"] += hint.length + SEALED_HEADER_LENGTH + TAG_LENGTH;
    this.bytes.envelope += payload.length - hint.length - inner.length;
    this.bytes["WakuMessage fields"] += message - payload.length;
    this.bytes["RLN proof"] += RLN_FIELD_LENGTH;
  }

  #noteBucket(topic: string, bytes: number): void {
    const bucket = this.buckets.get(topic) ?? { publications: 0, bytes: 0 };
    bucket.publications++;
    bucket.bytes += bytes;
    this.buckets.set(topic, bucket);
  }

  /** Adds what another part of the shard has published; `other` may come from a worker. */
  add(other: Pick<Traffic, "bytes" | "publications" | "buckets">): void {
    for (const cause of CAUSES) this.bytes[cause] += other.bytes[cause];
    for (const kind of KINDS) this.publications[kind] += other.publications[kind];
    for (const [topic, { publications, bytes }] of other.buckets) {
      const bucket = this.buckets.get(topic) ?? { publications: 0, bytes: 0 };
      this.buckets.set(topic, { publications: bucket.publications + publications, bytes: bucket.bytes + bytes });
    }
  }

  get totalBytes(): number {
    return CAUSES.reduce((sum, cause) => sum + this.bytes[cause], 0);
  }

  get totalPublications(): number {
    return KINDS.reduce((sum, kind) => sum + this.publications[kind], 0);
  }

  get bytesPerUserMessage(): number {
    return this.totalBytes / this.publications["user message"];
  }
}

/** As the core names and labels what it publishes (publish ids: machine/core.ts). */
function kindOf(publishId: string, priority: Priority, sealedNow: boolean): Kind {
  if (publishId.startsWith("m/")) return priority === Priority.MESSAGE && sealedNow ? "user message" : "resend";
  if (publishId.startsWith("s/"))
    return priority === Priority.ACKNOWLEDGEMENT ? "bare acknowledgement" : "repair request";
  throw new Error(`no kind for publication ${publishId}`);
}
