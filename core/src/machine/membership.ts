import { create } from "@bufbuild/protobuf";
import { ErrorCode } from "@chatsdk/abi/errors_pb";
import type { Config } from "@chatsdk/abi/host_pb";
import { type MembershipRecord, MembershipRecordSchema } from "@chatsdk/abi/records_pb";
import { EMPTY, equalBytes } from "../bytes.ts";
import { encode } from "../codec.ts";
import { ChatError } from "../errors.ts";
import { Keys } from "./records.ts";
import type { Step, Steps } from "./step.ts";

/** The configured membership, whose blanks are filled in from the one kept before; `undefined`: there is no rate limit. */
export function* loadMembership(step: Step, { rateLimit }: Config): Steps<MembershipRecord | undefined> {
  const limit = step.settings.rateLimit;
  if (!rateLimit || !limit) return undefined;
  const epochSeconds = limit.epochMs / 1000;
  const given = create(MembershipRecordSchema, {
    credentials: rateLimit.credentials,
    messagesPerEpoch: limit.messages,
    epochSeconds,
  });
  const kept = yield* step.get(MembershipRecordSchema, Keys.membership);
  const others = rateLimit.credentials.length > 0 && !equalBytes(kept?.credentials ?? EMPTY, rateLimit.credentials);
  if (!kept || others) return given;
  // 0: kept before the length was.
  if (kept.epochSeconds !== 0 && kept.epochSeconds !== epochSeconds) {
    throw new ChatError(
      ErrorCode.INVALID_ARGUMENT,
      `config.rate_limit.epoch_seconds: is ${epochSeconds}, but the credentials were used with ${kept.epochSeconds}, and what was used then may be used again; give ${kept.epochSeconds}, or other credentials`,
    );
  }
  return { ...kept, epochSeconds, messagesPerEpoch: rateLimit.messagesPerEpoch || kept.messagesPerEpoch };
}

/** In the first step, if credentials were given: they are durable before anything is published under them. */
export function* keepMembership(
  step: Step,
  { rateLimit }: Config,
  membership: MembershipRecord | undefined,
): Steps<void> {
  if (!membership || !rateLimit || rateLimit.credentials.length === 0) return;
  const kept = yield* step.get(MembershipRecordSchema, Keys.membership);
  if (kept && equalBytes(encode(MembershipRecordSchema, kept), encode(MembershipRecordSchema, membership))) return;
  step.put(MembershipRecordSchema, Keys.membership, membership);
}
